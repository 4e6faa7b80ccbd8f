import { readFileSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { Mistake, maskCredentials, parseValue, showValue } from './kinds.ts'
import { OPTION_NAMES, type OptionName, type Settings, VARIABLE_PREFIX, declarationOf, variableOf } from './options.ts'

/** A configuration that cannot be used. The message has one line for each thing to mend. */
export class ConfigError extends Error {
  constructor(problems: readonly string[]) {
    super(problems.join('\n'))
  }
}

export interface Loaded {
  settings: Settings
  /** Where each value comes from, for people: `--port`, `PEERLOG_RELAY_PORT`, `"port" in relay.json`, `default`. */
  sources: Record<OptionName, string>
}

export interface Given {
  /** What the command line has, by option name. */
  flags: Partial<Record<OptionName, unknown>>
  environment: Record<string, string | undefined>
  /** Path of the configuration file, if there is one. */
  file?: string | undefined
}

/** Variables that Kubernetes makes for a service of the name peerlog-relay. */
const SERVICE_LINK = /^PEERLOG_RELAY_(?:SERVICE_|PORT_\d)/

/** @throws {ConfigError} that names every wrong value, its source and what to write instead. */
export function loadSettings({ flags, environment, file }: Given): Loaded {
  const problems: string[] = []
  const inFile = file === undefined ? {} : readFile(file)
  problems.push(...unknownNames(environment, Object.keys(inFile), file))
  const settings: Record<string, unknown> = {}
  const sources = {} as Record<OptionName, string>
  for (const name of OPTION_NAMES) {
    const declaration = declarationOf(name)
    const [source, raw] = choose(name, flags, environment, inFile, file)
    sources[name] = source
    if (raw === undefined) continue
    try {
      const value = parseValue(declaration, raw)
      const besideFile = declaration.kind === 'file' && file !== undefined && raw === inFile[name]
      settings[name] = besideFile ? resolve(dirname(file), value as string) : value
    } catch (error) {
      if (!(error instanceof Mistake)) throw error
      const shown = declaration.secret === true ? '' : ` is ${maskCredentials(JSON.stringify(raw))}`
      problems.push(`${source}${shown}: ${error.message}${serviceLinkHint(raw)}`)
    }
  }
  if (problems.length > 0) throw new ConfigError(problems)
  return { settings: settings as Settings, sources }
}

/** The configuration in effect, one option a line, secrets masked. */
export function describeSettings({ settings, sources }: Loaded): string {
  const width = Math.max(...OPTION_NAMES.map((name) => name.length))
  const lines = OPTION_NAMES.map((name) => {
    const value = showValue(declarationOf(name), settings[name]) || '(not set)'
    return `${name.padEnd(width)}  ${value.padEnd(20)}  ${sources[name]}`
  })
  return lines.join('\n')
}

function choose(
  name: OptionName,
  flags: Given['flags'],
  environment: Given['environment'],
  inFile: Record<string, unknown>,
  file: string | undefined,
): [source: string, value: unknown] {
  if (flags[name] !== undefined) return [`--${name}`, flags[name]]
  const variable = variableOf(name)
  // An empty variable is one that a script or compose file left unset.
  if (environment[variable] !== undefined && environment[variable] !== '') return [variable, environment[variable]]
  if (inFile[name] !== undefined) return [`"${name}" in ${file}`, inFile[name]]
  return ['default', declarationOf(name).default]
}

function readFile(file: string): Record<string, unknown> {
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (error) {
    throw new ConfigError([
      `--config: cannot read ${file} (${(error as Error).message}). Write the path of a JSON file`,
    ])
  }
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>
  } catch (error) {
    throw new ConfigError([`${file} is not JSON: ${(error as Error).message}`])
  }
  throw new ConfigError([`${file} must hold an object, such as { "port": 8443 }`])
}

function unknownNames(environment: Given['environment'], keys: string[], file: string | undefined): string[] {
  const variables = new Map(['config', ...OPTION_NAMES].map((name) => [variableOf(name), name]))
  const strangers = Object.keys(environment).filter(
    (key) => key.startsWith(VARIABLE_PREFIX) && !variables.has(key) && !SERVICE_LINK.test(key),
  )
  return [
    ...strangers.map((key) => `${key}: there is no such option.${suggestion(key, [...variables.keys()])}`),
    ...keys
      .filter((key) => !(OPTION_NAMES as string[]).includes(key))
      .map((key) => `"${key}" in ${file}: there is no such option.${suggestion(key, OPTION_NAMES)}`),
  ]
}

function suggestion(name: string, known: readonly string[]): string {
  const plain = (text: string): string => text.toLowerCase().replaceAll(/[-_]/g, '')
  const near = known.find((other) => plain(other) === plain(name) || isNear(plain(other), plain(name)))
  return near === undefined ? ' peerlog-relay --help lists them' : ` Did you mean ${near}?`
}

/** One letter too many, too few, another, or two swapped. */
function isNear(a: string, b: string): boolean {
  if (Math.abs(a.length - b.length) > 1) return false
  let start = 0
  while (start < a.length && a[start] === b[start]) start++
  let end = 0
  while (end < Math.min(a.length, b.length) - start && a.at(-1 - end) === b.at(-1 - end)) end++
  const [restA, restB] = [a.slice(start, a.length - end), b.slice(start, b.length - end)]
  return restA.length + restB.length <= 2 || (restA.length === 2 && restA[0] === restB[1] && restA[1] === restB[0])
}

function serviceLinkHint(value: unknown): string {
  return typeof value === 'string' && /^tcp:\/\//.test(value)
    ? '. Kubernetes sets this for a service of that name: set enableServiceLinks: false'
    : ''
}

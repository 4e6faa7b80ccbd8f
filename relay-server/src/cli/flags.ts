import { Command, InvalidArgumentError, Option } from 'commander'
import { duration } from '../config/kinds.ts'
import { type Declaration, OPTION_NAMES, type OptionName, declarationOf, variableOf } from '../config/options.ts'

/** What the command line asks for. */
export interface Actions {
  serve(flags: Partial<Record<OptionName, unknown>>, file: string | undefined, check: boolean): Promise<void>
  token(request: TokenRequest): Promise<void>
}

export interface TokenRequest {
  secretFile: string | undefined
  topics: string[]
  /** Milliseconds from now. */
  lifetimeMs: number
  subject: string | undefined
}

const PLACEHOLDERS: Record<Declaration['kind'], string> = {
  whole: '<number>',
  bytes: '<bytes>',
  duration: '<time>',
  text: '<text>',
  file: '<file>',
  switch: '[true|false]',
  choice: '<choice>',
  list: '<list...>',
}

/** How the option is written as a flag. */
export function flagOf(name: OptionName): string {
  const { kind, choices } = declarationOf(name)
  const placeholder = kind === 'choice' ? `<${choices?.join('|')}>` : PLACEHOLDERS[kind].replace('...', '')
  return `--${name} ${placeholder}`
}

/** What the option is, for `--help` and the documents. */
export function noteOf(name: OptionName): string {
  const { what, default: fallback } = declarationOf(name)
  return `${what} [${fallback ?? 'not set'}]`
}

/** The command, to be parsed. It throws CommanderError where it would exit. */
export function makeCommand(version: string, actions: Actions): Command {
  const command = new Command('peerlog-relay')
    .description('A stateless WebSocket relay for peerlog that can read nothing of what it forwards.')
    .version(version)
    .usage('[options]')
    .enablePositionalOptions()
    .allowExcessArguments(false)
    .showSuggestionAfterError()
    .showHelpAfterError('(peerlog-relay --help lists the flags)')
    .exitOverride()
    .configureHelp({ helpWidth: 110 })
  command.addOption(new Option('-c, --config <file>', 'JSON file with any of the options below, without their dashes'))
  command.addOption(new Option('--check', 'print the configuration in effect, secrets masked, and exit'))
  for (const name of OPTION_NAMES) command.addOption(optionOf(name))
  command.addHelpText(
    'after',
    `
Every option can be set by flag, by environment variable (--max-clients is ${variableOf('max-clients')}) or in the
file; the first of these that has it wins. Lists are written with commas. Times need a unit: 500ms, 10s, 5m, 1h.
SIGTERM sends clients elsewhere and ends; SIGHUP reads certificate, token secrets and log level again.`,
  )
  command.action(async (values: Record<string, unknown>) => {
    const flags: Partial<Record<OptionName, unknown>> = {}
    for (const name of OPTION_NAMES) {
      const value = values[camel(name)]
      if (value !== undefined) flags[name] = value
    }
    await actions.serve(flags, values.config as string | undefined, values.check === true)
  })
  addTokenCommand(command, actions)
  return command
}

function optionOf(name: OptionName): Option {
  const { group, kind } = declarationOf(name)
  const short = name === 'port' ? '-p, ' : ''
  const option = new Option(`${short}${flagOf(name)}`, `${noteOf(name)} ${variableOf(name)}`)
  option.helpGroup(`${group}:`)
  if (kind === 'list') {
    option.argParser((text: string, before: string | undefined) => (before === undefined ? text : `${before},${text}`))
  }
  return option
}

function addTokenCommand(command: Command, actions: Actions): void {
  command
    .command('token')
    .description('print a token that lets its bearer use topics of a relay with the same secret')
    .addOption(new Option('--token-secret-file <file>', 'file with the secret; of several lines the first counts'))
    .requiredOption(
      '--topic <rendezvous|*>',
      'topic that it is for: its rendezvous in hex; repeat for several; * for all',
      gather,
    )
    .requiredOption('--expires <time>', 'how long it is valid: 12h, 30d', lifetime)
    .option('--subject <text>', 'who it is for; appears in the log of the relay at level debug')
    .showHelpAfterError('(peerlog-relay token --help lists the flags)')
    .action(
      async (values: { tokenSecretFile?: string; topic: string[]; expires: number; subject?: string }) =>
        await actions.token({
          secretFile: values.tokenSecretFile,
          topics: values.topic,
          lifetimeMs: values.expires,
          subject: values.subject,
        }),
    )
}

function gather(text: string, before: string[] | undefined): string[] {
  return [...(before ?? []), ...text.split(',').map((topic) => topic.trim())]
}

function lifetime(text: string): number {
  const ms = duration(text)
  if (ms === undefined || ms === 0) throw new InvalidArgumentError('Write a time with its unit: 12h, 30d.')
  return ms
}

/** `max-clients` → `maxClients`, as commander calls it. */
function camel(name: string): string {
  return name.replaceAll(/-(\w)/g, (_, letter: string) => letter.toUpperCase())
}

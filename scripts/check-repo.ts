/**
 * Checks what no other tool does: sizes of files, tests that are left out or run alone, notes to self, traces of one
 * machine, limits that nothing enforces. `--root FOLDER` checks another folder.
 */
import { existsSync, readFileSync, statSync } from 'node:fs'
import { homedir } from 'node:os'
import { basename, join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { REPOSITORY, repositoryFiles } from './lib/files.ts'
import { Report } from './lib/report.ts'

const MAX_SOURCE_LINES = 400
const MAX_ADR_BYTES = 2500

/** Packages that a single source file may import, so that they can be exchanged there. */
const ONE_IMPORTER = ['better-sqlite3']

const BINARY = /\.(?:png|jpe?g|gif|ico|woff2?|db|sqlite|bin|gz|tgz|wasm)$/
const SOURCE = /^(?:src|relay-server\/src)\/.*\.ts$/
const CODE = /\.(?:ts|tsx|js|mjs|cjs|sh|json|jsonc|yml|yaml|md)$|^\.ci\/|(?:^|\/)\.npmrc$/

const root = resolve(parseArgs({ options: { root: { type: 'string', default: REPOSITORY } } }).values.root)
const report = new Report()
const files = repositoryFiles(root)
const texts = new Map<string, string>()
for (const path of files) {
  if (!BINARY.test(path)) texts.set(path, readFileSync(join(root, path), 'utf8'))
}

/** Every match of a pattern in a file, each with its line. */
function* matches(path: string, pattern: RegExp): Generator<{ place: string; match: RegExpMatchArray }> {
  const text = texts.get(path) ?? ''
  for (const match of text.matchAll(pattern)) {
    yield { place: `${path}:${text.slice(0, match.index).split('\n').length}`, match }
  }
}

function forbid(path: string, pattern: RegExp, why: string): void {
  for (const { place, match } of matches(path, pattern)) report.problem(place, `${match[0].trim()}: ${why}`)
}

// ---- sizes ------------------------------------------------------------------------------------------------------

for (const [path, text] of texts) {
  if (SOURCE.test(path)) {
    const lines = text.split('\n').length - 1
    if (lines > MAX_SOURCE_LINES) {
      report.problem(path, `${lines} lines, more than ${MAX_SOURCE_LINES}: is there a second noun in there?`)
    }
  }
  if (/^docs\/adr\/.*\.md$/.test(path)) {
    const { size } = statSync(join(root, path))
    if (size > MAX_ADR_BYTES) report.problem(path, `${size} bytes, more than ${MAX_ADR_BYTES}: say it shorter`)
  }
}

// ---- tests ------------------------------------------------------------------------------------------------------

for (const path of texts.keys()) {
  if (/\.test\.ts$/.test(path) || /^(?:test|relay-server\/test)\/.*\.ts$/.test(path)) {
    // A case that a context skips with a reason, `context.skip('why')`, is a declared capability.
    forbid(path, /\b(?:it|test|describe|suite|bench)(?:\.\w+)*\.(?:only|skip|todo|fails)\b/g, 'run it or delete it')
    forbid(path, /\.(?:only|skip)\(\s*\)/g, 'give the reason')
    forbid(path, /\bretry\s*:(?!\s*0\b)/g, 'a test that needs another try has found something')
  }
  if (/(?:^|\/)vitest\.[\w.]*ts$/.test(path))
    forbid(path, /\bretry\s*:(?!\s*0\b)/g, 'a test that needs another try has found something')
}

// ---- notes to self, traces of a machine --------------------------------------------------------------------------

const NOTE = /\b(?:TO[D]O|FIX[M]E|XX[X])\b/g
const REGISTRY =
  /(?:\/\/|\b)(?:registry\.(?:npm|yarn)|npm\.pkg\.)[\w.-]+|\/\/[\w.-]*(?:registry|artifactory|verdaccio|nexus)[\w.-]*|\bregistry\s*=\s*https?:\S*/gi
const MACHINE_PATH = /(?<![\w.~*$}\])-])\/(?:work|root|Users|home|mnt|tmp)\/[\w.-]+/g
/** Home of the user that official Node images have. */
const NOBODYS_PATH = /^\/home\/node\b/

const here = [resolve(root), homedir()].filter((path) => path.length > 4)
for (const [path, text] of texts) {
  if (!CODE.test(path)) continue
  const lock = basename(path) === 'package-lock.json'
  if (!lock) forbid(path, NOTE, 'do it, or open an issue')
  if (lock) forbid(path, /"resolved": "(?:https?|git)[^"]*/g, 'a lock file names no host')
  forbid(path, REGISTRY, 'no registry by name')
  for (const { place, match } of matches(path, MACHINE_PATH)) {
    if (!NOBODYS_PATH.test(match[0])) report.problem(place, `${match[0]}: a path of one machine`)
  }
  for (const place of here) {
    if (text.includes(`${place}/`)) report.problem(path, `names ${place}, a path of this machine`)
  }
}

// ---- limits -----------------------------------------------------------------------------------------------------

let limits = 0
for (const path of texts.keys()) {
  if (!SOURCE.test(path) || basename(path) !== 'limits.ts') continue
  for (const { place, match } of matches(path, /^export const (\w+)/gm)) {
    limits++
    const word = new RegExp(`\\b${match[1] ?? ''}\\b`)
    const used = [...texts].some(([other, text]) => other !== path && SOURCE.test(other) && word.test(text))
    if (!used) report.problem(place, `${match[1] ?? ''} limits nothing: no source file refers to it`)
  }
}

// ---- one importer -----------------------------------------------------------------------------------------------

for (const name of ONE_IMPORTER) {
  const imported = new RegExp(`(?:from|import|require)\\s*\\(?\\s*['"]${name}['"]`)
  const importers = [...texts].filter(([path, text]) => SOURCE.test(path) && imported.test(text)).map(([path]) => path)
  if (importers.length > 1) report.problem('', `${name} is imported by ${importers.join(' and ')}: keep it to one file`)
}

// ---- packages ---------------------------------------------------------------------------------------------------

const version = (path: string) => (JSON.parse(texts.get(path) ?? '{}') as { version?: string }).version
if (version('package.json') !== version('relay-server/package.json')) {
  report.problem('relay-server/package.json', 'has another version than package.json: the two are released together')
}
for (const folder of ['', 'relay-server/']) {
  if (existsSync(join(root, folder, 'package.json')) && !existsSync(join(root, folder, 'LICENSE'))) {
    report.problem(`${folder}LICENSE`, 'is missing')
  }
}

report.finish(`repository: ${files.length} files, ${limits} limits`)

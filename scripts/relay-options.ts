/**
 * Keeps the table of the relay's options in docs/RELAY.md, between `<!-- options -->` and `<!-- /options -->`, equal to
 * what the relay declares (and `peerlog-relay --help` prints). `--write` fills it in, `--check` (the default) says whether
 * it is different.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { flagOf } from '../relay-server/src/cli/flags.ts'
import { OPTION_NAMES, declarationOf } from '../relay-server/src/config/options.ts'
import { REPOSITORY } from './lib/files.ts'
import { Report } from './lib/report.ts'

const DOCUMENT = 'docs/RELAY.md'
const PLACE = /(<!-- options -->)([\s\S]*?)(<!-- \/options -->)/

/** The options as Markdown, a table for each group. */
function optionTables(): string {
  const groups = [...new Set(OPTION_NAMES.map((name) => declarationOf(name).group))]
  const tables = groups.map((group) => {
    const rows = OPTION_NAMES.filter((name) => declarationOf(name).group === group).map((name) => {
      const { default: fallback = 'not set', what } = declarationOf(name)
      return `| \`${flagOf(name).replaceAll('|', '\\|')}\` | ${fallback} | ${what} |`
    })
    return [`**${group}**`, '', '| option | default | what it is |', '| --- | --- | --- |', ...rows].join('\n')
  })
  return `\n\n${tables.join('\n\n')}\n\n`
}

/** How much of a document counts when it is compared: tables may be padded by a formatter. */
const bare = (text: string): string => text.replaceAll(/\|[ -]+(?=\|)/g, '|').replaceAll(/\s+/g, ' ')

/** Checks, or with `write` mends, the document. */
export function checkRelayOptions(root: string, report: Report, write = false): void {
  const path = join(root, DOCUMENT)
  const text = readFileSync(path, 'utf8')
  const filled = text.replace(PLACE, (_all, open: string, _old: string, close: string) => open + optionTables() + close)
  if (!PLACE.test(text)) report.problem(DOCUMENT, 'has no place for the options: <!-- options --><!-- /options -->')
  if (bare(filled) === bare(text)) return
  if (write) writeFileSync(path, filled)
  else
    report.problem(
      DOCUMENT,
      'has other options than the relay; run: node --import ts-blank-space/register scripts/relay-options.ts --write',
    )
}

if (import.meta.filename === process.argv[1]) {
  const { values } = parseArgs({
    options: { write: { type: 'boolean' }, check: { type: 'boolean' }, root: { type: 'string', default: REPOSITORY } },
  })
  const report = new Report()
  checkRelayOptions(resolve(values.root), report, values.write === true)
  report.finish('options of the relay in documents: ok')
}

import type { Command } from 'commander'
import { Option } from 'commander'
import type { ReadOptions } from '../index.ts'
import { counted } from './format.ts'
import type { CommonFlags } from './flags.ts'
import { addCommonFlags, wholeNumber } from './flags.ts'
import { withDatabase } from './with-database.ts'

interface LogFlags extends CommonFlags {
  subject?: string
  limit?: number
  after?: number
  reverse?: true
  order?: 'arrival' | 'causal' | 'clock'
}

export function addLog(program: Command): void {
  const command = program
    .command('log')
    .summary('print what is stored')
    .description(
      'Prints the events in the file. It only reads: it uses no network, and works while another process has the file.',
    )
  command
    .option('-s, --subject <pattern>', "only these: 'notes/*' for one level, 'notes/**' for any number")
    .option('-n, --limit <count>', 'at most so many', wholeNumber)
    .option('--after <position>', 'only after the event at this position (with --reverse: before it)', wholeNumber)
    .option('-r, --reverse', 'last ones first')
    .addOption(
      new Option(
        '--order <order>',
        'by their arrival here; after all that their authors had seen; or by the clocks of their authors: the same everywhere',
      ).choices(['arrival', 'causal', 'clock']),
    )
  addCommonFlags(command)
    .addHelpText(
      'after',
      `
Examples:
  $ peerlog log -k my-notes --reverse --limit 20
  $ peerlog log -k my-notes --order clock --subject 'notes/**' --json > notes.jsonl`,
    )
    .action((flags: LogFlags) => printLog(flags))
}

async function printLog(flags: LogFlags): Promise<void> {
  const { subject, limit, after, reverse, order } = flags
  await withDatabase(flags, { readOnly: true }, async ({ db, output, signal }) => {
    const options: ReadOptions = {
      signal,
      ...(subject === undefined ? {} : { subject }),
      ...(limit === undefined ? {} : { limit }),
      ...(after === undefined ? {} : { after }),
      ...(reverse === undefined ? {} : { reverse }),
      ...(order === undefined ? {} : { order }),
    }
    for await (const event of db.read(options)) await output.event(event)
    const missing = [...db.missing().values()]
    if (missing.length > 0) {
      const events = counted(
        missing.reduce((sum, count) => sum + count, 0),
        'earlier event',
      )
      output.status(output.statusColors.dim(`${counted(missing.length, 'author')} not whole: ${events} left out here`))
    }
  })
}

import type { Command } from 'commander'
import type { ReadOptions } from '../index.ts'
import type { CommonFlags } from './flags.ts'
import { addCommonFlags, addSinceFlag, wholeNumber } from './flags.ts'
import { withDatabase } from './with-database.ts'

interface RecvFlags extends CommonFlags {
  subject?: string
  all?: true
  limit?: number
  after?: number
}

export function addRecv(program: Command): void {
  const command = program
    .command('recv')
    .summary('print what others write, as it comes')
    .description(
      'Prints events of others as they arrive, until Ctrl-C: also those written before, if they had not arrived here yet.\n' +
        'What you wrote yourself is not shown, nor what this file held already.',
    )
  command
    .option('-s, --subject <pattern>', "only these: 'notes/*' for one level, 'notes/**' for any number")
    .option('-a, --all', 'also what is here already, and what you wrote yourself')
    .option('--after <position>', 'also what arrived here after this position (see --json)', wholeNumber)
    .option('-n, --limit <count>', 'end after so many events', wholeNumber)
  addCommonFlags(addSinceFlag(command))
    .addHelpText(
      'after',
      `
Examples:
  $ peerlog recv -k my-notes
  $ peerlog recv -k my-notes --subject 'notes/**' --json | jq .payload
  $ peerlog recv -k my-notes -d inbox.db --all --limit 100`,
    )
    .action((flags: RecvFlags) => recv(flags))
}

async function recv(flags: RecvFlags): Promise<void> {
  await withDatabase(flags, { status: true }, async ({ db, output, signal }) => {
    const options: ReadOptions = {
      follow: true,
      signal,
      after: flags.after ?? (flags.all === true ? 0 : db.position),
      ...(flags.all === true ? {} : { local: false }),
      ...(flags.subject === undefined ? {} : { subject: flags.subject }),
      ...(flags.limit === undefined ? {} : { limit: flags.limit }),
    }
    const events = db.read(options)
    const transports = new Set(
      (flags.transport ?? (flags.relay === undefined ? ['hyperswarm'] : ['relay'])).map(String),
    )
    output.status(output.statusColors.dim(`waiting for others over ${[...transports].join(' and ')}; Ctrl-C ends`))
    for await (const event of events) await output.event(event)
  })
}

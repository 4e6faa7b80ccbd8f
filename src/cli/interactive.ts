import readline from 'node:readline'
import type { Command } from 'commander'
import { Delivery } from './delivery.ts'
import type { CommonFlags } from './flags.ts'
import { addCommonFlags, addSinceFlag, isLocalOnly, seconds } from './flags.ts'
import { counted, short, way } from './format.ts'
import { printable } from './printable.ts'
import type { Context } from './with-database.ts'
import { withDatabase } from './with-database.ts'

interface InteractiveFlags extends CommonFlags {
  subject: string
  type?: string
  show?: string
  wait: number
}

const HELP = `Each line is an event. Also:
  /peers      who is there
  /log [n]    the last n events, 10 if not said
  /me         our own author key
  /help       this
  quit        leave (or Ctrl-D)
A line that begins with '//' is sent without the first slash.`
const LOG_DEFAULT = 10

export function addInteractive(program: Command): void {
  const command = program
    .command('interactive')
    .summary('write line by line, and see what others write')
    .description("Each line is an event; what others write appears as it comes. 'quit' leaves, '/help' tells more.")
  command
    .option('-s, --subject <subject>', 'the name to publish under', 'events')
    .option('-t, --type <type>', 'says what kind of event it is')
    .option('--show <pattern>', 'the subjects to show (default: all)')
    .option('-w, --wait <seconds>', 'when leaving, how long to wait for others to take what was written', seconds, 5)
  addCommonFlags(addSinceFlag(command))
    .addHelpText(
      'after',
      `
Examples:
  $ peerlog interactive -k my-room
  $ peerlog interactive -k my-room --subject room/kitchen --show 'room/**'`,
    )
    .action((flags: InteractiveFlags) => interact(flags))
}

async function interact(flags: InteractiveFlags): Promise<void> {
  await withDatabase(flags, { status: true }, async (context) => {
    const { db, output, signal } = context
    const shown = { follow: true, local: false, after: db.position, signal }
    const events = db.read(flags.show === undefined ? shown : { ...shown, subject: flags.show })
    const showing = (async () => {
      for await (const event of events) await output.event(event)
    })()
    output.status(output.statusColors.dim("each line is an event; '/help' for more, 'quit' to leave"))
    const delivery = new Delivery(db)
    const written = await Promise.race([takeLines(flags, context), showing.then(() => 0)])
    // Where nobody is there, a person is not kept waiting; input from a pipe ends before anybody could be found.
    const someone = db.sync.peers().length > 0 || (!process.stdin.isTTY && !isLocalOnly(flags))
    if (written > 0 && someone && !signal.aborted) {
      const holders = await delivery.of(written, flags.wait * 1000, signal)
      if (holders.length === 0) output.status('nobody has confirmed all of it yet; the rest is handed over next time')
    }
    delivery.close()
    context.stop()
    await showing
  })
}

/** Appends lines until `quit`, the end of the input or the signal; returns the position of the last, or 0. */
async function takeLines(flags: InteractiveFlags, context: Context): Promise<number> {
  const { db, output, signal } = context
  const terminal = process.stdin.isTTY && process.stdout.isTTY
  const lines = readline.createInterface({
    input: process.stdin,
    ...(terminal ? { output: process.stdout, prompt: `${output.colors.bold('>')} ` } : {}),
    terminal,
    crlfDelay: Infinity,
  })
  if (terminal) {
    output.setPrompt({ hide: () => void process.stdout.write('\r\u001b[J'), show: () => lines.prompt(true) })
    lines.prompt()
  }
  const common = { subject: flags.subject, ...(flags.type === undefined ? {} : { type: flags.type }) }
  const close = (): void => lines.close()
  signal.addEventListener('abort', close)
  lines.on('SIGINT', context.stop)
  let written = 0
  let working: Promise<void> = Promise.resolve()
  return new Promise<number>((resolve, reject) => {
    const take = async (line: string): Promise<void> => {
      if (line.startsWith('/') && !line.startsWith('//')) return obey(line.slice(1), context)
      const [event] = await db.appendMany([{ ...common, data: line.startsWith('//') ? line.slice(1) : line }])
      written = event?.position ?? written
    }
    lines.on('line', (line) => {
      if (/^\s*\/?(quit|exit)\s*$/.test(line)) return lines.close()
      if (line.trim() === '' || signal.aborted) return lines.prompt()
      working = working.then(() => take(line)).then(() => lines.prompt())
      working.catch(close)
    })
    lines.once('close', () => {
      output.setPrompt(null)
      if (terminal) process.stdout.write('\n')
      process.stdin.destroy()
      signal.removeEventListener('abort', close)
      working.then(() => resolve(written), reject)
    })
  })
}

async function obey(command: string, { db, output }: Context): Promise<void> {
  const [name = '', argument = ''] = command.trim().split(/\s+/)
  switch (name) {
    case 'peers':
    case 'who': {
      const peers = db.sync.peers()
      if (peers.length === 0) return output.status('nobody else is there')
      for (const { peerId, transport, reason, inSync } of peers) {
        output.status(`${short(peerId)}  ${way(transport, reason)}  ${inSync ? 'in sync' : 'syncing'}`)
      }
      return
    }
    case 'log': {
      const limit = /^\d+$/.test(argument) ? Number(argument) : LOG_DEFAULT
      const newest = []
      for await (const event of db.read({ reverse: true, limit })) newest.push(event)
      for (const event of newest.toReversed()) await output.event(event)
      if (newest.length === 0) output.status('nothing yet')
      return
    }
    case 'me':
      return output.status(
        `${db.author}, ${counted(db.frontier().get(db.author) ?? 0, 'event')}, ${printable(db.path)}`,
      )
    case 'help':
      return output.status(HELP)
    default:
      output.status(`no such command: /${printable(name)}; '/help' lists them, '//' sends a slash`)
  }
}

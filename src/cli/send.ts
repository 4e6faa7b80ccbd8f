import { type Command, Option } from 'commander'
import { Delivery } from './delivery.ts'
import { UsageError } from './failure.ts'
import type { CommonFlags } from './flags.ts'
import { addCommonFlags, addSinceFlag, isLocalOnly, seconds } from './flags.ts'
import { counted, short } from './format.ts'
import type { Context } from './with-database.ts'
import { withDatabase } from './with-database.ts'

interface SendFlags extends CommonFlags {
  subject: string
  type?: string
  /** `true`, or the JSON itself. */
  dataJson?: true | string
  wait: number
}

/** What has been appended, and the position of the last. */
interface Sent {
  count: number
  position: number
}

export function addSend(program: Command): void {
  const command = program
    .command('send')
    .summary('append events and hand them to whoever is there')
    .description(
      'Appends one event made of the arguments or, without arguments, one for each line of standard input.\n' +
        'Prints the id of each. Then waits until another peer has them all, and says whether one does.',
    )
    .argument('[text...]', 'what to send; several words are joined by spaces')
  command
    .option('-s, --subject <subject>', 'the name to publish under', 'events')
    .option('-t, --type <type>', 'says what kind of event it is')
    .addOption(new Option('--data-json [json]', 'the text is JSON: send the value it stands for'))
    .option(
      '-w, --wait <seconds>',
      'how long to wait for somebody to take it; 0: only store it, without any network',
      seconds,
      10,
    )
  addCommonFlags(addSinceFlag(command))
    .addHelpText(
      'after',
      `
Examples:
  $ peerlog send -k my-notes 'hello world'
  $ peerlog send -k my-notes --subject notes/shopping --data-json '{"text":"milk"}'
  $ tail -f app.log | peerlog send -k my-logs --subject logs/app --relay wss://relay.example.org`,
    )
    .action((text: string[], flags: SendFlags) => send(text, flags))
}

async function send(text: string[], flags: SendFlags): Promise<void> {
  const words = typeof flags.dataJson === 'string' ? [flags.dataJson, ...text] : text
  const whole = words.length === 0 ? null : words.join(' ')
  const data = whole === null ? undefined : dataOf(whole, flags)
  const offline = flags.wait === 0 || isLocalOnly(flags)
  await withDatabase(flags, { offline, status: true }, async (context) => {
    const delivery = new Delivery(context.db)
    try {
      const events = whole === null ? await sendLines(flags, context) : await append([data], flags, context)
      if (events.count === 0) return context.output.status('nothing to send')
      await reportDelivery(events, delivery, offline ? 0 : flags.wait, context)
    } finally {
      delivery.close()
    }
  })
}

function dataOf(text: string, { dataJson }: SendFlags, where = ''): unknown {
  if (dataJson === undefined) return text
  try {
    return JSON.parse(text) as unknown
  } catch (error) {
    throw new UsageError(
      `${where}not JSON: ${(error as Error).message}`,
      'A text is JSON in double quotes: \'"hello"\'',
    )
  }
}

async function append(items: unknown[], { subject, type }: SendFlags, { db, output }: Context): Promise<Sent> {
  const common = type === undefined ? { subject } : { subject, type }
  const events = await db.appendMany(items.map((data) => ({ ...common, data })))
  for (const event of events) await (output.json ? output.event(event) : output.line(event.id))
  return { count: events.length, position: events.at(-1)?.position ?? 0 }
}

/** Appends each piece of input as it comes, so that a live source is live. */
async function sendLines(flags: SendFlags, context: Context): Promise<Sent> {
  const { output } = context
  if (process.stdin.isTTY) output.status('one event per line; Ctrl-D ends')
  const sent: Sent = { count: 0, position: 0 }
  let lineNumber = 0
  for await (const lines of inputLines(context.signal)) {
    const items: unknown[] = []
    let failure: Error | null = null
    for (const line of lines) {
      lineNumber++
      if (flags.dataJson !== undefined && line.trim() === '') continue
      try {
        items.push(dataOf(line, flags, `line ${lineNumber} is `))
      } catch (error) {
        failure = error as Error
        break
      }
    }
    if (items.length > 0) {
      const { count, position } = await append(items, flags, context)
      Object.assign(sent, { count: sent.count + count, position })
    }
    if (failure === null) continue
    if (sent.count > 0) output.status(`${counted(sent.count, 'event')} stored before that`)
    throw failure
  }
  return sent
}

/** The complete lines of standard input, in the portions it comes in. */
async function* inputLines(signal: AbortSignal): AsyncGenerator<string[]> {
  const { stdin } = process
  const end = (): void => void stdin.destroy()
  signal.addEventListener('abort', end)
  let rest = ''
  try {
    for await (const chunk of stdin.setEncoding('utf8') as AsyncIterable<string>) {
      const lines = (rest + chunk).split(/\r?\n/)
      rest = lines.pop() ?? ''
      if (lines.length > 0) yield lines
    }
  } catch (error) {
    if (!signal.aborted) throw error
  } finally {
    signal.removeEventListener('abort', end)
  }
  if (rest !== '' && !signal.aborted) yield [rest]
}

async function reportDelivery(
  { count, position }: Sent,
  delivery: Delivery,
  wait: number,
  { db, output, signal }: Context,
): Promise<void> {
  const { green, yellow } = output.statusColors
  const what = counted(count, 'event')
  if (wait === 0) return output.status(`${yellow('…')} ${what} stored; handed over when this database is next online`)
  const holders = await delivery.of(position, wait * 1000, signal)
  if (holders.length > 0) return output.status(`${green('✓')} ${what} delivered to ${holders.map(short).join(', ')}`)
  const why = db.sync.peers().length === 0 ? 'nobody else is there' : 'nobody has confirmed it yet'
  output.status(`${yellow('…')} ${what} stored; ${why}. Handed over when this database is next online`)
}

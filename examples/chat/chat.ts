/**
 * A chat without a server. Everybody in a room holds all of it, in a SQLite file of their own.
 *
 *   node --import ts-blank-space/register examples/chat/chat.ts --room lobby --name ada
 */
import os from 'node:os'
import readline from 'node:readline'
import { parseArgs } from 'node:util'
import { type Event, open, PeerlogError, type TransportChoice } from 'peerlog'

/** What people say, as it is stored. Other programs write to the database too: what comes from there is checked. */
interface Said {
  name: string
  text: string
}

const USAGE = `Usage: chat.ts [--room lobby] [--name ada] [--db chat-ada.db] [--relay ws://…] [--secret …]
Without --relay, peers find each other through the public DHT of Hyperswarm. Without --secret, anyone may join.`
const HELP = `* /who: who is connected   /help: this   /quit: leave
  Everything else is said to the room; '//' says a slash.`

function options() {
  const { values } = parseArgs({
    options: {
      room: { type: 'string', default: 'lobby' },
      name: { type: 'string', default: os.userInfo().username },
      db: { type: 'string' },
      relay: { type: 'string', multiple: true },
      secret: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  })
  return { ...values, db: values.db ?? `chat-${values.name.replace(/[^\p{L}\p{N}]+/gu, '_')}.db` }
}

async function chat({ room, name, db: path, relay, secret }: ReturnType<typeof options>): Promise<void> {
  const transport: TransportChoice = relay === undefined ? { mode: 'hyperswarm' } : { mode: 'relay', relayUrl: relay }
  const db = await open({
    databaseId: 'peerlog-example-chat',
    path,
    transport,
    ...(secret === undefined ? {} : { secret }),
  })
  const subject = `chat/${room}`
  const leaving = new AbortController()
  const input = readline.createInterface({ input: process.stdin, output: process.stdout, prompt: `${name}> ` })

  // What arrives is written above the line that is being typed.
  const show = (line: string): void => {
    if (leaving.signal.aborted) return
    if (process.stdout.isTTY) process.stdout.write('\r\u001b[J')
    console.log(line)
    if (process.stdout.isTTY) input.prompt(true)
  }

  // 1. What has been said, in the order of the writers' clocks: the same for everybody.
  const start = db.position
  for await (const event of db.read({ subject, order: 'clock' })) {
    const line = lineOf(event)
    if (event.position <= start && line !== null) show(line)
  }

  // 2. Who comes and goes.
  db.sync.on('PeerConnected', ({ peerId, transport }) => show(`* ${peerId.slice(0, 8)} is here, over ${transport}`))
  db.sync.on('PeerDisconnected', ({ peerId }) => show(`* ${peerId.slice(0, 8)} has left`))
  db.sync.on('Problem', ({ source, message }) => show(`* ${clean(`${source}: ${message}`)}`))

  // 3. What is being said, as it arrives; our own words we have seen while we typed them.
  const listening = (async () => {
    for await (const event of db.read({ subject, after: start, local: false, follow: true, signal: leaving.signal })) {
      const line = lineOf(event)
      if (line !== null) show(line)
    }
  })()

  // 4. What we say. It is stored when `append` resolves, whether anybody is there or not.
  const commands: Record<string, () => void> = {
    '/help': () => show(HELP),
    '/quit': () => input.close(),
    '/who': () => {
      const peers = db.sync.peers().map((peer) => `${peer.peerId.slice(0, 8)} over ${peer.transport}`)
      show(peers.length === 0 ? '* nobody else is connected' : `* ${peers.join(', ')}`)
    },
  }
  show(`* you are ${name} in ${subject}; /help for help`)
  input.on('SIGINT', () => input.close())
  for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => input.close())
  for await (const line of input) {
    const command = commands[line.trim()]
    if (command !== undefined) command()
    else if (/^\/\w/.test(line)) show(`* no such command: ${line}\n${HELP}`)
    else if (line.trim() !== '') await db.append<Said>(subject, { name, text: line.replace(/^\/\//, '/') })
    if (process.stdout.isTTY) input.prompt()
  }
  leaving.abort()
  await listening
  // Peers are told, the file and all sockets are released, and the process ends by itself.
  await db.close()
}

function lineOf({ timestamp, data }: Event): string | null {
  const { name, text } = (data ?? {}) as Partial<Said>
  if (typeof name !== 'string' || typeof text !== 'string') return null
  const time = new Date(timestamp).toTimeString().slice(0, 5)
  return `${time} ${clean(name)}: ${clean(text)}`
}

/** Nobody may move our cursor or clear our screen. */
function clean(text: string): string {
  return text.replace(/\p{Cc}/gu, '\u{fffd}')
}

try {
  const given = options()
  if (given.help) console.log(USAGE)
  else await chat(given)
} catch (error) {
  const known = error instanceof PeerlogError || (error instanceof TypeError && 'code' in error)
  console.error(known ? error.message : error)
  if (!(error instanceof PeerlogError)) console.error(USAGE)
  process.exitCode = 1
}

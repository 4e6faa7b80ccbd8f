/**
 * npm run demo: five processes share a book. Two of them only reach the DHT, two only the relay, one both; each writes a
 * fifth of the lines, one is killed in the middle and comes back. At the end all five files must hold the whole book.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import createTestnet from 'hyperdht/testnet.js'
import type { TransportChoice } from 'peerlog'
import { createRelay } from 'peerlog-relay'
import { checkFile } from './check.ts'
import { PeerProcess } from './peer-process.ts'
import { Screen, secondsOf, style } from './screen.ts'
import { textLines } from './text.ts'

const LIMIT_MS = 120_000
const DHT_NODES = 5
/** Lines that the victim has written when it is killed, and that the others then write before it comes back. */
const KILLED_AFTER_LINES = 200
const AWAY_FOR_EVENTS = 500

const text = textLines()
const folder = await mkdtemp(path.join(os.tmpdir(), 'peerlog-demo-'))
const testnet = await createTestnet(DHT_NODES)
const relay = await createRelay({ port: 0, host: '127.0.0.1' })

const direct: TransportChoice = {
  mode: 'hyperswarm',
  bootstrap: testnet.bootstrap.map(({ host, port }) => ({ host, port })),
}
const relayed: TransportChoice = { mode: 'relay', relayUrl: relay.url }
const casts: [name: string, transports: string, transport: TransportChoice[]][] = [
  ['ada', 'hyperswarm', [direct]],
  ['bob', 'hyperswarm', [direct]],
  ['kim', 'hyperswarm + relay', [direct, relayed]],
  ['eve', 'relay', [relayed]],
  ['dan', 'relay', [relayed]],
]
const wait = { over: false, changed: (): void => {}, failed: (_error: Error): void => {} }
const peers = casts.map(([name, transports, transport], first) => {
  const file = path.join(folder, `${name}.db`)
  const common = { databaseId: 'demo', secret: 'five friends and a book' }
  const task = { ...common, name, path: file, transport, first, step: casts.length }
  return new PeerProcess(
    task,
    transports,
    () => wait.changed(),
    (error) => wait.failed(error),
  )
})
const screen = new Screen(peers, text.length)

process.once('SIGINT', () => void stop('stopped').then(() => process.exit(130)))
process.once('SIGTERM', () => void stop('stopped').then(() => process.exit(143)))
let exitCode = 1
try {
  await play()
  exitCode = await verify()
} catch (error) {
  screen.end()
  console.log(`\n${style('red', 'failed:')} ${(error as Error).message}`)
}
await stop()
process.exitCode = exitCode

// ---- the play -----------------------------------------------------------------------------------------------------

async function play(): Promise<void> {
  console.log(`\n${text.length} lines, dealt out to five processes with a SQLite file each, sealed and signed:`)
  console.log(`two meet through a DHT, two through a relay at ${relay.url}, and kim through both.\n`)
  for (const peer of peers) peer.start()
  screen.draw(true)

  const bob = peers.find(({ name }) => name === 'bob') as PeerProcess
  const others = peers.filter((peer) => peer !== bob)
  const writtenByOthers = (): number => others.reduce((sum, peer) => sum + (peer.state?.written ?? 0), 0)

  await until(() => (bob.state?.written ?? 0) >= KILLED_AFTER_LINES)
  await bob.kill()
  screen.note(`bob is killed (SIGKILL), ${bob.state?.written} of its ${bob.state?.share} lines written`)
  const goal = writtenByOthers() + AWAY_FOR_EVENTS
  await until(() => writtenByOthers() >= goal || others.every(({ state }) => state?.written === state?.share))
  screen.note(`bob is back: it goes on where its log ends, and fetches what it has missed`)
  bob.start()

  await until(() => {
    for (const peer of peers) if (peer.state?.events === text.length) peer.tookMs ??= screen.elapsedMs
    return (
      peers.every((peer) => peer.running && peer.tookMs !== null) &&
      new Set(peers.map(({ state }) => state?.root)).size === 1
    )
  })
  screen.end()
}

/** Resolves when the condition holds, looked at whenever a peer says something. */
function until(condition: () => boolean): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`not done in ${secondsOf(LIMIT_MS)}`)), LIMIT_MS - screen.elapsedMs)
    const finish = (settle: () => void): void => {
      clearTimeout(timer)
      wait.changed = () => screen.draw()
      settle()
    }
    wait.failed = (error) => finish(() => reject(error))
    wait.changed = () => {
      screen.draw()
      if (condition()) finish(resolve)
    }
    wait.changed()
  })
}

// ---- the proof ----------------------------------------------------------------------------------------------------

async function verify(): Promise<number> {
  await Promise.all(peers.map((peer) => peer.leave()))
  const verdicts = await Promise.all(peers.map(({ task }) => checkFile(task, text)))
  console.log(`\n${style('bold', 'peer   transport            events  frontier root     took')}`)
  for (const [i, { name, transports, tookMs }] of peers.entries()) {
    const { events, root, faults } = verdicts[i] as (typeof verdicts)[number]
    const row = [name.padEnd(6), transports.padEnd(18), String(events).padStart(8), ` ${root.slice(0, 16)}`]
    const took = tookMs === null ? '-' : secondsOf(tookMs)
    console.log(
      `${row.join(' ')}  ${took.padStart(6)}${faults.map((fault) => style('red', `\n       ${fault}`)).join('')}`,
    )
  }
  const roots = new Set(verdicts.map(({ root }) => root))
  if (roots.size > 1) console.log(`\n${style('red', 'failed:')} the files hold different events`)
  if (roots.size > 1 || verdicts.some(({ faults }) => faults.length > 0)) return 1
  console.log(
    `\n${style('green', '✓')} All five files hold the same ${text.length} events: every line once, as in the text.`,
  )
  console.log(`\nNext, each in two terminals:
  node --import ts-blank-space/register examples/chat/chat.ts --room lobby --name ada    (and --name bob)
  npx peerlog interactive -k my-first-room -d one.db                                     (and -d two.db)`)
  return 0
}

async function stop(why?: string): Promise<void> {
  if (why !== undefined) {
    screen.end()
    console.log(why)
  }
  await Promise.all(peers.map((peer) => peer.kill()))
  await Promise.all([relay.close(), testnet.destroy()])
  await rm(folder, { recursive: true, force: true })
}

import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { MAX_PAYLOAD_BYTES, WINDOW_BYTES, allocDataFrame, dataCost } from '../../relay-server/src/frames.ts'
import { Fleet, type RelayProcess } from './cluster-stage.ts'
import { RawClient } from './raw-client.ts'

const MIB = 1024 * 1024
/** Bytes that a process may grow by beside what the test has on the way: buffers of the runtime, of sockets. */
const SLACK_BYTES = 96 * MIB

let fleet: Fleet
let clients: RawClient[] = []

beforeAll(async () => {
  fleet = await Fleet.start()
})
afterAll(async () => {
  for (const { socket } of clients) socket.terminate()
  await fleet[Symbol.asyncDispose]()
})

interface Pair {
  from: RawClient
  at: number
  to: RawClient
  toAt: number
}

async function pair(first: RelayProcess, second: RelayProcess): Promise<Pair> {
  const topic = randomBytes(32)
  const [from, to] = [await RawClient.open(first.url), await RawClient.open(second.url)]
  clients.push(from, to)
  to.join(topic, 'announce')
  await to.take('joined')
  from.join(topic, 'connect')
  return { from, to, at: (await from.take('peer')).channel, toAt: (await to.take('peer')).channel }
}

/** Milliseconds for a small message to the other and back. */
async function roundTrip({ from, at, to, toAt }: Pair): Promise<number> {
  const since = performance.now()
  from.send({ kind: 'data', channel: at, payload: Buffer.from('ping') })
  await to.take('data')
  to.send({ kind: 'data', channel: toAt, payload: Buffer.from('pong') })
  await from.take('data')
  return performance.now() - since
}

const medianOf = async (pairOfTwo: Pair): Promise<number> => {
  const times: number[] = []
  for (let i = 0; i < 41; i++) times.push(await roundTrip(pairOfTwo))
  return times.sort((a, b) => a - b)[20] as number
}

/** Sends within the window as fast as the receiver returns it. Resolves with bytes per second. */
async function stream({ from, at, to, toAt }: Pair, bytes: number): Promise<number> {
  let credit = WINDOW_BYTES
  let received = 0
  let owed = 0
  const since = performance.now()
  await new Promise<void>((resolve) => {
    let left = Math.ceil(bytes / MAX_PAYLOAD_BYTES)
    const frames = left
    const pump = (): void => {
      while (left > 0 && credit >= dataCost(MAX_PAYLOAD_BYTES)) {
        credit -= dataCost(MAX_PAYLOAD_BYTES)
        left--
        from.socket.send(allocDataFrame(at, MAX_PAYLOAD_BYTES))
      }
    }
    to.onFrame = (frame) => {
      if (frame.kind !== 'data') return
      owed += dataCost(frame.payload.length)
      if (owed >= WINDOW_BYTES / 4) {
        to.send({ kind: 'credit', channel: toAt, bytes: owed })
        owed = 0
      }
      if (++received === frames) resolve()
    }
    from.onFrame = (frame) => {
      if (frame.kind === 'credit') credit += frame.bytes
      pump()
    }
    pump()
  })
  to.onFrame = from.onFrame = undefined
  return bytes / ((performance.now() - since) / 1000)
}

test('a client that never reads costs its window on its own instance, and nobody else is slower for it', async () => {
  const [first, second] = fleet.relays
  const quiet = await pair(first, second)
  const latencyBefore = await medianOf(quiet)
  const processes = [first.process, second.process, fleet.nats.process]
  const before = processes.map(({ rss }) => rss)
  const count = 16
  const pairs: Pair[] = []
  for (let i = 0; i < count; i++) pairs.push(await pair(first, second))
  for (const { to } of pairs) to.pause()
  const payload = Buffer.alloc(MAX_PAYLOAD_BYTES)
  const perWindow = Math.floor(WINDOW_BYTES / dataCost(payload.length))
  for (const { from, at } of pairs) {
    for (let i = 0; i < perWindow; i++) from.send({ kind: 'data', channel: at, payload })
  }
  // All of it has reached the other instance: what comes after it has.
  await Promise.all(pairs.map(({ from }) => from.settled()))
  const latency = await medianOf(quiet)
  const grown = processes.map(({ rss }, i) => rss - (before[i] as number))
  console.log(
    `never reading: ${count} × ${WINDOW_BYTES / MIB} MiB on the way; growth of the sender's relay, the receiver's, NATS: ` +
      `${grown.map((bytes) => (bytes / MIB).toFixed(0)).join(', ')} MiB; ` +
      `round trip of others ${latencyBefore.toFixed(2)} ms before, ${latency.toFixed(2)} ms then`,
  )
  for (const bytes of grown) expect(bytes).toBeLessThan(count * WINDOW_BYTES + SLACK_BYTES)
  // One more byte than the window is one too many, wherever the other client is.
  const { from, at } = pairs[0] as Pair
  for (let i = 0; i < 2; i++) from.send({ kind: 'data', channel: at, payload })
  expect((await from.closed).reason).toBe('sent beyond the window')
})

test('bytes pass between instances at a good part of the speed within one', async () => {
  const [first, second] = fleet.relays
  const bytes = Number(process.env['PEERLOG_STREAM_MIB'] ?? 16) * MIB
  const processes = [first.process, second.process, fleet.nats.process]
  const measure = async (pairOfTwo: Pair): Promise<{ speed: number; text: string }> => {
    const before = processes.map(({ cpuMs }) => cpuMs)
    const speed = await stream(pairOfTwo, bytes)
    const cpu = processes.map(({ cpuMs }, i) => (((cpuMs - (before[i] as number)) * MIB) / bytes).toFixed(1))
    return { speed, text: `${(speed / MIB).toFixed(0)} MiB/s (${cpu.join(', ')} ms of CPU per MiB)` }
  }
  const within = await measure(await pair(first, first))
  const across = await measure(await pair(first, second))
  console.log(`one channel: within an instance ${within.text}, across ${across.text}; relay, other relay, NATS`)
  expect(across.speed).toBeGreaterThan(within.speed / 20)
})

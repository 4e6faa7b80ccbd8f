import { randomBytes } from 'node:crypto'
import { afterEach, describe, expect, test } from 'vitest'
import { MAX_PAYLOAD_BYTES, WINDOW_BYTES, dataCost } from '../../relay-server/src/frames.ts'
import { type Relay, createRelay } from '../../relay-server/src/index.ts'
import { REQUEST_BURST } from '../../relay-server/src/limits.ts'
import { RawClient } from './raw-client.ts'
import { until } from './support.ts'

let relay: Relay
afterEach(() => relay.close())

interface Pair {
  a: RawClient
  b: RawClient
  atA: number
  atB: number
}

async function pair(): Promise<Pair> {
  const topic = randomBytes(32)
  const [a, b] = [await RawClient.open(relay.url), await RawClient.open(relay.url)]
  a.join(topic, 'announce')
  await a.take('joined')
  b.join(topic, 'connect')
  return { a, b, atA: (await a.take('peer')).channel, atB: (await b.take('peer')).channel }
}

/** Milliseconds for a message there and back, the middle one of many. */
async function roundTrip({ a, b, atA, atB }: Pair): Promise<number> {
  const times: number[] = []
  const payload = Buffer.from('ping')
  for (let i = 0; i < 100; i++) {
    const since = performance.now()
    a.send({ kind: 'data', channel: atA, payload })
    await b.take('data')
    b.send({ kind: 'credit', channel: atB, bytes: dataCost(4) }, { kind: 'data', channel: atB, payload })
    await a.take('data')
    a.send({ kind: 'credit', channel: atA, bytes: dataCost(4) })
    times.push(performance.now() - since)
  }
  return times.sort((x, y) => x - y)[50] as number
}

describe('a bad client costs itself', () => {
  test('one that does not read: the latency of others stays', async () => {
    relay = await createRelay({ port: 0, host: '127.0.0.1' })
    const good = await pair()
    await roundTrip(good)
    const before = await roundTrip(good)
    const bad = await pair()
    bad.b.pause()
    const payload = Buffer.alloc(MAX_PAYLOAD_BYTES)
    for (let i = 0; i < Math.floor(WINDOW_BYTES / dataCost(payload.length)); i++) {
      bad.a.send({ kind: 'data', channel: bad.atA, payload })
    }
    await bad.a.settled()
    const during = await roundTrip(good)
    expect(relay.stats().bufferedBytes).toBeLessThan(WINDOW_BYTES)
    expect(during).toBeLessThan(5 * before + 20)
    bad.b.socket.terminate()
  })

  test('one that is faster than its rate is read from more slowly, others are not, and nothing is lost', async () => {
    const rate = 1024 * 1024
    relay = await createRelay({ port: 0, host: '127.0.0.1', maxBytesPerSecond: rate, burstBytes: 128 * 1024 })
    const [fast, good] = [await pair(), await pair()]
    const payload = Buffer.alloc(MAX_PAYLOAD_BYTES)
    const count = 20
    const since = performance.now()
    for (let i = 0; i < count; i++) fast.a.send({ kind: 'data', channel: fast.atA, payload })
    await until(() => relay.stats().pausedClients === 1)
    await roundTrip(good)
    for (let i = 0; i < count; i++) expect((await fast.b.take('data')).payload.length).toBe(payload.length)
    await fast.a.settled()
    const seconds = (performance.now() - since) / 1000
    // What comes with the last pause is delivered before it.
    expect(seconds).toBeGreaterThan((count * payload.length - 128 * 1024 - 2 * payload.length) / rate)
    await until(() => relay.stats().pausedClients === 0)
    expect(relay.stats().clients).toBe(4)
  })

  test('one that floods with pings is cut off', async () => {
    relay = await createRelay({ port: 0, host: '127.0.0.1' })
    const [bad, good] = [await RawClient.open(relay.url), await pair()]
    await bad.settled()
    for (let i = 0; i < 2 * REQUEST_BURST; i++) bad.socket.ping()
    expect((await bad.closed).code).toBe(1006)
    await roundTrip(good)
    expect(relay.stats().clients).toBe(2)
  })

  test('one that pings without a break is read from more slowly', async () => {
    relay = await createRelay({ port: 0, host: '127.0.0.1' })
    const bad = await RawClient.open(relay.url)
    await bad.settled()
    let [pings, pongs] = [0, 0]
    bad.socket.on('pong', () => pongs++)
    const paused = (): boolean => relay.stats().pausedClients === 1
    while (!paused()) {
      // As many as ws answers at once.
      for (let i = 0; i < 32; i++, pings++) bad.socket.ping()
      await until(() => pongs === pings || paused())
    }
    expect(pings).toBeGreaterThanOrEqual(REQUEST_BURST)
    bad.socket.terminate()
  })

  test('one client gets only so many peers of a topic', async () => {
    relay = await createRelay({ port: 0, host: '127.0.0.1', maxPeersPerTopic: 2 })
    const topic = randomBytes(32)
    const clients = await Promise.all(Array.from({ length: 6 }, () => RawClient.open(relay.url)))
    for (const client of clients) {
      client.join(topic, 'both')
      await client.settled()
    }
    await Promise.all(clients.map((client) => client.settled()))
    for (const client of clients) expect(client.left.filter((kind) => kind === 'peer').length).toBeLessThanOrEqual(2)
    expect(relay.stats().channels).toBeGreaterThan(2)
  })
})

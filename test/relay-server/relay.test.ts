import { randomBytes } from 'node:crypto'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type Relay, createRelay } from '../../relay-server/src/index.ts'
import { MAX_PAYLOAD_BYTES, WINDOW_BYTES, dataCost } from '../../relay-server/src/frames.ts'
import { MAX_OUTGOING_PAIRS } from '../../relay-server/src/limits.ts'
import { RawClient } from './raw-client.ts'

let relay: Relay
let topic: Buffer

beforeEach(async () => {
  relay = await createRelay({ port: 0, host: '127.0.0.1' })
  topic = randomBytes(32)
})

afterEach(() => relay.close())

const open = (): Promise<RawClient> => RawClient.open(relay.url)

/** Two clients with a channel. */
async function pair(): Promise<{ a: RawClient; b: RawClient; atA: number; atB: number }> {
  const [a, b] = [await open(), await open()]
  a.join(topic, 'announce')
  await a.take('joined')
  b.join(topic, 'connect')
  const [atA, atB] = [(await a.take('peer')).channel, (await b.take('peer')).channel]
  return { a, b, atA, atB }
}

describe('pairing', () => {
  test.each([
    ['announce', 'announce', false],
    ['announce', 'connect', true],
    ['announce', 'both', true],
    ['connect', 'announce', true],
    ['connect', 'connect', false],
    ['connect', 'both', true],
    ['both', 'announce', true],
    ['both', 'connect', true],
    ['both', 'both', true],
  ] as const)('%s and %s: %s', async (first, second, paired) => {
    const [a, b] = [await open(), await open()]
    a.join(topic, first)
    await a.settled()
    b.join(topic, second)
    await b.settled()
    await a.settled()
    expect(a.left.includes('joined')).toBe(first !== 'connect')
    expect(relay.stats()).toMatchObject({ clients: 2, topics: 1, channels: paired ? 1 : 0 })
    if (!paired) return
    const [atA, atB] = [await a.take('peer'), await b.take('peer')]
    expect(atA.initiator).not.toBe(atB.initiator)
    expect([...atA.rendezvous]).toEqual([...topic])
  })

  test('one client is not paired with itself, nor two across topics, nor two twice', async () => {
    const { a, b } = await pair()
    a.join(topic, 'both')
    b.join(topic, 'both')
    b.join(randomBytes(32), 'both')
    await a.settled()
    await b.settled()
    expect(relay.stats().channels).toBe(1)
    expect([...a.left, ...b.left]).not.toContain('peer')
  })

  test('50 that only connect are all paired with the one that announced, before or after it', async () => {
    const before = await Promise.all(Array.from({ length: 25 }, open))
    for (const client of before) client.join(topic, 'connect')
    await Promise.all(before.map((client) => client.settled()))
    const hub = await open()
    hub.join(topic, 'both')
    await hub.take('joined')
    const after = await Promise.all(Array.from({ length: 25 }, open))
    for (const client of after) client.join(topic, 'connect')
    const numbers = new Set<number>()
    for (let i = 0; i < 50; i++) numbers.add((await hub.take('peer')).channel)
    expect(numbers.size).toBe(50)
    await Promise.all([...before, ...after].map((client) => client.take('peer')))
    expect(relay.stats()).toMatchObject({ clients: 51, topics: 1, channels: 50 })
  })

  test('one JOIN leads to a bounded number of pairs', async () => {
    const clients = await Promise.all(Array.from({ length: MAX_OUTGOING_PAIRS + 10 }, open))
    for (const client of clients) client.join(topic, 'connect')
    await Promise.all(clients.map((client) => client.settled()))
    const hub = await open()
    hub.join(topic, 'announce')
    await hub.settled()
    expect(relay.stats().channels).toBe(MAX_OUTGOING_PAIRS)
    for (const client of clients) client.join(topic, 'connect')
    await Promise.all(clients.map((client) => client.settled()))
    expect(relay.stats().channels).toBe(clients.length)
  })

  test('closing a channel tells the other side, and joining again pairs the two again', async () => {
    const { a, b, atA, atB } = await pair()
    a.send({ kind: 'close', channel: atA })
    expect((await b.take('close')).channel).toBe(atB)
    // Too late, and no harm.
    b.send({ kind: 'data', channel: atB, payload: Buffer.from('late') }, { kind: 'close', channel: atB })
    b.join(topic, 'connect')
    expect((await b.take('peer')).channel).toBeGreaterThan(atB)
    expect((await a.take('peer')).channel).toBeGreaterThan(atA)
    expect(a.left).not.toContain('data')
  })

  test('leaving closes the channels of that topic only; a lost socket closes all', async () => {
    const { a, b, atA, atB } = await pair()
    const other = randomBytes(32)
    a.join(other, 'announce')
    b.join(other, 'connect')
    const otherAtA = (await a.take('peer')).channel
    b.send({ kind: 'leave', rendezvous: topic })
    expect((await a.take('close')).channel).toBe(atA)
    expect(relay.stats()).toMatchObject({ topics: 2, channels: 1 })
    b.send({ kind: 'data', channel: atB, payload: Buffer.from('late') })
    b.socket.terminate()
    expect((await a.take('close')).channel).toBe(otherAtA)
    await a.settled()
    expect(relay.stats()).toMatchObject({ clients: 1, channels: 0 })
  })

  test('LOOKUP shows the cards of those who announced, without our own', async () => {
    const [a, b, c] = [await open(), await open(), await open()]
    a.join(topic, 'announce', Buffer.from('card of a'))
    b.join(topic, 'connect', Buffer.from('card of b'))
    await Promise.all([a.settled(), b.settled()])
    const look = async (client: RawClient): Promise<string[]> => {
      client.send({ kind: 'lookup', request: 9, rendezvous: topic })
      const { request, cards } = await client.take('peers')
      expect(request).toBe(9)
      return cards.map((card) => Buffer.from(card).toString())
    }
    expect(await look(c)).toEqual(['card of a'])
    expect(await look(a)).toEqual([])
    a.send({ kind: 'leave', rendezvous: topic })
    await a.settled()
    expect(await look(c)).toEqual([])
  })
})

describe('flow', () => {
  test('DATA and CREDIT reach the other end under its own channel number', async () => {
    const { a, b, atA, atB } = await pair()
    a.send({ kind: 'data', channel: atA, payload: Buffer.from('hello') })
    const data = await b.take('data')
    expect(data.channel).toBe(atB)
    expect(Buffer.from(data.payload).toString()).toBe('hello')
    b.send({ kind: 'credit', channel: atB, bytes: dataCost(5) })
    expect(await a.take('credit')).toEqual({ kind: 'credit', channel: atA, bytes: dataCost(5) })
  })

  test('who sends beyond the window is closed, and nobody else', async () => {
    const { a, b, atA, atB } = await pair()
    const c = await open()
    c.join(topic, 'connect')
    await c.take('peer')
    const other = await a.take('peer')
    const payload = Buffer.alloc(MAX_PAYLOAD_BYTES)
    const allowed = Math.floor((WINDOW_BYTES + dataCost(MAX_PAYLOAD_BYTES)) / dataCost(payload.length))
    for (let i = 0; i < allowed; i++) b.send({ kind: 'data', channel: atB, payload })
    for (let i = 0; i < allowed; i++) await a.take('data')
    b.send({ kind: 'data', channel: atB, payload })
    expect(await b.closed).toEqual({ code: 1008, reason: 'sent beyond the window' })
    expect((await a.take('close')).channel).toBe(atA)
    a.send({ kind: 'data', channel: other.channel, payload: Buffer.from('still here') })
    expect(Buffer.from((await c.take('data')).payload).toString()).toBe('still here')
  })

  test('who credits more than was sent is closed', async () => {
    const { a, b, atA, atB } = await pair()
    a.send({ kind: 'data', channel: atA, payload: Buffer.from('hello') })
    await b.take('data')
    b.send({ kind: 'credit', channel: atB, bytes: dataCost(5) + 1 })
    expect(await b.closed).toEqual({ code: 1008, reason: 'credited more than was sent' })
    await a.settled()
    expect(relay.stats().clients).toBe(1)
  })
})

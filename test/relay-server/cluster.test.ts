import { randomBytes } from 'node:crypto'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import { MAX_PAYLOAD_BYTES, WINDOW_BYTES, dataCost } from '../../relay-server/src/frames.ts'
import { type Relay, createRelay } from '../../relay-server/src/index.ts'
import { MAX_OUTGOING_PAIRS } from '../../relay-server/src/limits.ts'
import { NatsServer } from './cluster-stage.ts'
import { RawClient } from './raw-client.ts'

let nats: NatsServer
let relays: Relay[]
let clients: RawClient[]
let topic: Buffer

beforeAll(async () => {
  nats = await NatsServer.start()
})
afterAll(() => nats[Symbol.asyncDispose]())

beforeEach(() => {
  topic = randomBytes(32)
  relays = []
  clients = []
})
afterEach(async () => {
  for (const { socket } of clients) socket.terminate()
  await Promise.all(relays.map((relay) => relay.close()))
})

const until = (check: () => void): Promise<void> => vi.waitFor(check, { timeout: 20_000, interval: 10 })
const cluster = (relay: Relay) => relay.stats().cluster as NonNullable<ReturnType<Relay['stats']>['cluster']>

/** Each test has a service of its own on the same NATS. */
const newPrefix = (): string => `test-${randomBytes(4).toString('hex')}`

/** So many instances, which know each other. */
async function start(count: number, prefix: string = newPrefix()): Promise<Relay[]> {
  const options = { port: 0, host: '127.0.0.1', nats: { servers: [nats.url], prefix } }
  const started = await Promise.all(Array.from({ length: count }, () => createRelay(options)))
  relays.push(...started)
  await until(() => {
    for (const relay of started) expect(cluster(relay).instances).toBeGreaterThanOrEqual(count - 1)
  })
  return started
}

async function open(relay: Relay): Promise<RawClient> {
  const client = await RawClient.open(relay.url)
  clients.push(client)
  return client
}

interface Pair {
  a: RawClient
  b: RawClient
  atA: number
  atB: number
}

/** A on the first instance and B on the second, paired by whichever looked. */
async function pair(first: Relay, second: Relay): Promise<Pair> {
  const [a, b] = [await open(first), await open(second)]
  a.join(topic, 'announce')
  await a.take('joined')
  b.join(topic, 'connect')
  const [atA, atB] = [await a.take('peer'), await b.take('peer')]
  expect(atA.initiator).toBe(!atB.initiator)
  return { a, b, atA: atA.channel, atB: atB.channel }
}

describe('members of different instances', () => {
  test('are paired, and talk', async () => {
    const [first, second] = (await start(2)) as [Relay, Relay]
    const { a, b, atA, atB } = await pair(first, second)
    a.send({ kind: 'data', channel: atA, payload: Buffer.from('hello') })
    const data = await b.take('data')
    expect([data.channel, Buffer.from(data.payload).toString()]).toEqual([atB, 'hello'])
    b.send({ kind: 'credit', channel: atB, bytes: dataCost(5) })
    expect(await a.take('credit')).toEqual({ kind: 'credit', channel: atA, bytes: dataCost(5) })
    expect([cluster(first).remoteChannels, cluster(second).remoteChannels]).toEqual([1, 1])
    b.send({ kind: 'close', channel: atB })
    expect((await a.take('close')).channel).toBe(atA)
    expect([cluster(first).remoteChannels, first.stats().channels]).toEqual([0, 0])
    a.join(topic, 'both')
    expect((await a.take('peer')).initiator).toBe(true)
  })

  test('that all look at once are paired once each, with one initiator', async () => {
    const count = 24
    const all = await start(3)
    for (let i = 0; i < count; i++) await open(all[i % 3] as Relay)
    // Again and again, also while pairing is under way.
    for (let round = 0; round < 3; round++) for (const client of clients) client.join(topic, 'both')
    for (const client of clients) for (let i = 1; i < count; i++) await client.take('peer')
    for (const client of clients) client.join(topic, 'both')
    await Promise.all(clients.map((client) => client.settled()))
    await until(() => expect(all.map((relay) => cluster(relay).waitingBytes < 1e5)).toEqual([true, true, true]))
    expect(clients.flatMap(({ left }) => left.filter((kind) => kind === 'peer' || kind === 'close'))).toEqual([])
    const remote = all.map((relay) => cluster(relay).remoteChannels)
    expect(remote).toEqual([8 * 16, 8 * 16, 8 * 16])
    for (const relay of all) expect(Object.values(cluster(relay).drops)).toEqual([0, 0, 0, 0, 0, 0, 0])
  })

  test('are paired as many as one JOIN leads to, and those who were in excess are free', async () => {
    const [first, second, third] = (await start(3)) as [Relay, Relay, Relay]
    const count = MAX_OUTGOING_PAIRS / 2 + 10
    const crowd = [
      ...(await Promise.all(Array.from({ length: count }, () => open(second)))),
      ...(await Promise.all(Array.from({ length: count }, () => open(third)))),
    ]
    for (const client of crowd) client.join(topic, 'connect')
    await Promise.all(crowd.map((client) => client.settled()))
    const hub = await open(first)
    hub.join(topic, 'announce')
    let initiated = 0
    for (let i = 0; i < MAX_OUTGOING_PAIRS; i++) if ((await hub.take('peer')).initiator) initiated++
    // Whoever was offered and declined finds the hub when it looks itself.
    for (const client of crowd) client.join(topic, 'connect')
    for (let i = MAX_OUTGOING_PAIRS; i < crowd.length; i++) if ((await hub.take('peer')).initiator) initiated++
    // Those that have nobody look again by themselves, and may do so at any time; what they find they initiate.
    expect(initiated).toBeLessThanOrEqual(MAX_OUTGOING_PAIRS)
    expect(initiated).toBeGreaterThan(0)
    await until(() => {
      const channels = [first, second, third].map((relay) => cluster(relay).remoteChannels)
      expect(channels).toEqual([crowd.length, crowd.length / 2, crowd.length / 2])
    })
  })

  test('of different topics, or that both only connect, are not', async () => {
    const [first, second] = (await start(2)) as [Relay, Relay]
    const [a, b, c] = [await open(first), await open(second), await open(second)]
    a.join(topic, 'connect')
    b.join(topic, 'connect')
    c.join(randomBytes(32), 'both')
    for (const client of [a, b, c]) await client.settled()
    const announcer = await open(first)
    announcer.join(topic, 'announce')
    await Promise.all([a.take('peer'), b.take('peer'), announcer.take('peer')])
    await announcer.take('peer')
    expect(first.stats().channels).toBe(2)
    expect(second.stats().channels).toBe(1)
  })

  test('are told JOINED only when NATS knows of them: whoever looks from then on finds them', async () => {
    const [first, second] = (await start(2)) as [Relay, Relay]
    const [member, other] = [await open(first), await open(second)]
    await nats.process.freeze()
    try {
      member.join(topic, 'announce', Buffer.from('card'))
      // What the relay has to say to the JOIN itself would come before this.
      await member.settled()
      expect(member.left).toEqual([])
    } finally {
      nats.process.thaw()
    }
    await member.take('joined')
    other.join(topic, 'connect')
    await Promise.all([member.take('peer'), other.take('peer')])
    // Later ones need not wait.
    member.join(topic, 'announce')
    await member.settled()
    expect(member.left).toEqual(['joined'])
  })

  test('are told JOINED at once when NATS is lost', async () => {
    await using own = await NatsServer.start()
    const relay = await createRelay({ port: 0, host: '127.0.0.1', nats: { servers: [own.url], prefix: newPrefix() } })
    relays.push(relay)
    const member = await open(relay)
    await own.process.freeze()
    member.join(topic, 'announce')
    await member.settled()
    expect(member.left).toEqual([])
    await own.process.end('SIGKILL')
    await member.take('joined')
    member.join(randomBytes(32), 'announce')
    await member.take('joined')
  })

  test('LOOKUP shows the cards of all', async () => {
    const all = await start(3)
    const members = await Promise.all(all.map(open))
    members.forEach((member, i) => member.join(topic, 'announce', Buffer.from(`card ${i}`)))
    for (const member of members) await member.take('joined')
    const stranger = await open(all[0] as Relay)
    stranger.send({ kind: 'lookup', request: 5, rendezvous: topic })
    const { request, cards } = await stranger.take('peers')
    expect(request).toBe(5)
    expect(cards.map((card) => Buffer.from(card).toString()).sort()).toEqual(['card 0', 'card 1', 'card 2'])
  })
})

describe('a client that breaks the rules towards another instance', () => {
  test('by sending beyond the window is closed, and nobody else', async () => {
    const [first, second] = (await start(2)) as [Relay, Relay]
    const { a, b, atA, atB } = await pair(first, second)
    const c = await open(second)
    c.join(topic, 'connect')
    const [other] = [await a.take('peer'), await c.take('peer')]
    const payload = Buffer.alloc(MAX_PAYLOAD_BYTES)
    const allowed = Math.floor((WINDOW_BYTES + dataCost(MAX_PAYLOAD_BYTES)) / dataCost(payload.length))
    for (let i = 0; i < allowed; i++) b.send({ kind: 'data', channel: atB, payload })
    for (let i = 0; i < allowed; i++) await a.take('data')
    b.send({ kind: 'data', channel: atB, payload })
    expect(await b.closed).toEqual({ code: 1008, reason: 'sent beyond the window' })
    expect((await a.take('close')).channel).toBe(atA)
    a.send({ kind: 'data', channel: other.channel, payload: Buffer.from('still here') })
    expect(Buffer.from((await c.take('data')).payload).toString()).toBe('still here')
    expect(cluster(first).drops.window).toBe(0)
  })

  test('by crediting more than was sent is closed', async () => {
    const [first, second] = (await start(2)) as [Relay, Relay]
    const { a, b, atA, atB } = await pair(first, second)
    a.send({ kind: 'data', channel: atA, payload: Buffer.from('hello') })
    await b.take('data')
    b.send({ kind: 'credit', channel: atB, bytes: dataCost(5) + 1 })
    expect(await b.closed).toEqual({ code: 1008, reason: 'credited more than was sent' })
    expect((await a.take('close')).channel).toBe(atA)
  })
})

describe('instances that come and go', () => {
  test('one that closes says goodbye: its channels end at once', async () => {
    const [first, second] = (await start(2)) as [Relay, Relay]
    const { a, atA } = await pair(first, second)
    await second.close()
    expect((await a.take('close')).channel).toBe(atA)
    await until(() => expect(cluster(first).instances).toBe(0))
  })

  test('one that joins later finds who was there before; one with another prefix does not', async () => {
    const prefix = newPrefix()
    const [first] = (await start(1, prefix)) as [Relay]
    const a = await open(first)
    a.join(topic, 'announce')
    await a.take('joined')
    const [stranger] = (await start(1)) as [Relay]
    const elsewhere = await open(stranger)
    elsewhere.join(topic, 'connect')
    const [later] = (await start(1, prefix)) as [Relay]
    const b = await open(later)
    b.join(topic, 'connect')
    await Promise.all([a.take('peer'), b.take('peer')])
    await elsewhere.settled()
    expect(elsewhere.left).toEqual([])
    expect(stranger.stats().cluster).toMatchObject({ connected: true, instances: 0 })
  })
})

import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { type Socket, connect, createServer } from 'node:net'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { Bus } from '../../relay-server/src/cluster/bus.ts'
import { type BusFrame, decodeBusMessage, encodePassHeader } from '../../relay-server/src/cluster/bus-frames.ts'
import { BUS_HIGH_WATER_BYTES } from '../../relay-server/src/cluster/limits.ts'
import { parseNats } from '../../relay-server/src/cluster/servers.ts'
import { MAX_PAYLOAD_BYTES, WINDOW_BYTES, dataCost, encodeFrame } from '../../relay-server/src/frames.ts'
import { type Relay, createRelay } from '../../relay-server/src/index.ts'
import { NatsServer } from './cluster-stage.ts'
import { RawClient } from './raw-client.ts'

// What other instances, and NATS itself, may do to an instance and its clients.

let nats: NatsServer
let relays: Relay[]
let clients: RawClient[]
let topic: Buffer

beforeEach(async () => {
  nats = await NatsServer.start()
  topic = randomBytes(32)
  relays = []
  clients = []
})
afterEach(async () => {
  for (const { socket } of clients) socket.terminate()
  await Promise.all(relays.map((relay) => relay.close()))
  await nats[Symbol.asyncDispose]()
})

const until = (check: () => void): Promise<void> => vi.waitFor(check, { timeout: 20_000, interval: 10 })
const cluster = (relay: Relay) => relay.stats().cluster as NonNullable<ReturnType<Relay['stats']>['cluster']>
const ready = async (relay: Relay): Promise<number> => (await fetch(`${relay.url.replace('ws', 'http')}/readyz`)).status

async function start(url: string = nats.url): Promise<Relay> {
  const relay = await createRelay({ port: 0, host: '127.0.0.1', nats: { servers: [url] } })
  relays.push(relay)
  return relay
}

async function open(relay: Relay): Promise<RawClient> {
  const client = await RawClient.open(relay.url)
  clients.push(client)
  return client
}

/** Two clients that are paired, and their channel numbers. */
async function pair(first: Relay, second: Relay, rendezvous: Buffer = topic) {
  const [a, b] = [await open(first), await open(second)]
  a.join(rendezvous, 'announce')
  await a.take('joined')
  b.join(rendezvous, 'connect')
  return { a, b, atA: (await a.take('peer')).channel, atB: (await b.take('peer')).channel }
}

type Pair = Awaited<ReturnType<typeof pair>>

async function expectTalk({ a, b, atA, atB }: Pair): Promise<void> {
  for (const [from, at, to] of [
    [a, atA, b],
    [b, atB, a],
  ] as const) {
    const payload = randomBytes(100)
    from.send({ kind: 'data', channel: at, payload })
    expect(Buffer.from((await to.take('data')).payload).equals(payload)).toBe(true)
  }
}

/** An instance that does what it likes. */
class Liar {
  readonly bus: Bus
  readonly frames: BusFrame[] = []

  constructor() {
    const ignore = (): void => undefined
    this.bus = new Bus(parseNats({ servers: [nats.url] }), { onUp: ignore, onDown: ignore, onRelief: ignore })
  }

  async start(): Promise<void> {
    await this.bus.start()
    this.bus.subscribe(`peerlog.inbox.${this.bus.id.toString('base64url')}`, (bytes) => {
      this.frames.push(...(decodeBusMessage(bytes)?.frames ?? []))
    })
    this.bus.send('peerlog.beat', { kind: 'alive' })
  }

  get room(): string {
    return `peerlog.room.${createHash('sha256').update('peerlog bus room 1').update(topic).digest('base64url')}`
  }

  async take<K extends BusFrame['kind']>(kind: K): Promise<Extract<BusFrame, { kind: K }>> {
    let index = -1
    await until(() => expect((index = this.frames.findIndex((frame) => frame.kind === kind))).toBeGreaterThan(-1))
    return this.frames.splice(index, 1)[0] as Extract<BusFrame, { kind: K }>
  }

  /** Has a channel with a member; resolves with the number to send to. */
  async paired(inbox: string): Promise<number> {
    const member = Number.parseInt(randomBytes(6).toString('hex'), 16)
    this.bus.send(this.room, { kind: 'seek', member, announce: true, connect: true, wanted: 1 })
    const { channel } = await this.take('offer')
    this.bus.send(inbox, { kind: 'accept', offered: channel, channel: member })
    return channel
  }

  pass(inbox: string, channel: number, sequence: number, frame: Buffer): void {
    this.bus.sendParts(inbox, [encodePassHeader(channel, sequence, frame.length), frame])
  }
}

test('an instance that lies harms its own channels only', async () => {
  const [first, second] = [await start(), await start()]
  const honest = await pair(first, second, randomBytes(32))
  const a = await open(first)
  a.join(topic, 'announce')
  await a.take('joined')
  const liar = new Liar()
  // Only here to learn where the first instance listens: it offers, so that it is the sender.
  const senders: Buffer[] = []
  await liar.start()
  liar.bus.subscribe(`peerlog.inbox.${liar.bus.id.toString('base64url')}`, (bytes) => {
    const message = decodeBusMessage(bytes)
    if (message?.frames.some(({ kind }) => kind === 'offer')) senders.push(Buffer.from(message.sender))
  })
  liar.bus.send(liar.room, { kind: 'seek', member: 1, announce: true, connect: true, wanted: 1 })
  const unwanted = (await liar.take('offer')).channel
  await until(() => expect(senders.length).toBe(1))
  const inbox = `peerlog.inbox.${(senders[0] as Buffer).toString('base64url')}`
  liar.bus.send(inbox, { kind: 'decline', offered: unwanted })
  const { drops: before } = cluster(first)

  const data = encodeFrame({ kind: 'data', channel: 0, payload: Buffer.alloc(MAX_PAYLOAD_BYTES) })
  const lies: [keyof typeof before, (channel: number) => void][] = [
    ['gap', (channel) => liar.pass(inbox, channel, 1, data)],
    ['window', (channel) => liar.pass(inbox, channel, 0, encodeFrame({ kind: 'credit', channel: 0, bytes: 100 }))],
    ['frame', (channel) => liar.pass(inbox, channel, 0, encodeFrame({ kind: 'leave', rendezvous: topic }))],
    [
      'window',
      (channel) => {
        const most = Math.ceil(WINDOW_BYTES / dataCost(MAX_PAYLOAD_BYTES)) + 2
        for (let i = 0; i < most; i++) liar.pass(inbox, channel, i, data)
      },
    ],
  ]
  for (const [reason, lie] of lies) {
    const drops = cluster(first).drops[reason]
    lie(await liar.paired(inbox))
    const { channel } = await a.take('peer')
    expect((await a.take('close')).channel).toBe(channel)
    await until(() => expect(cluster(first).drops[reason]).toBe(drops + 1))
  }
  const received = a.frames.filter(({ kind }) => kind === 'data').length
  expect(received * dataCost(MAX_PAYLOAD_BYTES)).toBeLessThanOrEqual(WINDOW_BYTES + dataCost(MAX_PAYLOAD_BYTES))

  // What makes no sense at all, and what is not its to say.
  for (const subject of [inbox, liar.room, 'peerlog.beat']) {
    liar.bus.sendParts(subject, [Buffer.from([0xff])])
    await until(() => expect(liar.bus.framesOut).toBeGreaterThan(0))
  }
  await until(() => expect(cluster(first).drops.malformed).toBeGreaterThanOrEqual(before.malformed + 3))
  liar.bus.send(inbox, { kind: 'alive' })
  liar.bus.send('peerlog.beat', { kind: 'decline', offered: 1 })
  liar.bus.send('peerlog.beat', { kind: 'bye', secret: senders[0] as Buffer })
  liar.bus.send(inbox, { kind: 'gone', channel: 12 })
  liar.bus.send(inbox, { kind: 'accept', offered: 12, channel: 13 })
  liar.bus.send(inbox, { kind: 'offer', seeker: 1, member: 2, announce: true, connect: true, channel: 3 })
  liar.bus.send(inbox, { kind: 'cards', request: 0, cards: [] })
  await liar.take('gone')
  await liar.take('decline')
  await until(() => expect(cluster(first).drops.misplaced).toBe(before.misplaced + 2))
  await expectTalk(honest)
  expect(cluster(first).instances).toBe(2)
  // It says nothing any more: dead, like its channels.
  await liar.paired(inbox)
  const { channel } = await a.take('peer')
  await liar.bus.close()
  expect((await a.take('close')).channel).toBe(channel)
  await expectTalk(honest)
})

describe('without NATS', () => {
  test('an instance serves its own clients, and those of others again when NATS is back', async () => {
    const [first, second] = [await start(), await start()]
    const local = await pair(first, first, randomBytes(32))
    const remote = await pair(first, second)
    expect([await ready(first), await ready(second)]).toEqual([200, 200])
    await nats.process.end('SIGKILL')
    expect((await remote.a.take('close')).channel).toBe(remote.atA)
    expect((await remote.b.take('close')).channel).toBe(remote.atB)
    expect([await ready(first), await ready(second)]).toEqual([503, 503])
    await expectTalk(local)
    const meanwhile = randomBytes(32)
    await expectTalk(await pair(second, second, meanwhile))
    const late = await open(first)
    late.join(meanwhile, 'connect')
    await late.settled()
    nats = await NatsServer.start(nats.port)
    // Nobody has to ask again.
    const [atA, atB] = [await remote.a.take('peer'), await remote.b.take('peer')]
    await expectTalk({ ...remote, atA: atA.channel, atB: atB.channel })
    await late.take('peer')
    await until(() => expect([cluster(first).connected, cluster(second).connected]).toEqual([true, true]))
    expect(await ready(first)).toBe(200)
    await expectTalk(local)
  })

  test('an instance starts, and joins the others once NATS is there', async () => {
    const { port, url } = nats
    await nats.process.end('SIGKILL')
    const [first, second] = [await start(url), await start(url)]
    expect(cluster(first)).toMatchObject({ connected: false, instances: 0 })
    const [a, b] = [await open(first), await open(second)]
    a.join(topic, 'both')
    b.join(topic, 'both')
    await Promise.all([a.settled(), b.settled()])
    nats = await NatsServer.start(port)
    const [atA, atB] = [await a.take('peer'), await b.take('peer')]
    await expectTalk({ a, b, atA: atA.channel, atB: atB.channel })
  })

  test.each([
    [['http://127.0.0.1:4222'], undefined, /nats:\/\/host:4222/],
    [[], undefined, /at least one/],
    [['nats://a:1', 'tls://b:2'], undefined, /all be/],
    [['nats://a:1'], 'a b', /prefix/],
  ])('%j with prefix %j is refused', async (servers, prefix, says) => {
    const nats = prefix === undefined ? { servers } : { servers, prefix }
    await expect(createRelay({ port: 0, host: '127.0.0.1', nats })).rejects.toThrow(says)
  })
})

/** A way to NATS that can be closed off. */
class Proxy implements AsyncDisposable {
  readonly #ways = new Map<Socket, Socket>()
  readonly #server = createServer((near) => {
    const far = connect(nats.port, '127.0.0.1')
    near.on('error', () => {}).on('close', () => far.destroy())
    far.on('error', () => {}).on('close', () => near.destroy())
    near.pipe(far)
    far.pipe(near)
    this.#ways.set(near, far)
  })

  static async start(): Promise<Proxy> {
    const proxy = new Proxy()
    await once(proxy.#server.listen(0, '127.0.0.1'), 'listening')
    return proxy
  }

  get url(): string {
    return `nats://127.0.0.1:${(this.#server.address() as { port: number }).port}`
  }

  /** Nothing of what the relay sends arrives any more. */
  stop(): void {
    for (const near of this.#ways.keys()) near.unpipe()
  }

  resume(): void {
    for (const [near, far] of this.#ways) near.pipe(far)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const near of this.#ways.keys()) near.destroy()
    await new Promise((resolve) => this.#server.close(resolve))
  }
}

test('an instance whose words do not arrive is given up by the others, and by itself', async () => {
  await using proxy = await Proxy.start()
  const [first, second] = [await start(proxy.url), await start()]
  const remote = await pair(first, second)
  const local = await pair(first, first, randomBytes(32))
  proxy.stop()
  expect((await remote.b.take('close')).channel).toBe(remote.atB)
  expect((await remote.a.take('close')).channel).toBe(remote.atA)
  await expectTalk(local)
  // It comes back by a new connection, which the proxy lets through.
  const [atA, atB] = [await remote.a.take('peer'), await remote.b.take('peer')]
  await expectTalk({ ...remote, atA: atA.channel, atB: atB.channel })
  await first.close()
})

test('a NATS that takes nothing makes the relay stop reading, and nothing is lost', async () => {
  await using proxy = await Proxy.start()
  const [first, second] = [await start(proxy.url), await start()]
  const count = 8
  const pairs: Pair[] = []
  for (let i = 0; i < count; i++) pairs.push(await pair(first, second, randomBytes(32)))
  const local = await pair(first, first)
  proxy.stop()
  const perWindow = Math.floor(WINDOW_BYTES / dataCost(MAX_PAYLOAD_BYTES))
  const payload = Buffer.alloc(MAX_PAYLOAD_BYTES)
  for (const { a, atA } of pairs) for (let i = 0; i < perWindow; i++) a.send({ kind: 'data', channel: atA, payload })
  await until(() => expect(first.stats().pausedClients).toBe(count))
  expect(cluster(first).waitingBytes).toBeGreaterThan(BUS_HIGH_WATER_BYTES)
  // Each may hand over what had already been read.
  expect(cluster(first).waitingBytes).toBeLessThan(BUS_HIGH_WATER_BYTES + count * 4 * MAX_PAYLOAD_BYTES)
  await expectTalk(local)
  proxy.resume()
  for (const { b } of pairs) for (let i = 0; i < perWindow; i++) await b.take('data')
  expect(first.stats().pausedClients).toBe(0)
  for (const pairOfOne of pairs) await expectTalk(pairOfOne)
  await first.close()
})

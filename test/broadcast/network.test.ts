/** The real thing: databases and broadcasters over memory transports, with strangers among them. */
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, describe, expect, it } from 'vitest'
import { BAN_MIN_MS } from '../../src/base/limits.ts'
import { admissionProof } from '../../src/broadcast/admission.ts'
import type { Message } from '../../src/broadcast/messages.ts'
import * as messages from '../../src/broadcast/messages.ts'
import { SyncBroadcaster } from '../../src/broadcast/sync-broadcaster.ts'
import type { SyncEvent } from '../../src/broadcast/sync-event.ts'
import type { Database } from '../../src/database.ts'
import type { DatabaseKeys } from '../../src/event/keys.ts'
import { authorKeyPair } from '../../src/event/signature.ts'
import { deriveDatabaseKeys } from '../../src/event/keys.ts'
import type { OpenOptions } from '../../src/open.ts'
import { open } from '../../src/open.ts'
import { EventStore } from '../../src/store/event-store.ts'
import type { Topic } from '../../src/topic/topic.ts'
import { deriveTopic } from '../../src/topic/topic.ts'
import type { MemoryNetwork } from '../../src/transport/memory.ts'
import { memoryNetwork } from '../../src/transport/memory.ts'
import { combineTransports } from '../../src/transport/paths/paths-transport.ts'
import type { Connection, Transport } from '../../src/transport/transport.ts'
import { newEvent } from './world.ts'

const ID = 'network-test'
const SECRET = Buffer.alloc(32, 5)
const cleanups: (() => unknown)[] = []

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

async function openDb(options: Partial<OpenOptions> & Pick<OpenOptions, 'transport'>): Promise<Database> {
  const db = await open({ databaseId: ID, path: ':memory:', ...options })
  cleanups.push(() => db.close())
  return db
}

/** Combined, as every database's are, so that all speak the same. */
function transportOn(network: MemoryNetwork): Transport {
  const transport = combineTransports([{ transport: network.createTransport(), owned: true }])
  cleanups.push(() => transport.disconnect())
  return transport
}

/** Waits for a condition, and says what was waited for if it does not come. */
async function until(what: string, condition: () => boolean, ms = 20_000): Promise<void> {
  const end = Date.now() + ms
  while (!condition()) {
    if (Date.now() > end) throw new Error(`waited in vain: ${what}`)
    await sleep(5)
  }
}

function eventsOf(db: Database): SyncEvent[] {
  const events: SyncEvent[] = []
  const types = [
    'PeerConnected',
    'PeerDisconnected',
    'NodeUpsert',
    'PeerRefused',
    'InSync',
    'ForkDetected',
    'Problem',
  ] as const
  for (const type of types) db.sync.on(type, (event: SyncEvent) => events.push(event))
  return events
}

function ofType<T extends SyncEvent['type']>(events: SyncEvent[], type: T): Extract<SyncEvent, { type: T }>[] {
  return events.filter((event) => event.type === type) as Extract<SyncEvent, { type: T }>[]
}

async function keysWithTopic(secret?: Uint8Array): Promise<DatabaseKeys & { meeting: Topic }> {
  const keys = await deriveDatabaseKeys(ID, secret)
  return { ...keys, meeting: keys.topic === null ? deriveTopic(ID) : deriveTopic(ID, keys.topic) }
}

/** Meets everybody on the topic, says to each what `greet` gives, and keeps all that it is told. */
function intruder(
  network: MemoryNetwork,
  topic: Topic,
  greet: (connection: Connection) => Buffer[],
): { told: Buffer[][]; transport: Transport } {
  const transport = transportOn(network)
  const told: Buffer[][] = []
  void (async () => {
    await transport.announce(topic)
    for await (const connection of transport.connect(topic)) {
      const heard: Buffer[] = []
      told.push(heard)
      for (const bytes of greet(connection)) connection.send(bytes).catch(() => {})
      void (async () => {
        for (let bytes; (bytes = await connection.receive()) !== null;) heard.push(Buffer.from(bytes))
      })()
    }
  })()
  return { told, transport }
}

function typesOf(told: Buffer[][]): (Message['type'] | undefined)[] {
  return told.flat().map((bytes) => messages.decodeMessage(bytes)?.type)
}

describe('an intruder who knows the topic but not the secret', () => {
  const greetings: Record<string, (connection: Connection) => Buffer[]> = {
    'a proof with another key': ({ initiator, handshakeHash }) => [
      messages.encodeHello(admissionProof(Buffer.alloc(32, 1), handshakeHash, initiator)),
    ],
    'no proof, but questions': () => [
      messages.encodeRoot(Buffer.alloc(32)),
      messages.encodeHeads('last', []),
      messages.encodeRequest([]),
    ],
    noise: () => [Buffer.alloc(1000, 0xaa)],
    'nothing, but never leaves': () => [],
  }

  it.each(Object.keys(greetings))('gets nothing for %s, and disturbs nobody', async (name) => {
    const network = memoryNetwork()
    const { meeting } = await keysWithTopic(SECRET)
    const a = await openDb({ secret: SECRET, transport: transportOn(network) })
    const events = eventsOf(a)
    for (let i = 0; i < 10; i++) await a.append('a', { secret: i })
    const { told, transport } = intruder(network, meeting, greetings[name] as (connection: Connection) => Buffer[])
    const b = await openDb({ secret: SECRET, transport: transportOn(network) })
    await until('the two to agree', () => b.frontierRoot() === a.frontierRoot())
    if (name !== 'nothing, but never leaves') {
      await until('the refusal', () => ofType(events, 'PeerRefused').length > 0)
      const [refused] = ofType(events, 'PeerRefused')
      expect(refused?.byPeer).toBe(false)
    }
    await a.append('a', { secret: 'later' })
    await until('the later event', () => b.frontierRoot() === a.frontierRoot())
    for (const heard of told) expect(heard.reduce((sum, bytes) => sum + bytes.length, 0)).toBeLessThan(80)
    expect(typesOf(told).every((type) => type === 'hello' || type === 'goodbye')).toBe(true)
    expect(ofType(events, 'PeerConnected')).toHaveLength(1)
    expect(ofType(events, 'PeerDisconnected')).toHaveLength(0)
    await transport.disconnect()
  })

  it('who mirrors everything is refused', async () => {
    const network = memoryNetwork()
    const { meeting } = await keysWithTopic(SECRET)
    const a = await openDb({ secret: SECRET, transport: transportOn(network) })
    const events = eventsOf(a)
    await a.append('a', 1)
    const transport = transportOn(network)
    await transport.announce(meeting)
    const heard: Buffer[] = []
    void (async () => {
      for await (const connection of transport.connect(meeting)) {
        for (let bytes; (bytes = await connection.receive()) !== null;) {
          heard.push(Buffer.from(bytes))
          connection.send(bytes).catch(() => {})
        }
      }
    })()
    await until('the refusal', () => ofType(events, 'PeerRefused').length > 0)
    expect(ofType(events, 'PeerRefused')[0]).toMatchObject({ reason: 'not-admitted', byPeer: false })
    expect(typesOf([heard]).every((type) => type === 'hello' || type === 'goodbye')).toBe(true)
  })

  it('as a whole peer of another secret: both are told why, and neither tries again at once', async () => {
    const network = memoryNetwork()
    const right = await keysWithTopic(SECRET)
    const wrong = await keysWithTopic(Buffer.alloc(32, 6))
    const made = [right, wrong].map((keys) => {
      const store = EventStore.open({ path: ':memory:', databaseId: ID, keys })
      const sync = new SyncBroadcaster()
      const refusals: SyncEvent[] = []
      sync.on('PeerRefused', (event) => refusals.push(event))
      sync.replicate({ store, topic: right.meeting, admissionKey: keys.admission, transports: [transportOn(network)] })
      cleanups.push(
        () => store.close(),
        () => sync.close(),
      )
      return { store, sync, refusals }
    })
    await until('both refusals', () => made.every(({ refusals }) => refusals.length > 0))
    await sleep(1000)
    for (const { refusals } of made) expect(refusals.length).toBeLessThanOrEqual(2)
    expect(made[0]?.sync.peers()).toEqual([])
  })
})

describe('bans', () => {
  it('last longer each time; meanwhile the peer is not even greeted', async () => {
    const network = memoryNetwork()
    const keys = await keysWithTopic()
    let now = 1_800_000_000_000
    const store = EventStore.open({ path: ':memory:', databaseId: ID, keys })
    const sync = new SyncBroadcaster()
    const refusals: SyncEvent[] = []
    sync.on('PeerRefused', (event) => refusals.push(event))
    sync.replicate({
      store,
      topic: keys.meeting,
      admissionKey: keys.admission,
      transports: [transportOn(network)],
      now: () => now,
    })
    cleanups.push(
      () => store.close(),
      () => sync.close(),
    )
    const { told } = intruder(network, keys.meeting, () => [Buffer.of(99)])
    for (const [offence, length] of [BAN_MIN_MS, 2 * BAN_MIN_MS, 4 * BAN_MIN_MS].entries()) {
      await until(`offence ${offence}`, () => refusals.length === offence + 1)
      now += length - 1
      const connections = told.length
      await until('two more attempts', () => told.length >= connections + 2)
      expect(refusals).toHaveLength(offence + 1)
      expect(told.slice(connections).flat()).toEqual([])
      now += 1
    }
    await until('the last', () => refusals.length === 4)
  })
})

describe('two transports that reach the same peer', () => {
  it('make one peer, and every event is delivered once', async () => {
    const [one, two] = [memoryNetwork(), memoryNetwork()]
    const pair = (): Transport[] => {
      const keyPair = authorKeyPair(Buffer.alloc(32, ++keyPairs))
      return [one, two].map((network) => {
        const transport = network.createTransport({ keyPair })
        cleanups.push(() => transport.disconnect())
        return transport
      })
    }
    const a = await openDb({ transport: pair() })
    const b = await openDb({ transport: pair() })
    const [eventsA, eventsB] = [eventsOf(a), eventsOf(b)]
    await until('a connection', () => a.peers().length === 1 && b.peers().length === 1)
    const ids: string[] = []
    for (let i = 0; i < 50; i++) ids.push((await (i % 2 === 0 ? a : b).append('a', i)).id)
    await until('agreement', () => a.frontierRoot() === b.frontierRoot() && a.position === 50)
    for (const events of [eventsA, eventsB]) {
      expect(
        ofType(events, 'NodeUpsert')
          .map(({ id }) => id)
          .toSorted(),
      ).toEqual(ids.toSorted())
      expect(ofType(events, 'PeerConnected')).toHaveLength(1)
    }
    const received: unknown[] = []
    for await (const event of b.read({ local: false })) received.push(event.data)
    expect(received).toEqual(Array.from({ length: 25 }, (_, i) => 2 * i))
    // One of the two ends: the peer is still there.
    await (b as unknown as { sync: SyncBroadcaster }).sync.close()
    await until('its leaving', () => ofType(eventsA, 'PeerDisconnected').length > 0)
    expect(ofType(eventsA, 'PeerDisconnected')).toHaveLength(1)
  })
})

let keyPairs = 0

describe('databases', () => {
  it('that never meet each other agree through one that both know', async () => {
    const [one, two] = [memoryNetwork(), memoryNetwork()]
    const a = await openDb({ transport: transportOn(one) })
    const b = await openDb({ transport: [transportOn(one), transportOn(two)] })
    const c = await openDb({ transport: transportOn(two) })
    const all = [a, b, c]
    for (let i = 0; i < 30; i++) await (all[i % 3] as Database).append('a', i)
    await until('agreement', () => all.every((db) => db.position === 30 && db.frontierRoot() === b.frontierRoot()))
    const started = performance.now()
    await a.append('a', 'live')
    await until('the live event', () => c.position === 31)
    expect(performance.now() - started).toBeLessThan(1000)
    await until('all in sync', () => all.every((db) => db.sync.peers().every(({ inSync }) => inSync)))
  })

  it('give a late joiner everything, and a following read misses and repeats nothing', async () => {
    const network = memoryNetwork()
    const a = await openDb({ transport: transportOn(network) })
    const b = await openDb({ transport: transportOn(network) })
    for (let i = 0; i < 20; i++) {
      await a.appendMany(Array.from({ length: 200 }, (_, j) => ({ subject: 'a', data: `a ${i} ${j}` })))
    }
    const late = await openDb({ transport: transportOn(network) })
    const seen: string[] = []
    const total = 8000
    const reading = (async () => {
      for await (const event of late.read<string>({ follow: true })) {
        seen.push(event.data)
        if (seen.length === total) return
      }
    })()
    for (let i = 0; i < 20; i++) {
      await b.appendMany(Array.from({ length: 200 }, (_, j) => ({ subject: 'a', data: `b ${i} ${j}` })))
      if (i % 3 === 0) await sleep(1)
    }
    await reading
    expect(new Set(seen).size).toBe(total)
    expect(late.frontierRoot()).toBe(a.frontierRoot())
    // In the order of each author.
    for (const who of ['a', 'b']) {
      const own = seen.filter((data) => data.startsWith(who)).map((data) => data.split(' ').slice(1).map(Number))
      const numbers = own.map(([i = 0, j = 0]) => i * 1000 + j)
      expect(numbers).toEqual(numbers.toSorted((x, y) => x - y))
    }
  })

  it('go on where they were closed in the middle of a catch-up', async () => {
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'peerlog-broadcast-'))
    cleanups.push(() => fs.rmSync(folder, { recursive: true, force: true }))
    const network = memoryNetwork()
    const a = await openDb({ transport: transportOn(network) })
    for (let i = 0; i < 60; i++) {
      await a.appendMany(Array.from({ length: 500 }, (_, j) => ({ subject: 'a', data: `${i} ${j}` })))
    }
    const file = path.join(folder, 'late.db')
    let reached = 0
    for (let round = 0; round < 3; round++) {
      const late = await open({ databaseId: ID, path: file, transport: transportOn(network) })
      expect(late.position).toBe(reached)
      await until('some progress', () => late.position > reached)
      reached = late.position
      await late.close()
      const store = await open({ databaseId: ID, path: file, transport: { mode: 'disabled' } })
      reached = store.position
      await store.close()
    }
    const late = await openDb({ path: file, transport: transportOn(network) })
    await until('all', () => late.frontierRoot() === a.frontierRoot())
    expect(late.position).toBe(30_000)
  })

  it('tell a problem when the store cannot be written, and go on when it can', async () => {
    const network = memoryNetwork()
    const keys = await keysWithTopic()
    const a = await openDb({ transport: transportOn(network) })
    await a.append('a', 1)
    const store = EventStore.open({ path: ':memory:', databaseId: ID, keys })
    let isFull = true
    const ingest = store.ingest.bind(store)
    store.ingest = (runs) => {
      if (isFull) throw new Error('database or disk is full')
      return ingest(runs)
    }
    const sync = new SyncBroadcaster()
    cleanups.push(
      () => store.close(),
      () => sync.close(),
    )
    const problems: SyncEvent[] = []
    const refusals: SyncEvent[] = []
    sync.on('Problem', (event) => problems.push(event))
    sync.on('PeerRefused', (event) => refusals.push(event))
    sync.replicate({ store, topic: keys.meeting, admissionKey: keys.admission, transports: [transportOn(network)] })
    await until('a problem', () => problems.length > 0)
    expect(problems[0]).toEqual({ type: 'Problem', source: 'store', message: 'database or disk is full' })
    isFull = false
    await until('agreement', () => store.frontierRoot().toString('hex') === a.frontierRoot())
    expect(refusals).toEqual([])
  })

  it('release what was held back, in the order in which it falls due', async () => {
    const network = memoryNetwork()
    const keys = await keysWithTopic()
    let now = 1_800_000_000_000
    const b = EventStore.open({ path: ':memory:', databaseId: ID, keys, now: () => now })
    const sync = new SyncBroadcaster()
    const ahead = [3_600_000, 301_500].map((by) =>
      EventStore.open({ path: ':memory:', databaseId: ID, keys, now: () => now + by }),
    )
    const hubs = ahead.map((store) => {
      store.append([newEvent(1)]).catch(() => undefined)
      store.flush()
      return { store, sync: new SyncBroadcaster() }
    })
    cleanups.push(
      () => b.close(),
      () => sync.close(),
    )
    const options = { topic: keys.meeting, admissionKey: keys.admission }
    const told: SyncEvent[] = []
    sync.on('Held', (event) => told.push(event))
    sync.replicate({ ...options, store: b, transports: [transportOn(network)], now: () => now })
    // The further one first: what is held later may fall due earlier.
    for (const { store, sync: other } of hubs) {
      const transport = transportOn(network)
      other.replicate({ ...options, store, transports: [transport], now: () => now })
      await until('it to be held', () => b.heldUntil(store.author) !== null)
      await other.close()
      store.close()
      await transport.disconnect()
    }
    expect(told).toEqual(
      ahead.map(({ author }, i) => ({
        type: 'Held',
        author,
        until: now + ([3_600_000, 301_500][i] as number) - 300_000,
      })),
    )
    now += 2000
    await until('the nearer one', () => b.position === 1)
    expect(b.heldUntil((ahead[0] as EventStore).author)).not.toBe(null)
  })

  it('report a transport that fails, and replicate over the others', async () => {
    const network = memoryNetwork()
    const broken: Transport = {
      name: 'broken',
      announce: () => Promise.reject(new Error('no network')),
      lookup: () => Promise.resolve([]),
      connect: () => {
        throw new Error('no sockets')
      },
      disconnect: () => Promise.resolve(),
    }
    const never: Transport = { ...broken, name: 'never', announce: () => new Promise(() => {}) }
    const a = await openDb({ transport: [broken, never, transportOn(network)] })
    const events = eventsOf(a)
    const b = await openDb({ transport: transportOn(network) })
    await b.append('a', 1)
    await until('agreement', () => a.position === 1)
    await until('the problems', () => ofType(events, 'Problem').length > 0)
    const started = performance.now()
    await Promise.all([a.close(), a.close()])
    await a.close()
    expect(performance.now() - started).toBeLessThan(2000)
  })

  it('close while peers misbehave', async () => {
    const network = memoryNetwork()
    const keys = await keysWithTopic()
    const a = await openDb({ transport: transportOn(network) })
    for (let i = 0; i < 30; i++) await a.append('a', Buffer.alloc(200_000, i))
    // One that is admitted, asks for everything and reads nothing; one that says nothing at all.
    const author = Buffer.from(a.author, 'hex')
    const deaf = transportOn(network)
    await deaf.announce(keys.meeting)
    void (async () => {
      for await (const connection of deaf.connect(keys.meeting)) {
        const { initiator, handshakeHash } = connection
        for (const bytes of [
          messages.encodeHello(admissionProof(keys.admission, handshakeHash, initiator)),
          messages.encodeRoot(Buffer.alloc(32, 1)),
          messages.encodeHeads('last', []),
          messages.encodeRequest([{ author, from: 0, want: 'events' }]),
        ]) {
          connection.send(bytes).catch(() => {})
        }
      }
    })()
    intruder(network, keys.meeting, () => [])
    await until('the deaf one', () => a.sync.peers().length === 1)
    await sleep(100)
    const started = performance.now()
    await Promise.all([a.close(), a.close()])
    expect(performance.now() - started).toBeLessThan(8000)
  })
})

import { execFileSync } from 'node:child_process'
import { copyFileSync, cpSync, mkdirSync, renameSync, rmSync } from 'node:fs'
import createTestnet from 'hyperdht/testnet.js'
import { createRelay } from 'peerlog-relay'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { RECOVERY_WAIT_MS } from '../../src/base/limits.ts'
import { admissionProof } from '../../src/broadcast/admission.ts'
import * as messages from '../../src/broadcast/messages.ts'
import { deriveDatabaseKeys } from '../../src/event/keys.ts'
import type { Database, OpenOptions, SyncEvent, Transport, TransportChoice } from '../../src/index.ts'
import { deriveTopic, open } from '../../src/index.ts'
import type { MemoryNetwork } from '../../src/testing.ts'
import { memoryNetwork } from '../../src/testing.ts'
import { combineTransports } from '../../src/transport/paths/paths-transport.ts'
import { THOROUGH } from '../faults/scale.ts'
import { Folder, inspect, ReplicaProcess } from './replica-process.ts'

// What a restored backup lacks of its own log is fetched before it appends: over real files and real transports.

let testnet: Awaited<ReturnType<typeof createTestnet>>
let relay: Awaited<ReturnType<typeof createRelay>>
beforeAll(async () => {
  testnet = await createTestnet(4)
  relay = await createRelay({ port: 0, host: '127.0.0.1' })
})
afterAll(async () => {
  await relay.close()
  await testnet.destroy()
})

const opened: Database[] = []
afterEach(async () => {
  await Promise.all(opened.splice(0).map((db) => db.close()))
})

const offline: TransportChoice = { mode: 'disabled' }
const viaRelay = (): TransportChoice => ({ mode: 'relay', relayUrl: relay.url })
const swarm = (): TransportChoice => ({ mode: 'hyperswarm', bootstrap: testnet.bootstrap })

let ids = 0
/** A database id that no other test of this file meets on. */
const newId = (): string => `restore ${ids++}`

interface Peer {
  db: Database
  told: SyncEvent[]
}

/** A database that is closed after the test, and what it tells. */
async function start(options: OpenOptions): Promise<Peer> {
  const db = await open(options)
  opened.push(db)
  const told: SyncEvent[] = []
  for (const type of ['ForkDetected', 'Problem', 'PeerRefused', 'PeerConnected'] as const) {
    db.sync.on(type, (event) => told.push(event))
  }
  return { db, told }
}

const problems = ({ told }: Peer): SyncEvent[] => told.filter(({ type }) => type !== 'PeerConnected')

async function append(db: Database, count: number, prefix: string): Promise<void> {
  await db.appendMany(Array.from({ length: count }, (_, i) => ({ subject: 't', data: `${prefix}-${i}` })))
}

/** Resolves when so many events are here. */
async function has(db: Database, count: number): Promise<void> {
  if (db.position >= count) return
  for await (const { position } of db.read({ follow: true })) if (position >= count) return
}

/** A folder with the files of one that had 50 events, a backup of that, and a peer with all 100. */
async function story(folder: Folder, transport: () => TransportChoice): Promise<{ a: OpenOptions; peer: Peer }> {
  const databaseId = newId()
  mkdirSync(folder.file('home'))
  const a: OpenOptions = { databaseId, path: folder.file('home/a.db') }
  const before = await open({ ...a, transport: offline })
  await append(before, 50, 'before')
  await before.close()
  cpSync(folder.file('home'), folder.file('backup'), { recursive: true, preserveTimestamps: true })
  const peer = await start({ databaseId, path: folder.file('peer.db'), transport: transport() })
  const after = await open({ ...a, transport: transport() })
  await append(after, 50, 'after')
  await has(peer.db, 100)
  await after.close()
  return { a, peer }
}

/** Opens what was restored, appends at once, and expects that nothing contradicts what the peer holds. */
async function expectNoFork(a: OpenOptions, peer: Peer): Promise<void> {
  const restored = await start(a)
  expect(restored.db.position).toBe(50)
  const { author } = restored.db
  const events = await Promise.all([
    restored.db.append('t', 'restored-0'),
    restored.db.append('t', 'restored-1'),
    restored.db.append('t', 'restored-2'),
  ])
  expect(events.map(({ seq, data }) => [seq, data])).toEqual([100, 101, 102].map((seq, i) => [seq, `restored-${i}`]))
  await has(peer.db, 103)
  const own = []
  for await (const { seq, local, author: by } of restored.db.read()) own.push([seq, local, by])
  expect(own).toEqual(own.map((_, seq) => [seq, true, author]))
  expect(restored.db.author).toBe(author)
  expect(peer.db.frontierRoot()).toBe(restored.db.frontierRoot())
  // From the peer's side too, without a wait.
  await peer.db.append('t', 'reply')
  await has(restored.db, 104)
  expect((await restored.db.append('t', 'answer')).seq).toBe(103)
  await has(peer.db, 105)
  expect([problems(restored), problems(peer)]).toEqual([[], []])
  await restored.db.close()
  expect((await inspect(a)).integrity).toBe('ok')
}

/** Puts the backup where it is opened next, and says in which folder that is. */
const restores: [string, (folder: Folder) => string][] = [
  [
    'copied over the file',
    (folder) => {
      copyFileSync(folder.file('backup/a.db'), folder.file('home/a.db'))
      return 'home'
    },
  ],
  [
    'copied with its times',
    (folder) => {
      execFileSync('cp', ['-p', folder.file('backup/a.db'), folder.file('home/a.db')])
      return 'home'
    },
  ],
  [
    'moved',
    (folder) => {
      renameSync(folder.file('backup/a.db'), folder.file('home/a.db'))
      return 'home'
    },
  ],
  [
    'with key and lock, as a folder',
    (folder) => {
      rmSync(folder.file('home'), { recursive: true })
      cpSync(folder.file('backup'), folder.file('home'), { recursive: true, preserveTimestamps: true })
      return 'home'
    },
  ],
  [
    'with key and lock, over the files in place',
    (folder) => {
      for (const name of ['a.db', 'a.db.key', 'a.db-lock']) {
        execFileSync('cp', ['-p', folder.file(`backup/${name}`), folder.file(`home/${name}`)])
      }
      return 'home'
    },
  ],
  ['into another folder', () => 'backup'],
]

// How it was restored is no matter of the transport: over the slower one the first and the last way will do.
const waysOverHyperswarm = restores.filter((_, i) => THOROUGH || i === 0 || i === restores.length - 1)

describe.each([
  ['a relay', viaRelay, restores],
  ['Hyperswarm', swarm, waysOverHyperswarm],
] as const)(
  'a backup that is restored while a peer can be reached over %s catches up before it appends',
  (_, transport, ways) => {
    test.each(ways)('%s', async (_, restore) => {
      using folder = new Folder()
      const { a, peer } = await story(folder, transport)
      const place = restore(folder)
      await expectNoFork({ ...a, path: folder.file(`${place}/a.db`), transport: transport() }, peer)
    })

    test('after the process was killed, and its files with what was not yet in them replaced', async () => {
      using folder = new Folder()
      const options: OpenOptions = {
        databaseId: newId(),
        path: folder.file('a.db'),
        transport: transport(),
      }
      const peer = await start({ ...options, path: folder.file('peer.db') })
      await using victim = await ReplicaProcess.start(options)
      await victim.append(50, 'a')
      await has(peer.db, 50)
      await victim.kill()
      mkdirSync(folder.file('backup'))
      const names = ['a.db', 'a.db-wal', 'a.db.key', 'a.db-lock']
      for (const name of names) copyFileSync(folder.file(name), folder.file(`backup/${name}`))
      await using again = await ReplicaProcess.start(options)
      await again.append(50, 'b')
      await has(peer.db, 100)
      await again.kill()
      for (const name of names) copyFileSync(folder.file(`backup/${name}`), folder.file(name))
      await expectNoFork(options, peer)
    })
  },
)

test('what was left after a kill goes on where it was, without a fork', async () => {
  using folder = new Folder()
  const options: OpenOptions = { databaseId: 'killed', path: folder.file('a.db'), transport: viaRelay() }
  const peer = await start({ ...options, path: folder.file('peer.db') })
  {
    await using victim = await ReplicaProcess.start(options)
    await victim.append(50, 'a')
    await has(peer.db, 50)
    await victim.kill()
  }
  const again = await start(options)
  expect((await again.db.append('t', 'on')).seq).toBe(50)
  await has(peer.db, 51)
  expect([problems(again), problems(peer)]).toEqual([[], []])
})

test.each([
  [50, 60, 100],
  [100, 60, 50],
])('of peers with %d, %d and %d events the one with most is asked', async (...lengths) => {
  using folder = new Folder()
  const a: OpenOptions = { databaseId: 'lengths', path: folder.file('a.db') }
  const backup = { ...a, path: folder.file('backup.db') }
  // Each peer in a network of its own, so that none learns from another.
  const peers: { network: MemoryNetwork; peer: Peer; length: number }[] = []
  for (const length of [50, 60, 100]) {
    const network = memoryNetwork()
    const transport = () => network.createTransport()
    const peer = await start({ ...a, path: ':memory:', transport: transport() })
    const before = await open({ ...a, transport: transport() })
    await append(before, length - before.position, 'a')
    await has(peer.db, length)
    await before.close()
    peers.push({ network, peer, length })
    if (length === 50) for (const name of ['', '.key']) copyFileSync(a.path + name, backup.path + name)
  }
  const transport = lengths.map((length) => {
    const found = peers.find((candidate) => candidate.length === length)
    if (found === undefined) throw new Error(`no peer has ${length} events`)
    return found.network.createTransport()
  })
  const restored = await start({ ...backup, transport })
  expect((await restored.db.append('t', 'restored')).seq).toBe(100)
  for (const { peer } of peers) {
    await has(peer.db, 101)
    expect(peer.db.frontierRoot()).toBe(restored.db.frontierRoot())
    expect(problems(peer)).toEqual([])
  }
  expect(problems(restored)).toEqual([])
})

// ---- how long it waits --------------------------------------------------------------------------------------------

/** A transport on which nobody else ever is. */
const lonely = (): Transport => memoryNetwork().createTransport()

/** Whether the append is stored before control has returned to the event loop once. */
function isAtOnce(appended: Promise<unknown>): Promise<boolean> {
  return Promise.race([appended.then(() => true), new Promise<false>((resolve) => setImmediate(resolve, false))])
}

/** A file that has been replaced by a copy of itself. */
async function restoredFile(folder: Folder): Promise<OpenOptions> {
  const options: OpenOptions = { databaseId: 'restored', path: folder.file('a.db') }
  const db = await open({ ...options, transport: offline })
  await append(db, 50, 'a')
  await db.close()
  copyFileSync(options.path, folder.file('copy.db'))
  renameSync(folder.file('copy.db'), options.path)
  return options
}

test('a file that is opened again as it was left appends at once, whoever may be out there', async () => {
  using folder = new Folder()
  const options: OpenOptions = { databaseId: 'ordinary', path: folder.file('a.db') }
  for (let i = 0; i < 4; i++) {
    const { db } = await start({ ...options, transport: lonely() })
    expect(await isAtOnce(db.append('t', i))).toBe(true)
    await db.close()
  }
})

test('a restored file appends at once when it has no network to ask', async () => {
  using folder = new Folder()
  const { db, told } = await start({ ...(await restoredFile(folder)), transport: offline })
  expect(await isAtOnce(db.append('t', 1))).toBe(true)
  expect(told).toEqual([])
})

test('with nobody there it waits for a bounded time, once, in order, and says so', async () => {
  using folder = new Folder()
  const restored = await start({ ...(await restoredFile(folder)), transport: lonely() })
  const { db, told } = restored
  const since = performance.now()
  const first = db.append('t', 0)
  expect(await isAtOnce(first)).toBe(false)
  const others = [db.appendMany([1, 2].map((data) => ({ subject: 't', data }))), db.append('t', 3)]
  // Everything else works meanwhile.
  const seen: unknown[] = []
  for await (const { data } of db.read({ reverse: true, limit: 1 })) seen.push(data)
  expect(seen).toEqual(['a-49'])
  expect(told).toEqual([])
  const events = [await first, ...(await Promise.all(others)).flat()]
  expect(performance.now() - since).toBeGreaterThan(RECOVERY_WAIT_MS - 1000)
  expect(events.map(({ seq, data }) => [seq, data])).toEqual([0, 1, 2, 3].map((i) => [50 + i, i]))
  expect(await isAtOnce(db.append('t', 4))).toBe(true)
  expect(told).toEqual([{ type: 'Problem', source: 'store', message: expect.stringMatching(/no peer was met/) }])
})

test('closing while it waits stores what was appended', async () => {
  using folder = new Folder()
  const options = await restoredFile(folder)
  const { db } = await start({ ...options, transport: lonely() })
  const appended = Promise.all([db.append('t', 'kept'), db.append('t', 'kept too')])
  expect(await isAtOnce(appended)).toBe(false)
  await db.close()
  expect((await appended).map(({ seq }) => seq)).toEqual([50, 51])
  const { db: again } = await start({ ...options, transport: lonely() })
  expect(again.position).toBe(52)
  // It has written since: what could contradict others has been said.
  expect(await isAtOnce(again.append('t', 'on'))).toBe(true)
})

test('a file that was restored stays in doubt until it has asked or written', async () => {
  using folder = new Folder()
  const options = await restoredFile(folder)
  for (let i = 0; i < 2; i++) await (await start({ ...options, transport: lonely() })).db.close()
  const network = memoryNetwork()
  const peer = await start({ ...options, path: ':memory:', transport: network.createTransport() })
  const asking = await start({ ...options, transport: network.createTransport() })
  expect(await isAtOnce(asking.db.append('t', 'in doubt'))).toBe(false)
  await has(peer.db, 51)
  await asking.db.close()
  const known = await start({ ...options, transport: lonely() })
  expect(await isAtOnce(known.db.append('t', 'known'))).toBe(true)
})

test('a peer that tells of events of ours and never hands them over delays an append, but not for ever', async () => {
  using folder = new Folder()
  const options = await restoredFile(folder)
  const network = memoryNetwork()
  const liar = combineTransports([{ transport: network.createTransport(), owned: true }])
  const { admission } = await deriveDatabaseKeys(options.databaseId)
  const topic = deriveTopic(options.databaseId)
  await liar.announce(topic)
  const restored = await start({ ...options, transport: network.createTransport() })
  const author = Buffer.from(restored.db.author, 'hex')
  const lies = (async () => {
    for await (const connection of liar.connect(topic)) {
      const { initiator, handshakeHash } = connection
      await connection.send(messages.encodeHello(admissionProof(admission, handshakeHash, initiator)))
      await connection.send(messages.encodeRoot(Buffer.alloc(32)))
      const head = { author, length: 1000, start: 0, tag: Buffer.alloc(messages.TAG_BYTES) }
      await connection.send(messages.encodeHeads('last', [head]))
      while ((await connection.receive()) !== null);
    }
  })()
  expect((await restored.db.append('t', 'at last')).seq).toBe(50)
  expect(restored.told).toContainEqual({
    type: 'Problem',
    source: 'store',
    message: expect.stringMatching(/did not hand them over/),
  })
  await liar.disconnect()
  await lies
})

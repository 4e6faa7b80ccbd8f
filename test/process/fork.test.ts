import { copyFileSync, readdirSync, renameSync } from 'node:fs'
import createTestnet from 'hyperdht/testnet.js'
import { createRelay } from 'peerlog-relay'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Event, OpenOptions, TransportChoice } from '../../src/index.ts'
import { open } from '../../src/index.ts'
import { Folder, ReplicaProcess } from './replica-process.ts'

// A file that is copied with its key and written in both places: real processes, real transports, all on loopback.

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

const offline: TransportChoice = { mode: 'disabled' }

/** Three in a line: one reaches the middle over Hyperswarm, its double over a relay. */
function line(folder: Folder): Record<'left' | 'middle' | 'right', OpenOptions> {
  const swarm: TransportChoice = { mode: 'hyperswarm', bootstrap: testnet.bootstrap }
  const viaRelay: TransportChoice = { mode: 'relay', relayUrl: relay.url }
  const options = (name: string, transport: TransportChoice[]): OpenOptions => ({
    databaseId: 'fork',
    path: folder.file(`${name}.db`),
    transport,
  })
  return {
    left: options('left', [swarm]),
    middle: options('middle', [swarm, viaRelay]),
    right: options('right', [viaRelay]),
  }
}

async function writeOffline(options: OpenOptions, count: number, prefix: string): Promise<string> {
  await using db = await open({ ...options, transport: offline })
  await db.appendMany(
    Array.from({ length: count }, (_, i) => ({ subject: `log/${prefix}`, data: { line: `${prefix}-${i}` } })),
  )
  return db.author
}

/** Processes take a while to start: all of them at once. */
function startAll(...options: OpenOptions[]): Promise<ReplicaProcess[]> {
  return Promise.all(options.map((each) => ReplicaProcess.start(each)))
}

async function lengthOf(replica: ReplicaProcess, author: string): Promise<number | undefined> {
  const { frontier } = await replica.state()
  return new Map(frontier).get(author)
}

async function closeAll(replicas: ReplicaProcess[]): Promise<void> {
  for (const replica of replicas) expect(await replica.close()).toBe(0)
}

async function eventsIn(options: OpenOptions): Promise<Event[]> {
  await using db = await open({ ...options, readOnly: true })
  const events: Event[] = []
  for await (const event of db.read()) events.push(event)
  return events
}

test('a copied key that writes in two places is found out everywhere, stops that log only, and can be replaced', async () => {
  using folder = new Folder()
  const { left, middle, right } = line(folder)
  const author = await writeOffline(left, 10, 'both')
  for (const name of ['', '.key']) copyFileSync(left.path + name, right.path + name)
  await writeOffline(left, 5, 'left')
  await writeOffline(right, 7, 'right')
  await writeOffline(middle, 20, 'middle')
  const lengths = { left: 15, right: 17, middle: 0 }
  {
    const started = await startAll(left, middle, right)
    await using l = started[0] as ReplicaProcess
    await using m = started[1] as ReplicaProcess
    await using r = started[2] as ReplicaProcess
    expect([l.author, r.author]).toEqual([author, author])
    for (const replica of [l, m, r]) {
      expect(await replica.sync('ForkDetected')).toMatchObject({ event: { type: 'ForkDetected', author } })
    }
    lengths.middle = (await lengthOf(m, author)) as number
    expect([lengths.left, lengths.right]).toContain(lengths.middle)
    // The other log goes on, to both.
    await m.append(5, 'more')
    await Promise.all([l.has(15 + 25), r.has(17 + 25)])
    for (const replica of [l, r]) expect(await replica.refusal()).toMatchObject({ code: 'AUTHOR_FORKED' })
    const states = await Promise.all([l, m, r].map((replica) => replica.state()))
    expect(new Set(states.map(({ root }) => root)).size).toBe(1)
    expect(await Promise.all([l, m, r].map((replica) => lengthOf(replica, author)))).toEqual([
      lengths.left,
      lengths.middle,
      lengths.right,
    ])
    for (const replica of [l, m, r]) expect(replica.untaken('ForkDetected')).toEqual([])
    await closeAll([l, r, m])
  }
  // The proof is kept: nothing is told again, nothing is taken of that log, and it stays closed to its author.
  let hint: string
  {
    const started = await startAll(left, middle, right, { ...right, path: folder.file('late.db') })
    await using l = started[0] as ReplicaProcess
    await using m = started[1] as ReplicaProcess
    await using r = started[2] as ReplicaProcess
    await using late = started[3] as ReplicaProcess
    expect(await late.sync('ForkDetected')).toMatchObject({ event: { type: 'ForkDetected', author } })
    await late.append(3, 'late')
    await Promise.all([l.has(15 + 28), r.has(17 + 28), m.has(lengths.middle + 28), late.has(28)])
    const refusals = await Promise.all([l, r].map((replica) => replica.refusal()))
    expect(refusals.map(({ code }) => code)).toEqual(['AUTHOR_FORKED', 'AUTHOR_FORKED'])
    hint = refusals[0]?.message ?? ''
    const states = await Promise.all([l, m, r, late].map((replica) => replica.state()))
    expect(new Set(states.map(({ root }) => root)).size).toBe(1)
    for (const replica of [l, m, r, late]) expect(replica.untaken('ForkDetected')).toEqual([])
    await closeAll([l, r, late, m])
  }
  // What the error says, word for word.
  const key = /Move (.+) away and open it again to go on as a new author/.exec(hint)?.[1] as string
  expect(key).toBe(`${left.path}.key`)
  renameSync(key, folder.file('old.key'))
  {
    const started = await startAll(left, middle)
    await using l = started[0] as ReplicaProcess
    await using m = started[1] as ReplicaProcess
    expect(l.author).not.toBe(author)
    await l.append(4, 'again')
    await m.has(lengths.middle + 28 + 4)
    await closeAll([l, m])
  }
  const events = await eventsIn(left)
  const old = events.filter((event) => event.author === author)
  expect(old.map(({ seq, local }) => [seq, local])).toEqual(Array.from({ length: 15 }, (_, seq) => [seq, false]))
  expect(events.filter(({ local }) => local).map(({ data }) => (data as { line: string }).line)).toEqual([
    'again-0',
    'again-1',
    'again-2',
    'again-3',
  ])
  expect(readdirSync(folder.path)).toContain('old.key')
})

import createTestnet from 'hyperdht/testnet.js'
import { createRelay } from 'peerlog-relay'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { OpenOptions, TransportChoice } from '../../src/open.ts'
import { Folder, inspect, linesOf, ReplicaProcess } from './replica-process.ts'

// Real processes, real files, a real DHT and a real relay, all on loopback.

type Testnet = Awaited<ReturnType<typeof createTestnet>>
let testnet: Testnet
let relay: Awaited<ReturnType<typeof createRelay>>
let otherRelay: Awaited<ReturnType<typeof createRelay>>

beforeAll(async () => {
  testnet = await createTestnet(4)
  relay = await createRelay({ port: 0, host: '127.0.0.1' })
  otherRelay = await createRelay({ port: 0, host: '127.0.0.1' })
})
afterAll(async () => {
  await relay.close()
  await otherRelay.close()
  await testnet.destroy()
})

const offline: TransportChoice = { mode: 'disabled' }
const swarm = (): TransportChoice => ({ mode: 'hyperswarm', bootstrap: testnet.bootstrap })
const viaRelay = (): TransportChoice => ({ mode: 'relay', relayUrl: relay.url })
const viaOtherRelay = (): TransportChoice => ({ mode: 'relay', relayUrl: otherRelay.url })

/** Fills a file while nobody can be reached. */
async function fill(options: OpenOptions, count: number, prefix: string): Promise<void> {
  await using replica = await ReplicaProcess.start({ ...options, transport: offline })
  await replica.append(count, prefix)
  expect(await replica.close()).toBe(0)
}

async function expectAll(options: OpenOptions[], lines: string[]): Promise<void> {
  const found = await Promise.all(options.map(inspect))
  for (const { lines: held, root, integrity } of found) {
    expect(integrity).toBe('ok')
    expect(held).toEqual(lines)
    expect(root).toBe(found[0]?.root)
  }
}

describe('two processes, each with only a key and a path', () => {
  test.each([
    ['Hyperswarm', swarm],
    ['a relay', viaRelay],
  ])('converge over %s after 10 000 events on both sides while offline', async (_name, transport) => {
    using folder = new Folder()
    const a: OpenOptions = { databaseId: `pair over ${_name}`, path: folder.file('a.db') }
    const b: OpenOptions = { ...a, path: folder.file('b.db') }
    await Promise.all([fill(a, 10_000, 'a'), fill(b, 10_000, 'b')])
    {
      await using first = await ReplicaProcess.start({ ...a, transport: transport() })
      await using second = await ReplicaProcess.start({ ...b, transport: transport() })
      await Promise.all([first.has(20_000), second.has(20_000)])
      await Promise.all([first.sync('InSync'), second.sync('InSync')])
      expect(await first.close()).toBe(0)
      expect(await second.close()).toBe(0)
    }
    await expectAll([a, b], linesOf(10_000, 'a', 'b'))
  })
})

test('a third peer that joins later gets everything from before', async () => {
  using folder = new Folder()
  const options = (name: string): OpenOptions => ({
    databaseId: 'late',
    path: folder.file(`${name}.db`),
    secret: 'a passphrase of several words',
    transport: viaRelay(),
  })
  await using a = await ReplicaProcess.start(options('a'))
  await using b = await ReplicaProcess.start(options('b'))
  await Promise.all([a.append(1500, 'a'), b.append(1500, 'b')])
  await Promise.all([a.has(3000), b.has(3000)])
  await a.close()
  await using late = await ReplicaProcess.start(options('late'))
  await late.has(3000)
  await late.close()
  await b.close()
  await expectAll([options('a'), options('b'), options('late')], linesOf(1500, 'a', 'b'))
})

test('three in a line, of which the outer two can never meet, converge', async () => {
  using folder = new Folder()
  const options = (name: string, transport: TransportChoice[]): OpenOptions => ({
    databaseId: 'line',
    path: folder.file(`${name}.db`),
    transport,
  })
  const a = options('a', [swarm()])
  const b = options('b', [swarm(), viaOtherRelay()])
  const c = options('c', [viaOtherRelay()])
  {
    await using left = await ReplicaProcess.start(a)
    await using middle = await ReplicaProcess.start(b)
    await using right = await ReplicaProcess.start(c)
    await Promise.all([left.append(1000, 'a'), middle.append(1000, 'b'), right.append(1000, 'c')])
    await Promise.all([left.has(3000), middle.has(3000), right.has(3000)])
    // Live events go through the middle as well.
    await left.append(10, 'live')
    await right.has(3010)
    for (const replica of [left, middle, right]) expect(await replica.close()).toBe(0)
  }
  await expectAll([a, b, c], linesOf(1000, 'a', 'b', 'c').concat(linesOf(10, 'live')).sort())
})

test('duplicates by two paths are stored and delivered once, and own events never as received', async () => {
  using folder = new Folder()
  const options = (name: string): OpenOptions => ({
    databaseId: 'two paths',
    path: folder.file(`${name}.db`),
    transport: [viaRelay(), viaOtherRelay()],
  })
  await using a = await ReplicaProcess.start(options('a'))
  await using b = await ReplicaProcess.start(options('b'))
  await using c = await ReplicaProcess.start(options('c'))
  await Promise.all([a.sync('InSync'), b.sync('InSync'), c.sync('InSync')])
  for (let round = 0; round < 5; round++) {
    await Promise.all([a.append(100, `a${round}`), b.append(100, `b${round}`), c.append(100, `c${round}`)])
  }
  for (const replica of [a, b, c]) {
    await replica.has(1500)
    const { events, upserts, received } = await replica.state()
    expect({ events, upserts }).toEqual({ events: 1500, upserts: 1500 })
    expect(received).toBeLessThanOrEqual(1000)
  }
  for (const replica of [a, b, c]) expect(await replica.close()).toBe(0)
  const rounds = [0, 1, 2, 3, 4].flatMap((round) => [`a${round}`, `b${round}`, `c${round}`])
  await expectAll([options('a'), options('b'), options('c')], linesOf(100, ...rounds))
})

test('a peer killed in the middle of a catch-up goes on where it was', async () => {
  using folder = new Folder()
  const a: OpenOptions = { databaseId: 'killed', path: folder.file('a.db'), transport: viaRelay() }
  const b: OpenOptions = { ...a, path: folder.file('b.db') }
  await fill(a, 30_000, 'a')
  await fill(b, 500, 'b')
  {
    await using source = await ReplicaProcess.start(a)
    const victim = await ReplicaProcess.start(b)
    await victim.has(3000)
    await victim.kill()
    await using again = await ReplicaProcess.start(b)
    await again.append(500, 'after')
    await Promise.all([again.has(31_000), source.has(31_000)])
    expect(await again.close()).toBe(0)
    expect(await source.close()).toBe(0)
  }
  await expectAll(
    [a, b],
    linesOf(30_000, 'a')
      .concat(linesOf(500, 'b', 'after'))
      .sort(),
  )
})

test('local only: the same API, no socket, and the process ends by itself after close()', async () => {
  using folder = new Folder()
  const options: OpenOptions = { databaseId: 'alone', path: folder.file('alone.db'), transport: offline }
  await using replica = await ReplicaProcess.start(options)
  await replica.append(1000, 'a')
  const { events, resources, received } = await replica.state()
  expect(events).toBe(1000)
  expect(received).toBe(0)
  expect(resources.filter((name) => /TCP|UDP|Socket|Timeout|TLS/i.test(name))).toEqual([])
  expect(await replica.close()).toBe(0)
})

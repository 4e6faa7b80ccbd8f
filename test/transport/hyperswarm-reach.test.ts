import { type ChildProcess, fork } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { keyPair } from 'hypercore-crypto'
import createTestnet from 'hyperdht/testnet.js'
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest'
import { toHex } from '../../src/base/bytes.ts'
import { meet, Peer, talk } from '../../src/transport/conformance/stage.ts'
import { hyperswarmTransport } from '../../src/transport/hyperswarm/hyperswarm-transport.ts'
import type { HyperswarmOptions } from '../../src/transport/hyperswarm/hyperswarm-transport.ts'
import type { Outlook } from '../../src/transport/transport.ts'

const PEER = fileURLToPath(new URL('fixtures/peer.ts', import.meta.url))
const NOBODY = '00'.repeat(32)
const LOCALHOST = '127.0.0.1'

let testnet: Awaited<ReturnType<typeof createTestnet>>
const cleanups: (() => unknown)[] = []

beforeAll(async () => {
  testnet = await createTestnet(5)
})
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})
afterAll(() => testnet.destroy())

type Reached = Peer & { readonly id: string }

function peer(options: HyperswarmOptions = {}): Reached {
  const identity = keyPair()
  const transport = hyperswarmTransport({ bootstrap: testnet.bootstrap, keyPair: identity, ...options })
  cleanups.push(() => transport.disconnect())
  return Object.assign(new Peer(transport), { id: toHex(identity.publicKey) })
}

/** A peer that has announced the topic, in a process of its own. */
function child(topic: Buffer): ChildProcess {
  const started = fork(PEER, [topic.toString('hex'), JSON.stringify(testnet.bootstrap), 'announce'], {
    execArgv: ['--import', 'ts-blank-space/register'],
  })
  cleanups.push(() => started.kill('SIGKILL'))
  return started
}

function becomes(outlook: Outlook, peerId: string, { transport }: Peer): Promise<void> {
  return vi.waitFor(() => expect(transport.outlook?.(peerId)).toBe(outlook), { timeout: 30_000, interval: 20 })
}

/** A UDP port where nobody answers, and which is free again after `release`. */
async function mutePort(): Promise<{ port: number; release(): Promise<void> }> {
  const socket = createSocket('udp4')
  socket.bind(0, LOCALHOST)
  await once(socket, 'listening')
  return { port: socket.address().port, release: () => new Promise((resolve) => socket.close(resolve)) }
}

test('blocked UDP is told within 3 s, and its opening at once; then peers find and reach each other', async () => {
  const { port, release } = await mutePort()
  const options = { bootstrap: [{ host: LOCALHOST, port }] }
  const [a, b] = [peer(options), peer(options)]
  const topic = randomBytes(32)
  const since = performance.now()
  const announced = a.transport.announce(topic)
  const [toB, toA] = [a.connect(topic), b.connect(topic)]
  expect(a.transport.outlook?.(b.id)).toBe('pending')
  await Promise.all([becomes('udp-blocked', b.id, a), becomes('udp-blocked', a.id, b)])
  expect(performance.now() - since).toBeGreaterThan(2000)
  // HyperDHT gives up starting after 6 s, and rests for minutes then.
  await vi.waitFor(() => expect(performance.now() - since).toBeGreaterThan(7000), 10_000)
  await release()
  const late = await createTestnet(5, { port })
  cleanups.unshift(() => late.destroy())
  await announced
  expect(a.transport.outlook?.(NOBODY)).not.toBe('udp-blocked')
  const { ab, ba } = await meet(toB, toA)
  await talk(ab, ba)
  expect(a.transport.outlook?.(b.id)).toBe('pending')
})

test('UDP that is blocked later is told too', async () => {
  const { port, release } = await mutePort()
  await release()
  const net = await createTestnet(3, { port })
  const a = peer({ bootstrap: net.bootstrap })
  a.connect(randomBytes(32))
  await becomes('not-found', NOBODY, a)
  await net.destroy()
  await becomes('udp-blocked', NOBODY, a)
  const again = await createTestnet(3, { port })
  cleanups.unshift(() => again.destroy())
  await becomes('not-found', NOBODY, a)
})

test('a peer that nobody has announced is not found, once the DHT was asked', async () => {
  const here = peer()
  expect(here.transport.outlook?.(NOBODY)).toBe('pending')
  here.connect(randomBytes(32))
  expect(here.transport.outlook?.(NOBODY)).toBe('pending')
  await becomes('not-found', NOBODY, here)
})

test('a peer that was found and cannot be reached is told, until it can', async () => {
  const topic = randomBytes(32)
  const [here, there] = [peer(), child(topic)]
  const arrivals = here.connect(topic)
  const first = await arrivals.next()
  expect(here.transport.outlook?.(first.peerId)).toBe('pending')
  there.kill('SIGSTOP')
  here.transport.refresh?.(topic)
  // Sooner than the 12 s of silence that end a link by themselves.
  const since = performance.now()
  while ((await first.receive()) !== null);
  expect(performance.now() - since).toBeLessThan(8000)
  await becomes('holepunch-failed', first.peerId, here)
  there.kill('SIGCONT')
  const again = await arrivals.next()
  expect(again.peerId).toBe(first.peerId)
  expect(here.transport.outlook?.(first.peerId)).toBe('pending')
})

test('refresh leaves a peer alone that answers', async () => {
  const topic = randomBytes(32)
  const [a, b] = [peer(), peer()]
  await a.transport.announce(topic)
  const { ab, ba } = await meet(a.connect(topic), b.connect(topic))
  for (const { transport } of [a, b]) for (let i = 0; i < 3; i++) transport.refresh?.(topic)
  a.transport.refresh?.(randomBytes(32))
  await new Promise((resolve) => setTimeout(resolve, 2500))
  await talk(ab, ba)
})

test('suspend closes connections, takes the announcement back and is silent; resume brings everything back', async () => {
  const topic = randomBytes(32)
  const [a, b, other] = [peer(), peer(), peer()]
  await Promise.all([a.transport.announce(topic), b.transport.announce(topic)])
  const [toB, toA] = [a.connect(topic), b.connect(topic)]
  const { ab, ba } = await meet(toB, toA)
  await Promise.all([a.transport.suspend?.(), a.transport.suspend?.()])
  expect(await Promise.all([ab.receive(), ba.receive()])).toEqual([null, null])
  a.transport.refresh?.(topic)
  expect(a.transport.outlook?.(b.id)).toBe('pending')
  await expect(a.transport.lookup(topic)).rejects.toMatchObject({ code: 'TIMEOUT', message: /suspended.*resume/ })
  expect((await other.transport.lookup(topic)).map(({ id }) => id)).toEqual([b.id])
  await Promise.all([a.transport.resume?.(), a.transport.resume?.()])
  const again = await meet(toB, toA)
  await talk(again.ab, again.ba)
  await vi.waitFor(async () => expect(await other.transport.lookup(topic)).toHaveLength(2), 10_000)
})

test('what is asked for while suspended is done after resume', async () => {
  const topic = randomBytes(32)
  const [a, b] = [peer(), peer()]
  await a.transport.suspend?.()
  const [announced, toB, toA] = [a.transport.announce(topic), a.connect(topic), b.connect(topic)]
  expect(await b.transport.lookup(topic)).toEqual([])
  await a.transport.resume?.()
  await announced
  const { ab, ba } = await meet(toB, toA)
  await talk(ab, ba)
})

test('a suspended transport disconnects', async () => {
  const topic = randomBytes(32)
  const here = peer()
  await here.transport.announce(topic)
  const arrivals = here.connect(topic)
  await here.transport.suspend?.()
  await here.transport.disconnect()
  await here.transport.resume?.()
  await arrivals.ended()
})

import { fork } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type SecretStream from '@hyperswarm/secret-stream'
import { keyPair } from 'hypercore-crypto'
import HyperDHT from 'hyperdht'
import createTestnet from 'hyperdht/testnet.js'
import Hyperswarm from 'hyperswarm'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { meet, Peer, Stage, talk } from '../../src/transport/conformance/stage.ts'
import { hyperswarmTransport } from '../../src/transport/hyperswarm/hyperswarm-transport.ts'
import type { HyperswarmOptions } from '../../src/transport/hyperswarm/hyperswarm-transport.ts'

const PEER = fileURLToPath(new URL('fixtures/peer.ts', import.meta.url))

let testnet: Awaited<ReturnType<typeof createTestnet>>
const cleanups: (() => unknown)[] = []

beforeAll(async () => {
  testnet = await createTestnet(5)
})
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})
afterAll(() => testnet.destroy())

function peer(options: HyperswarmOptions = {}): Peer {
  const transport = hyperswarmTransport({ bootstrap: testnet.bootstrap, ...options })
  cleanups.push(() => transport.disconnect())
  return new Peer(transport)
}

function child(topic: Buffer): ChildProcess {
  const process = fork(PEER, [topic.toString('hex'), JSON.stringify(testnet.bootstrap)], {
    execArgv: ['--import', 'ts-blank-space/register'],
  })
  cleanups.push(() => process.kill('SIGKILL'))
  return process
}

/** A peer that speaks Noise but not our frames. */
function stranger(topic: Buffer): Promise<SecretStream> {
  const swarm = new Hyperswarm({ dht: new HyperDHT({ bootstrap: testnet.bootstrap, host: '127.0.0.1' }) })
  cleanups.push(() => swarm.destroy())
  swarm.join(topic, { client: true, server: false })
  return new Promise((resolve) => swarm.on('connection', (stream) => resolve(stream.on('error', () => {}))))
}

test('a peer that is killed is noticed, and its successor comes through the same iteration', async () => {
  const topic = randomBytes(32)
  const here = peer()
  await here.transport.announce(topic)
  const arrivals = here.connect(topic)
  const doomed = child(topic)
  const connection = await arrivals.next()
  expect(Number(await connection.receive())).toBe(doomed.pid)
  const pending = connection.receive()
  doomed.kill('SIGKILL')
  await once(doomed, 'exit')
  const successor = child(topic)
  expect(Number(await (await arrivals.next()).receive())).toBe(successor.pid)
  expect(await pending).toBeNull()
})

test('a peer that never speaks of a topic is dropped after the timeout', async () => {
  const topic = randomBytes(32)
  const here = peer({ timeoutMs: 1000 })
  await here.transport.announce(topic)
  const arrivals = here.connect(topic)
  const stream = await stranger(topic)
  const since = Date.now()
  await new Promise<void>((resolve) => stream.once('close', resolve))
  expect(Date.now() - since).toBeGreaterThan(800)
  expect(await arrivals.within(0)).toBeNull()
})

test('a peer that sends garbage loses its link at once and disturbs nobody', async () => {
  const topic = randomBytes(32)
  const [here, other] = [peer(), peer()]
  await here.transport.announce(topic)
  const { ab, ba } = await meet(here.connect(topic), other.connect(topic))
  const stream = await stranger(topic)
  stream.write(Buffer.from('not a frame'))
  await new Promise<void>((resolve) => stream.once('close', resolve))
  await talk(ab, ba)
})

test('two transports with one identity do not connect to each other', async () => {
  const topic = randomBytes(32)
  const identity = keyPair()
  const [one, two, third] = [peer({ keyPair: identity }), peer({ keyPair: identity }), peer()]
  await one.transport.announce(topic)
  const [fromOne, fromTwo] = [one.connect(topic), two.connect(topic)]
  const connection = await third.connect(topic).next()
  expect(connection.peerId).toBe(identity.publicKey.toString('hex'))
  expect((await fromOne.next()).peerId).not.toBe(connection.peerId)
  expect(await fromTwo.within(1000)).toBeNull()
})

test('an identity of plain Uint8Arrays will do', async () => {
  const { publicKey, secretKey } = keyPair()
  const [here, other] = [
    peer({ keyPair: { publicKey: Uint8Array.from(publicKey), secretKey: Uint8Array.from(secretKey) } }),
    peer(),
  ]
  const topic = randomBytes(32)
  await here.transport.announce(topic)
  const { ab, ba } = await meet(here.connect(topic), other.connect(topic))
  expect(ba.peerId).toBe(publicKey.toString('hex'))
  await talk(ab, ba)
})

test('twenty pairs that announce and connect at the same instant all get a connection that works', async () => {
  const stage = new Stage(() => hyperswarmTransport({ bootstrap: testnet.bootstrap }))
  cleanups.push(() => stage.end())
  const pairs = Array.from({ length: 20 }, async () => {
    const topic = randomBytes(32)
    const [a, b] = [await stage.peer(), await stage.peer()]
    const announced = [a.transport.announce(topic), b.transport.announce(topic)]
    const [toB, toA] = [a.connect(topic), b.connect(topic)]
    // Both may have dialled: a link that loses the tie may have come up for a moment.
    for (let talked = false; !talked;) {
      const { ab, ba } = await meet(toB, toA)
      talked = await talk(ab, ba).then(
        () => true,
        () => false,
      )
    }
    await Promise.all(announced)
  })
  await Promise.all(pairs)
})

test('an announced peer that connects only later gets those who waited for it', async () => {
  const topic = randomBytes(32)
  const [here, other] = [peer(), peer()]
  await here.transport.announce(topic)
  const waiting = other.connect(topic)
  expect(await waiting.within(1500)).toBeNull()
  const { ab, ba } = await meet(here.connect(topic), waiting)
  await talk(ab, ba)
})

test('an abort leaves the announcement in force', async () => {
  const topic = randomBytes(32)
  const [here, other] = [peer(), peer()]
  const stop = new AbortController()
  await here.transport.announce(topic)
  const arrivals = here.connect(topic, stop.signal)
  stop.abort()
  await arrivals.ended()
  expect(await other.transport.lookup(topic)).toHaveLength(1)
})

test('where no DHT node answers, announcing says so, and disconnecting is quick', async () => {
  const here = peer({ bootstrap: [{ host: '127.0.0.1', port: 9 }], timeoutMs: 2000 })
  const topic = randomBytes(32)
  await expect(here.transport.announce(topic)).rejects.toMatchObject({ code: 'TIMEOUT', message: /UDP may be blocked/ })
  const since = Date.now()
  await here.transport.disconnect()
  expect(Date.now() - since).toBeLessThan(5000)
  await expect(here.transport.announce(topic)).rejects.toMatchObject({ code: 'CLOSED' })
})

test('caller mistakes are told', async () => {
  const here = peer()
  const topic = randomBytes(32)
  expect(() => here.transport.connect(Buffer.alloc(31))).toThrow(TypeError)
  await expect(here.transport.announce('topic' as never)).rejects.toThrow(TypeError)
  here.connect(topic)
  expect(() => here.connect(topic)).toThrow(/already/)
})

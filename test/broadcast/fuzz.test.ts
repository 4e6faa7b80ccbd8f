/**
 * Real transcripts, damaged in every way, and noise, into sessions over a real store at every phase.
 * PEERLOG_FUZZ_SECONDS says for how long (10; 30 if all is to be tried), PEERLOG_SEED from which seed.
 */
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import v8 from 'node:v8'
import vm from 'node:vm'
import Sqlite from 'better-sqlite3'
import { expect, it, onTestFinished } from 'vitest'
import { MAX_MESSAGE_BYTES } from '../../src/base/limits.ts'
import * as messages from '../../src/broadcast/messages.ts'
import { encodeForkProof } from '../../src/event/fork.ts'
import { THOROUGH } from '../faults/scale.ts'
import { foreignLog, Stranger } from './stranger.ts'
import type { Node } from './world.ts'
import { expectSound, World } from './world.ts'

const SECONDS = Number(process.env['PEERLOG_FUZZ_SECONDS'] ?? (THOROUGH ? 30 : 10))
const SEED = Number(process.env['PEERLOG_SEED'] ?? 20261120)
const HEAP_GROWTH_BYTES = 64 * 1024 * 1024

v8.setFlagsFromString('--expose-gc')
const gc = vm.runInNewContext('gc') as () => void

function heapBytes(): number {
  gc()
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}

/** What honest peers say to each other, of every type, and the ids of all events in it. */
function record(): { said: Buffer[]; ids: Set<string> } {
  const world = new World({ seed: SEED })
  const nodes = [world.node(11), world.node(12), world.node(13)] as [Node, Node, Node]
  const [a, b, c] = nodes
  for (let i = 0; i < 5; i++) a.append(10, { n: i })
  b.append(3, Buffer.alloc(5000, 1))
  const one = foreignLog(90, 5, '1')
  const two = foreignLog(90, 5, '2')
  expect(a.store.ingest([one.run(0, 4)])).toEqual(['stored'])
  c.store.ingest([two.run(0, 5)])
  const links = [world.meet(a, b), world.meet(b, c), world.meet(c, a)]
  world.settle()
  for (let i = 0; i < 10; i++) {
    for (const node of nodes) node.append(1, { live: i })
    world.pass(i * 10)
  }
  world.pass(20_000)
  world.settle()
  const said: Buffer[] = links
    .flatMap(({ ends }) => ends.flatMap(({ sent }) => sent))
    .map((bytes) => Buffer.from(bytes))
  said.push(messages.encodeFork(encodeForkProof(one.run(1, 3, true), two.run(1, 2, true))))
  said.push(messages.encodeGoodbye(0, 'closing'), messages.LAZY_MESSAGE, messages.EAGER_MESSAGE)
  const ids = new Set(nodes.flatMap(({ delivered }) => delivered))
  world.close()
  return { said, ids }
}

it(`survives ${SECONDS} seconds of it`, { timeout: (SECONDS + 60) * 1000 }, async () => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'peerlog-fuzz-'))
  onTestFinished(() => fs.rmSync(folder, { recursive: true, force: true }))
  const file = path.join(folder, 'fuzzed.db')
  const world = new World({ seed: SEED })
  const { said, ids } = record()
  const types = new Set(said.map((bytes) => messages.decodeMessage(bytes)?.type))
  expect(types.size, [...types].join(' ')).toBe(12)
  const node = world.node(14, 0, file)
  node.append(20)
  let own = 0

  const pick = <T>(list: readonly T[]): T => list[world.below(list.length)] as T
  const noise = (length: number): Buffer => {
    const bytes: Buffer = Buffer.alloc(length)
    for (let i = 0; i < Math.min(length, 4096); i++) bytes[i] = world.below(256)
    return bytes
  }
  const mutations: ((bytes: Buffer) => Buffer)[] = [
    (bytes) => bytes,
    (bytes) => bytes.subarray(0, world.below(bytes.length + 1)),
    (bytes) => Buffer.concat([bytes, noise(1 + world.below(40))]),
    (bytes) => {
      const copy = Buffer.from(bytes)
      for (let flips = 1 + world.below(4); flips > 0; flips--)
        copy.writeUInt8(world.below(256), world.below(copy.length))
      return copy
    },
    (bytes) => {
      const at = world.below(bytes.length)
      const other = pick(said)
      return Buffer.concat([bytes.subarray(0, at), other.subarray(world.below(other.length))])
    },
    (bytes) => Buffer.concat([bytes.subarray(0, 1), noise(world.below(300))]),
    (bytes) => Buffer.concat([bytes.subarray(0, 2 + world.below(40)), Buffer.alloc(8, 0xff), bytes.subarray(40)]),
    () => noise(world.below(2000)),
    (bytes) => (world.below(60) > 0 ? bytes : Buffer.concat([bytes, Buffer.alloc(world.below(MAX_MESSAGE_BYTES))])),
    () => (world.below(60) > 0 ? noise(1) : noise(MAX_MESSAGE_BYTES)),
  ]

  // What a session takes once it is open, each kind as often.
  const kinds = ['frame', 'request', 'heads', 'ping', 'lazy', 'eager', 'fork'] as const
  const inTurn = kinds.map((kind) =>
    said.filter((bytes) => {
      const message = messages.decodeMessage(bytes)
      return message?.type === kind && (message.type !== 'heads' || message.kind === 'news')
    }),
  )
  expect(inTurn.every((list) => list.length > 0)).toBe(true)

  const ends = new Map<string, number>()
  let rounds = 0
  let messagesSent = 0
  let warm = 0
  const started = performance.now()
  for (; performance.now() - started < SECONDS * 1000; rounds++) {
    const stranger = new Stranger(world, node)
    const phase = world.below(5)
    if (phase >= 1) stranger.hello()
    if (phase === 2) stranger.send(messages.encodeRoot(noise(32)))
    if (phase === 3) stranger.send(messages.encodeRoot(node.store.frontierRoot()))
    if (phase === 4) stranger.send(messages.encodeRoot(noise(32)), messages.encodeHeads('last', []))
    // Mostly what belongs there, so that the session lives long enough to be hurt.
    const rudeness = world.below(3) === 0 ? 2 : 30
    for (let count = 1 + world.below(40); count > 0 && stranger.end.ended === null; count--) {
      if (world.below(rudeness) === 0) stranger.send(pick(mutations)(pick(said)))
      else if (phase < 3) stranger.send(pick(said))
      else if (world.below(4) > 0) stranger.send(pick(pick(inTurn)))
      else {
        const frames = stranger.readTypes().filter((type) => type === 'frame').length
        if (frames > 0) stranger.send(messages.encodeAck(frames))
      }
      messagesSent++
      if (world.below(20) === 0) node.append()
      if (world.below(10) === 0) {
        world.now += world.below(3000)
        stranger.end.session.wake(world.now)
        stranger.end.pump()
      }
    }
    const how = stranger.end.ended?.reason ?? 'alive'
    ends.set(how, (ends.get(how) ?? 0) + 1)
    stranger.end.lost()
    expect(node.claims.size).toBe(0)
    node.released.length = 0
    own += node.delivered.filter((id) => !ids.has(id)).length
    node.delivered.length = 0
    // What appends leave to microtasks and immediates has its turn.
    if (rounds % 50 === 0) await new Promise(setImmediate)
    if (rounds === 500) warm = heapBytes()
  }
  const growth = rounds > 500 ? heapBytes() - warm : 0
  console.log(
    `fuzz: seed ${SEED}, ${rounds} rounds, ${messagesSent} messages, heap ${Math.round(growth / 1024)} KiB, ends`,
    Object.fromEntries(ends),
  )
  expect(growth).toBeLessThan(HEAP_GROWTH_BYTES)
  // Nothing has been stored but what somebody has written.
  expect(own).toBe(node.store.log(node.store.author)?.mmr.length)

  const honest = world.node(15)
  honest.append(3)
  world.meet(node, honest)
  world.settle({ withinMs: 600_000 })
  expect(honest.store.frontierRoot().equals(node.store.frontierRoot())).toBe(true)
  honest.expectSound()
  expectSound(node.store)
  world.close()

  const db = new Sqlite(file, { readonly: true })
  expect(db.pragma('integrity_check', { simple: true })).toBe('ok')
  db.close()
})

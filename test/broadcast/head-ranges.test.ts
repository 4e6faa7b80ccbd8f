// Replicas of many logs compare them by ranges: what that costs, and that nothing is overlooked whatever happens meanwhile.
import { afterEach, describe, expect, it } from 'vitest'
import { HEAD_RANGES_BYTES, MAX_HEAD_RANGES_ROUNDS, RANGE_MIN_LOGS } from '../../src/base/limits.ts'
import { HeadRanges } from '../../src/broadcast/head-ranges.ts'
import * as messages from '../../src/broadcast/messages.ts'
import { ItemIndex } from '../../src/reconcile/item-index.ts'
import { RangeReconciler } from '../../src/reconcile/range/range-reconciler.ts'
import { inventedRun } from '../hostile/attacker.ts'
import { foreignLog, Stranger } from './stranger.ts'
import type { End, Link, Node } from './world.ts'
import { keys, World } from './world.ts'

const worlds: World[] = []
afterEach(() => {
  for (const world of worlds.splice(0)) world.close()
})

const AUTHORS = 2 * RANGE_MIN_LOGS
const RUNS = Array.from({ length: AUTHORS + 100 }, (_, n) => inventedRun(keys, n))

function newWorld(seed = 1): World {
  const world = new World({ seed })
  worlds.push(world)
  return world
}

/** A node that holds so many of the invented authors' logs. */
function holder(world: World, from = 0, to = AUTHORS): Node {
  const node = world.node()
  node.store.ingest(RUNS.slice(from, to))
  return node
}

/** What an end has sent, by type, in messages and bytes. */
function sent(end: End): Record<string, { count: number; bytes: number; heads: number }> {
  const kinds: Record<string, { count: number; bytes: number; heads: number }> = {}
  for (const bytes of end.sent) {
    const message = messages.decodeMessage(bytes)
    if (message === null) throw new Error('a session sent something malformed')
    const kind = (kinds[message.type] ??= { count: 0, bytes: 0, heads: 0 })
    kind.count++
    kind.bytes += bytes.length
    if (message.type === 'heads' && message.kind !== 'news') kind.heads += message.heads.length
  }
  return kinds
}

function meetAndSettle(world: World, a: Node, b: Node): Link {
  const link = world.meet(a, b)
  world.settle()
  world.expectAgreement([a, b])
  return link
}

describe('two strangers that hold many logs', () => {
  it('tell only the heads that differ, whoever began', () => {
    for (const swapped of [false, true]) {
      const world = newWorld()
      const [a, b] = [holder(world), holder(world)]
      a.store.ingest(RUNS.slice(AUTHORS, AUTHORS + 5))
      b.store.ingest(RUNS.slice(AUTHORS + 5, AUTHORS + 8))
      const link = swapped ? meetAndSettle(world, b, a) : meetAndSettle(world, a, b)
      const [first, second] = link.ends.map(sent)
      expect(new Set([first?.['heads']?.heads, second?.['heads']?.heads])).toEqual(new Set([3, 5]))
      // 43 bytes for each of 600 heads would be 26 KB, each way.
      const bytes = link.ends.flatMap((end) => ['range', 'tell', 'heads'].map((kind) => sent(end)[kind]?.bytes ?? 0))
      expect(bytes.reduce((sum, one) => sum + one)).toBeLessThan(13_000)
      expect(link.ends[0].session.meeting.differences).toMatchObject({ logs: 8 })
      expect(link.ends[1].session.meeting.differences).toMatchObject({ logs: 8 })
    }
  })

  it('do so when one holds more of a log, its beginning alone, or a fork of it', () => {
    const world = newWorld()
    const [a, b] = [holder(world), holder(world)]
    const [long, other] = [foreignLog(60, 40), foreignLog(61, 5)]
    a.store.ingest([long.run(0, 40), other.run(0, 2)])
    b.store.ingest([long.run(0, 7), other.run(0, 5)])
    const [one, two] = [foreignLog(62, 2, '1'), foreignLog(62, 2, '2')]
    a.store.ingest([one.run(0, 2)])
    expect(a.store.ingest([{ ...two.run(1, 2), peaks: two.mmrs[1]?.peaks() ?? null }])).toEqual(['forked'])
    b.store.ingest([two.run(0, 2)])
    const link = meetAndSettle(world, a, b)
    expect(link.ends.map((end) => sent(end)['heads']?.heads)).toEqual([3, 3])
    expect(b.store.log(one.keys.publicKey.toString('hex'))?.fork).not.toBe(null)
    expect(b.store.log(long.keys.publicKey.toString('hex'))?.mmr.length).toBe(40)
    expect(a.store.log(other.keys.publicKey.toString('hex'))?.mmr.length).toBe(5)
  })

  it('have a mark in common afterwards, and tell only what has changed when they meet again', () => {
    const world = newWorld()
    const [a, b] = [holder(world), holder(world)]
    a.append(2)
    meetAndSettle(world, a, b).cut()
    b.append(1)
    const again = meetAndSettle(world, a, b)
    expect(again.ends.map((end) => sent(end)['range'])).toEqual([undefined, undefined])
    expect(again.ends.map((end) => sent(end)['heads']?.heads)).toEqual([0, 1])
  })

  it('tell all heads if one of them holds few logs', () => {
    const world = newWorld()
    const [a, b] = [holder(world), holder(world, 0, RANGE_MIN_LOGS)]
    const link = meetAndSettle(world, a, b)
    expect(link.ends.map((end) => sent(end)['range'])).toEqual([undefined, undefined])
    expect(link.ends.map((end) => sent(end)['heads']?.heads)).toEqual([AUTHORS, RANGE_MIN_LOGS])
  })

  it('overlook nothing that either stores while they search', () => {
    for (let seed = 1; seed <= 12; seed++) {
      const world = newWorld(seed)
      const a = holder(world, 0, AUTHORS - world.below(200))
      const b = holder(world, world.below(200), AUTHORS + world.below(100))
      const c = world.node()
      world.meet(c, world.below(2) === 0 ? a : b)
      const link = world.meet(a, b)
      for (let i = 0; i < 12; i++) {
        const steps = world.below(4)
        for (let step = 0; step < steps; step++) world.step()
        const node = [a, b, c][world.below(3)] as Node
        if (world.below(3) === 0) node.store.ingest([RUNS[world.below(RUNS.length)] as (typeof RUNS)[number]])
        else node.append(1 + world.below(3))
      }
      world.settle()
      expect(link.ends.every((end) => (sent(end)['range']?.count ?? 0) > 0)).toBe(true)
      world.expectAgreement()
    }
  })
})

describe('of a peer that compares heads', () => {
  const range = (bytes: Buffer): Buffer => messages.encodeRange(bytes)
  const first = (): Buffer => range(new RangeReconciler(ItemIndex.from([])).initiate())

  /** Is admitted and says that it holds many logs; the stranger is the initiator. */
  function searching(): Stranger {
    const world = newWorld()
    const stranger = new Stranger(world, holder(world))
    return stranger.hello().send(messages.encodeRoot(Buffer.alloc(32, 0xee), [], AUTHORS))
  }

  it.each([
    ['that is no range message', range(Buffer.from([0x61, 0xff, 0xff])), /compared heads wrongly/],
    ['with a head of which nobody told it', messages.encodeTell(false, [Buffer.alloc(16, 7)]), /that is not here/],
    ['with heads before they were found', messages.encodeHeads('last', []), /out of turn/],
  ])('one %s is the last', (_name, bytes, detail) => {
    const stranger = searching()
    stranger.expectFine()
    stranger.send(bytes).expectEnd('protocol-violation', detail)
  })

  it('the messages are bounded in size', () => {
    const stranger = searching()
    stranger.send(range(Buffer.alloc(HEAD_RANGES_BYTES + 1, 0x61))).expectEnd('protocol-violation', /malformed/)
  })

  it('the messages are bounded in number', () => {
    const stranger = searching()
    for (let i = 0; i < MAX_HEAD_RANGES_ROUNDS; i++) stranger.send(first())
    stranger.expectFine()
    stranger.send(first()).expectEnd('protocol-violation', /too-many-rounds/)
  })

  it('nothing is taken after the search, nor where there is none', () => {
    const after = searching().send(first(), messages.encodeTell(true, []))
    after.expectFine()
    after.send(first()).expectEnd('protocol-violation', /out of turn/)
    const world = newWorld()
    const open = new Stranger(world, holder(world)).meet()
    open.send(messages.encodeTell(true, [])).expectEnd('protocol-violation', /out of turn/)
  })

  it('the one that began is not asked', () => {
    const ranges = new HeadRanges([], Buffer.alloc(32), true)
    expect(ranges.receive({ type: 'tell', isLast: true, prefixes: [] })).toMatchObject({ reason: 'protocol-violation' })
  })

  it('one that names no end of heads is let go', () => {
    const world = newWorld()
    const ranges = new HeadRanges(holder(world).store.logs(), Buffer.alloc(32), true)
    const bytes = (list: number): Buffer => {
      // A fingerprint of the first ids that is wrong, so that it goes on; then a list of ids that nobody has.
      const count = 4000
      const ids = Buffer.alloc(32 * count)
      for (let i = 0; i < count; i++) ids.writeUInt32BE(0x8000_0000 + list * count + i, 32 * i)
      const wrong = [1, 1, 1, 1, ...Buffer.alloc(16, 9)]
      return Buffer.from([0x61, ...wrong, 0, 0, 2, 0x80 | (count >> 7), count & 0x7f, ...ids])
    }
    let violation = null
    for (let list = 0; list < 100 && violation === null; list++) {
      violation = ranges.receive({ type: 'range', bytes: bytes(list) })
      if (list < 30) expect(violation).toBe(null)
    }
    expect(violation).toMatchObject({ reason: 'flood' })
  })
})

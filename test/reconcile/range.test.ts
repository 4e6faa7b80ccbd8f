import { describe, expect, it } from 'vitest'
import { dice } from '../../src/base/dice.ts'
import { fingerprintOf } from '../../src/reconcile/id-sum.ts'
import { ItemIndex } from '../../src/reconcile/item-index.ts'
import type { ItemSource } from '../../src/reconcile/item-source.ts'
import { RangeReconciler } from '../../src/reconcile/range/range-reconciler.ts'
import { THOROUGH } from '../faults/scale.ts'
import type { ModelItem } from './models.ts'
import { compareItems } from './models.ts'
import { compare, converse, hexOf, only, pairOf, stepOf } from './pairs.ts'

const PAIRS = THOROUGH ? 20_000 : 2000
const EE = Buffer.alloc(32, 0xee)

function indexOf(items: readonly ModelItem[]): ItemIndex {
  return ItemIndex.from(items)
}

/** A sorted array: what a source may be at its simplest. */
function arraySource(items: readonly ModelItem[]): ItemSource {
  return {
    size: items.length,
    timestamp: (place) => (items[place] as ModelItem).timestamp,
    id: (place) => (items[place] as ModelItem).id,
    lowerBound: (timestamp, prefix) => {
      const bound = { timestamp, id: Buffer.concat([prefix, Buffer.alloc(32 - prefix.length)]) }
      return items.filter((item) => compareItems(item, bound) < 0).length
    },
    fingerprint: (from, to) => fingerprintOf(items.slice(from, to).map(({ id }) => id)),
  }
}

function itemAt(random: () => number, timestamp: number): ModelItem {
  const id = Buffer.allocUnsafe(32)
  for (let at = 0; at < 32; at += 4) id.writeUInt32LE(random() * 2 ** 32, at)
  return { timestamp: BigInt(timestamp), id }
}

describe('RangeReconciler', () => {
  it.each([
    ['nothing', [], '6100000200'],
    ['one item', [{ timestamp: 12_345n, id: EE }], `6100000201${'ee'.repeat(32)}`],
  ])('begins on %s with the published bytes', (_, items, hex) => {
    expect(new RangeReconciler(indexOf(items)).initiate().toString('hex')).toBe(hex)
  })

  it('answers with the published bytes', () => {
    const responder = new RangeReconciler(indexOf([{ timestamp: 12_345n, id: EE }]))
    const reply = stepOf(responder.receive(Buffer.from('6100000200', 'hex'))).reply
    expect(reply?.toString('hex')).toBe(`6100000201${'ee'.repeat(32)}`)
    // An equal fingerprint of everything, and nothing at all.
    const same = Buffer.from('61000001d5530eded759c1cb5749aacb9bc66bb2', 'hex')
    expect(stepOf(responder.receive(same)).reply?.toString('hex')).toBe('61')
    expect(stepOf(responder.receive(Buffer.of(0x61))).reply?.toString('hex')).toBe('61')
    // A version of the future.
    expect(stepOf(responder.receive(Buffer.of(0x62, 1, 2, 3))).reply?.toString('hex')).toBe('61')
  })

  it(`loses nothing in ${PAIRS} pairs of sets`, { timeout: 600_000 }, () => {
    let rounds = 0
    for (let seed = 0; seed < PAIRS; seed++) {
      const { ours, theirs, limits } = pairOf(seed)
      const found = compare(indexOf(ours), indexOf(theirs), { frameLimit: limits[0] }, { frameLimit: limits[1] })
      expect(hexOf(found.have), `pair ${seed}`).toEqual(only(ours, theirs))
      expect(hexOf(found.need), `pair ${seed}`).toEqual(only(theirs, ours))
      for (const [i, { length }] of found.messages.entries()) {
        const limit = limits[i % 2] as number
        if (limit > 0) expect(length, `pair ${seed}`).toBeLessThanOrEqual(limit)
      }
      rounds = Math.max(rounds, found.messages.length / 2)
    }
    // Otherwise no frame was ever full.
    expect(rounds).toBeGreaterThan(5)
  })

  it('compares any two sources', () => {
    for (let seed = 0; seed < 40; seed++) {
      const { ours, theirs, limits } = pairOf(seed, 300)
      const found = compare(arraySource(ours), indexOf(theirs), { frameLimit: limits[0] })
      expect(hexOf(found.have)).toEqual(only(ours, theirs))
      expect(hexOf(found.need)).toEqual(only(theirs, ours))
      const bytes = ({ messages }: { messages: Buffer[] }): string => Buffer.concat(messages).toString('hex')
      expect(bytes(found)).toBe(bytes(compare(indexOf(ours), indexOf(theirs), { frameLimit: limits[0] })))
    }
  })

  /**
   * The last range of both sides' messages just does not fit: the responder's, that it has none of the last items, and
   * the initiator's, which items these are. A fingerprint of what follows that range is one of nothing.
   */
  it.each([4686, 4687, 4688, 4689])(
    'does not lose what the public implementations lose, frames of %i bytes',
    (frameLimit) => {
      const random = dice(2)
      const ours = Array.from({ length: 711 }, (_, i) => itemAt(random, 1000 * (i + 1)))
      const shared = ours.slice(0, 711 - 44)
      const gone = new Set([shared.length - 1])
      while (gone.size < 38) gone.add(Math.floor(random() * shared.length))
      const theirs = shared.filter((_, i) => !gone.has(i))
      const missing = only(ours, theirs)
      expect(missing).toHaveLength(44 + 38)

      const asPublic = compare(indexOf(ours), indexOf(theirs), { frameLimit, referenceFrames: true })
      expect(hexOf(asPublic.have)).toHaveLength(38)
      const found = compare(indexOf(ours), indexOf(theirs), { frameLimit })
      expect(hexOf(found.have)).toEqual(missing)
      // One that does it right is enough on the initiating side.
      const mixed = compare(indexOf(ours), indexOf(theirs), { frameLimit }, { frameLimit, referenceFrames: true })
      expect(hexOf(mixed.have)).toEqual(missing)
    },
  )

  it('ends with one byte once everything was transferred', () => {
    for (let seed = 0; seed < 100; seed++) {
      const { ours, theirs } = pairOf(seed, 500)
      const [a, b] = [indexOf(ours), indexOf(theirs)]
      const [initiator, responder] = [new RangeReconciler(a), new RangeReconciler(b)]
      const first = converse(initiator, responder)
      const timestamps = new Map([...ours, ...theirs].map(({ timestamp, id }) => [id.toString('hex'), timestamp]))
      for (const id of first.have) b.insert(timestamps.get(id.toString('hex')) as bigint, id)
      for (const id of first.need) a.insert(timestamps.get(id.toString('hex')) as bigint, id)
      const second = converse(initiator, responder)
      expect([second.have, second.need]).toEqual([[], []])
      expect(second.messages).toHaveLength(2)
      // Sets of few items are listed rather than fingerprinted, and lists are answered by lists.
      if (a.size >= 32) expect(second.messages[1]).toEqual(Buffer.of(0x61))
    }
  })

  it('looks at so many items for one message, and comes to the same', () => {
    const random = dice(7)
    const maxItems = 4096
    const all = Array.from({ length: 30_000 }, (_, i) => itemAt(random, i >> 2))
    all.sort(compareItems)
    const cases: [ModelItem[], ModelItem[]][] = [
      [all, []],
      [[], all],
      [all, all.slice(0, 1)],
      [all.filter(() => random() < 0.75), all.filter(() => random() < 0.75)],
      [all.slice(0, 20_000), all.slice(10_000)],
    ]
    for (const [ours, theirs] of cases) {
      let looked = 0
      const counted = (source: ItemSource): ItemSource => ({
        size: source.size,
        timestamp: (place) => source.timestamp(place),
        lowerBound: (timestamp, prefix) => source.lowerBound(timestamp, prefix),
        id: (place) => {
          looked++
          return source.id(place)
        },
        fingerprint: (from, to) => {
          looked += 8
          return source.fingerprint(from, to)
        },
      })
      const [initiator, responder] = [
        new RangeReconciler(counted(indexOf(ours)), { maxItems, frameLimit: 0 }),
        new RangeReconciler(counted(indexOf(theirs)), { maxItems, frameLimit: 0 }),
      ]
      const have: Buffer[] = []
      const need: Buffer[] = []
      for (let message: Buffer | null = initiator.initiate(); message !== null;) {
        looked = 0
        const answer = stepOf(responder.receive(message))
        expect(looked).toBeLessThan(maxItems + 1024)
        looked = 0
        const step = stepOf(initiator.receive(answer.reply as Buffer))
        expect(looked).toBeLessThan(maxItems + 1024)
        have.push(...step.have)
        need.push(...step.need)
        message = step.reply
      }
      expect(hexOf(have)).toEqual(only(ours, theirs))
      expect(hexOf(need)).toEqual(only(theirs, ours))
    }
  })

  it('refuses limits with which it would get nowhere', () => {
    const index = new ItemIndex()
    for (const options of [
      { frameLimit: 4095 },
      { frameLimit: -1 },
      { maxItems: 4095 },
      { maxRounds: 0 },
      { maxMessageBytes: Number.NaN },
      { maxRanges: 0 },
      { maxIds: 0 },
    ]) {
      expect(() => new RangeReconciler(index, options)).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }))
    }
  })
})

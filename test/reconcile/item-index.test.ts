import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { dice } from '../../src/base/dice.ts'
import { fingerprintOf } from '../../src/reconcile/id-sum.ts'
import { ItemIndex } from '../../src/reconcile/item-index.ts'
import { CHUNK_ITEMS } from '../../src/reconcile/limits.ts'
import { bytesOf, holds } from '../arbitraries.ts'
import type { ModelItem } from './models.ts'
import { compareItems, slowBase128, slowFingerprint } from './models.ts'

const EDGES = [0, 31, 32, 53, 63].flatMap((bits) => [
  2n ** BigInt(bits) - 1n,
  2n ** BigInt(bits),
  2n ** BigInt(bits) + 1n,
])

function anyTimestamp(): fc.Arbitrary<bigint> {
  return fc.oneof(
    fc.constantFrom(...EDGES, 2n ** 64n - 2n),
    fc.bigInt({ min: 0n, max: 2n ** 64n - 2n }),
    fc.constant(7n),
  )
}

/** Ids that differ late, early, or in one of the words that are summed. */
function anyId(): fc.Arbitrary<Buffer> {
  const close = fc.record({
    at: fc.nat({ max: 31 }),
    value: fc.nat({ max: 255 }),
    fill: fc.constantFrom(0, 0x80, 0xff),
  })
  return fc.oneof(
    close.map(({ at, value, fill }) => {
      const id = Buffer.alloc(32, fill)
      id[at] = value
      return id
    }),
    bytesOf(32),
  )
}

function anyItem(): fc.Arbitrary<ModelItem> {
  return fc.record({ timestamp: anyTimestamp(), id: anyId() })
}

function itemsOf(index: ItemIndex): ModelItem[] {
  return Array.from({ length: index.size }, (_, i) => ({ timestamp: index.timestamp(i), id: Buffer.from(index.id(i)) }))
}

/** Items in the order in which they were added, some of them deleted again. */
class Model {
  readonly index = new ItemIndex()
  items: ModelItem[] = []

  place(item: ModelItem): number {
    return this.items.filter((other) => compareItems(other, item) < 0).length
  }

  has(item: ModelItem): boolean {
    const found = this.items[this.place(item)]
    return found !== undefined && compareItems(found, item) === 0
  }

  insert(item: ModelItem): void {
    expect(this.index.has(item.timestamp, item.id)).toBe(this.has(item))
    expect(this.index.insert(item.timestamp, item.id)).toBe(!this.has(item))
    if (!this.has(item)) this.items.splice(this.place(item), 0, item)
    expect(this.index.size).toBe(this.items.length)
  }

  delete(item: ModelItem): void {
    expect(this.index.delete(item.timestamp, item.id)).toBe(this.has(item))
    if (this.has(item)) this.items.splice(this.place(item), 1)
    expect(this.index.size).toBe(this.items.length)
  }

  checkRange(from: number, to: number): void {
    const ids = this.items.slice(from, to).map(({ id }) => id)
    expect(this.index.fingerprint(from, to).toString('hex')).toBe(slowFingerprint(ids).toString('hex'))
  }
}

describe('ItemIndex', () => {
  it('does what a sorted array does', () => {
    const action = fc.oneof(
      { weight: 4, arbitrary: fc.record({ what: fc.constant('insert' as const), item: anyItem() }) },
      { weight: 1, arbitrary: fc.record({ what: fc.constant('delete' as const), item: anyItem() }) },
      { weight: 1, arbitrary: fc.record({ what: fc.constant('remove' as const), at: fc.nat() }) },
      { weight: 1, arbitrary: fc.record({ what: fc.constant('range' as const), at: fc.nat(), to: fc.nat() }) },
      {
        weight: 1,
        arbitrary: fc.record({ what: fc.constant('bound' as const), item: anyItem(), length: fc.nat({ max: 32 }) }),
      },
    )
    holds(
      fc.property(fc.array(action, { maxLength: 120 }), (actions) => {
        const model = new Model()
        for (const action of actions) {
          const size = model.items.length
          if (action.what === 'insert') model.insert(action.item)
          else if (action.what === 'delete') model.delete(action.item)
          else if (action.what === 'remove') {
            if (size > 0) model.delete(model.items[action.at % size] as ModelItem)
          } else if (action.what === 'range') {
            const [from, to] = [action.at % (size + 1), action.to % (size + 1)].toSorted((a, b) => a - b)
            model.checkRange(from as number, to as number)
          } else {
            const { timestamp, id } = action.item
            const prefix = id.subarray(0, action.length)
            const padded = Buffer.concat([prefix, Buffer.alloc(32 - prefix.length)])
            expect(model.index.lowerBound(timestamp, prefix)).toBe(model.place({ timestamp, id: padded }))
          }
        }
        expect(itemsOf(model.index)).toEqual(model.items)
      }),
      300,
    )
  })

  // Chunks are split, filled at the end, emptied, and joined only with many items.
  it.each(['ascending', 'descending', 'scattered', 'in one place'])('the same with many, %s', (order) => {
    const random = dice(20261128)
    const model = new Model()
    const itemOf = (n: number): ModelItem => {
      const id = createHash('sha256').update(`${n}`).digest()
      if (order === 'in one place') return { timestamp: 0n, id }
      return {
        timestamp: BigInt(order === 'descending' ? 10_000 - n : order === 'ascending' ? n : id.readUInt16LE(0)),
        id,
      }
    }
    const ranges = (): void => {
      for (let i = 0; i < 10; i++) {
        const from = Math.floor(random() * (model.items.length + 1))
        model.checkRange(from, from + Math.floor(random() * (model.items.length - from + 1)))
      }
    }
    const count = 8 * CHUNK_ITEMS + 3
    for (let n = 0; n < count; n++) {
      model.insert(itemOf(n))
      if (n % 200 === 0) ranges()
    }
    expect(itemsOf(model.index)).toEqual(model.items)
    for (let n = 0; n < count; n++) {
      if (n % 7 !== 0) model.delete(itemOf(n))
      if (n % 200 === 0) ranges()
    }
    expect(itemsOf(model.index)).toEqual(model.items)
    for (let n = 0; n < count; n += 3) model.insert(itemOf(n))
    ranges()
    for (let n = 0; n < count; n++) model.delete(itemOf(n))
    expect(model.index.size).toBe(0)
    ranges()
    model.insert(itemOf(1))
    model.checkRange(0, 1)
  })

  it('takes numbers and bigints for the same', () => {
    const id = Buffer.alloc(32, 1)
    for (const timestamp of [0, 1, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 32 + 1, Number.MAX_SAFE_INTEGER]) {
      const index = ItemIndex.from([{ timestamp, id }])
      expect(index.timestamp(0)).toBe(BigInt(timestamp))
      expect(index.insert(BigInt(timestamp), id)).toBe(false)
    }
  })

  it('refuses what is no item, and places that are not there', () => {
    const index = new ItemIndex()
    const id = Buffer.alloc(32)
    expect(() => index.insert(1, Buffer.alloc(31))).toThrow(TypeError)
    expect(() => index.insert(1.5, id)).toThrow(TypeError)
    expect(() => index.insert(2 ** 53, id)).toThrow(TypeError)
    expect(() => index.has(Number.NaN, id)).toThrow(TypeError)
    expect(() => index.insert('1' as unknown as number, id)).toThrow(TypeError)
    for (const timestamp of [-1, -1n, 2n ** 64n - 1n, 2n ** 64n]) {
      expect(() => index.delete(timestamp, id)).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }))
    }
    index.insert(1, id)
    for (const place of [-1, 1, Number.NaN]) {
      expect(() => index.timestamp(place)).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }))
    }
    for (const [from, to] of [
      [-1, 0],
      [1, 0],
      [0, 2],
    ] as const) {
      expect(() => index.fingerprint(from, to)).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }))
    }
  })

  it('keeps a copy of ids', () => {
    const id = Buffer.alloc(32, 1)
    const index = ItemIndex.from([{ timestamp: 1, id }])
    id.fill(2)
    expect(index.id(0)).toEqual(Buffer.alloc(32, 1))
  })
})

describe('fingerprints', () => {
  it.each([
    ['nothing', [], '7f9c9e31ac8256ca2f258583df262dbc'],
    ['one id', ['ee'.repeat(32)], 'd5530eded759c1cb5749aacb9bc66bb2'],
  ])('of %s', (_, ids, hex) => {
    const buffers = ids.map((id) => Buffer.from(id, 'hex'))
    expect(fingerprintOf(buffers).toString('hex')).toBe(hex)
    expect(slowFingerprint(buffers).toString('hex')).toBe(hex)
    const index = ItemIndex.from(buffers.map((id) => ({ timestamp: 12_345, id })))
    expect(index.fingerprint(0, index.size).toString('hex')).toBe(hex)
  })

  it('are those of big integers, in any order', () => {
    holds(
      fc.property(fc.array(anyId(), { maxLength: 40 }), (ids) => {
        expect(fingerprintOf(ids).toString('hex')).toBe(slowFingerprint(ids).toString('hex'))
        expect(fingerprintOf(ids.toReversed()).equals(fingerprintOf(ids))).toBe(true)
      }),
    )
  })

  it('are exact for more ids than a double holds the sum of', () => {
    const count = 2 ** 21 + 5
    const id = Buffer.alloc(32, 0xff)
    function* ids(): Generator<Buffer> {
      for (let i = 0; i < count; i++) yield id
    }
    // Each of them is −1.
    const sum = 2n ** 256n - BigInt(count)
    const bytes = Buffer.from(sum.toString(16), 'hex').reverse()
    const digits = Uint8Array.from(slowBase128(BigInt(count)))
    const expected = createHash('sha256').update(bytes).update(digits).digest('hex').slice(0, 32)
    expect(fingerprintOf(ids()).toString('hex')).toBe(expected)
  })
})

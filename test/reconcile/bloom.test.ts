import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { dice } from '../../src/base/dice.ts'
import { hash } from '../../src/base/hash.ts'
import {
  BloomFilter,
  bloomBytes,
  bloomCapacity,
  FILTER_OVERHEAD_BYTES,
  MAX_HASHES,
  SALT_BYTES,
} from '../../src/reconcile/bloom/bloom-filter.ts'

const idOf = (name: string): Buffer => hash(Buffer.from(name))
const saltOf = (name: number): Buffer => idOf(`salt ${name}`).subarray(0, SALT_BYTES)

function filterOf(count: number, salt: number, maxBytes = 1150): BloomFilter {
  const filter = BloomFilter.create({ count, maxBytes }, saltOf(salt))
  for (let i = 0; i < count; i++) filter.add(idOf(`in ${i}`))
  return filter
}

/** The share of ids that were not added and are found all the same. */
function falsePositives(filter: BloomFilter, tries: number): number {
  let found = 0
  for (let i = 0; i < tries; i++) if (filter.has(idOf(`out ${i}`))) found++
  return found / tries
}

describe('a Bloom filter', () => {
  it('is of the size that the formula gives: 1150 bytes hold 959 ids at 1 %, 1475 at 5 %', () => {
    expect(bloomCapacity(1150)).toBe(959)
    expect(bloomCapacity(1150, 0.05)).toBe(1475)
    expect(bloomBytes(959, 0.01)).toBeLessThanOrEqual(1150)
    expect(filterOf(959, 1).bytes).toBeLessThanOrEqual(1150)
    expect(filterOf(959, 1).hashes).toBe(7)
    expect(BloomFilter.create({ count: 1475, falsePositives: 0.05, maxBytes: 1150 }, saltOf(1)).hashes).toBe(4)
  })

  it('has what was added, always', () => {
    const size = fc.integer({ min: 0, max: 300 })
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: SALT_BYTES, maxLength: SALT_BYTES }),
        size,
        size,
        (salt, count, maxBytes) => {
          const filter = BloomFilter.create({ count, maxBytes: maxBytes + 1 }, salt)
          const ids = Array.from({ length: count }, (_, i) => idOf(`${i}`))
          for (const id of ids) filter.add(id)
          const decoded = BloomFilter.decode(filter.encode())
          for (const id of ids) expect(decoded?.has(id)).toBe(true)
          expect(filter.encode().length).toBe(filter.bytes + FILTER_OVERHEAD_BYTES)
        },
      ),
      { numRuns: 60 },
    )
  })

  it('takes about one in a hundred for its own, and more if it has too little room', () => {
    const share = falsePositives(filterOf(900, 2), 20_000)
    expect(share).toBeGreaterThan(0.005)
    expect(share).toBeLessThan(0.015)
    expect(falsePositives(filterOf(900, 2, 500), 4000)).toBeGreaterThan(0.08)
  })

  it('takes others for its own with each salt', () => {
    const found = (salt: number): Set<number> => {
      const filter = filterOf(900, salt)
      return new Set(Array.from({ length: 20_000 }, (_, i) => i).filter((i) => filter.has(idOf(`out ${i}`))))
    }
    const [first, second] = [found(3), found(4)]
    const both = [...first].filter((i) => second.has(i)).length
    // By chance one in a hundred of the first is among the second.
    expect(both).toBeLessThan(first.size / 10)
    expect(new Set([...first, ...second]).size).toBeGreaterThan(first.size * 1.7)
  })

  it('counts every byte of an id', () => {
    const filter = BloomFilter.create({ count: 1, falsePositives: 0.0001, maxBytes: 100 }, saltOf(5))
    const id = idOf('one')
    filter.add(id)
    let found = 0
    for (let at = 0; at < id.length; at++) {
      const other = Buffer.from(id)
      other[at] = (other[at] as number) ^ 1
      if (filter.has(other)) found++
    }
    expect(found).toBe(0)
  })

  it('is empty with nothing in it, and has nothing then', () => {
    const filter = BloomFilter.create({ count: 0, maxBytes: 1150 }, saltOf(6))
    filter.add(idOf('lost'))
    expect(filter.bytes).toBe(0)
    expect(filter.has(idOf('lost'))).toBe(false)
    expect(filter.encode().length).toBe(FILTER_OVERHEAD_BYTES)
  })

  it('refuses what is no filter', () => {
    expect(BloomFilter.decode(Buffer.alloc(SALT_BYTES))).toBeNull()
    expect(BloomFilter.decode(Buffer.alloc(0))).toBeNull()
    for (const hashes of [0, MAX_HASHES + 1, 255]) {
      expect(BloomFilter.decode(Buffer.concat([saltOf(1), Buffer.of(hashes, 1, 2)]))).toBeNull()
    }
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
        BloomFilter.decode(Buffer.from(bytes))?.has(idOf('x'))
      }),
    )
  })

  it('gives the bytes of the vector', () => {
    const filter = BloomFilter.create({ count: 3, maxBytes: 1150 }, Buffer.alloc(SALT_BYTES, 0x11))
    for (const byte of [0xaa, 0xbb, 0xcc]) filter.add(Buffer.alloc(32, byte))
    expect(filter.encode().toString('hex')).toBe('111111111111111111111111111111110778161bd8')
  })

  it('lets every id through some filter: with fresh salts nothing stays hidden', () => {
    const random = dice(7)
    const missing = new Set(Array.from({ length: 2000 }, (_, i) => `out ${i}`))
    let rounds = 0
    for (; missing.size > 0; rounds++) {
      const filter = filterOf(900, Math.floor(random() * 2 ** 32))
      for (const name of missing) if (!filter.has(idOf(name))) missing.delete(name)
      expect(rounds).toBeLessThan(8)
    }
    expect(rounds).toBeGreaterThan(1)
  })
})

import sodium from 'sodium-universal'
import { assert } from '../base/errors.ts'
import { HASH_BYTES } from '../base/hash.ts'

/**
 * A log's Merkle Mountain Range: one perfect binary tree ("peak") for every set bit of the length, tallest first,
 * hashed as hypercore-crypto's `data`, `parent` and `tree` do with each event id (32 bytes) as a block. Appending costs
 * two hashes on average, and the whole state is at most 48 hashes.
 */
export class Mmr {
  #length = 0
  /** `#levels[h]` is the peak over 2^h leaves, meaningful while bit h of the length is set; null while packed. */
  #levels: Buffer[] | null = []
  /** The peaks, joined, as a string: a fifth of the memory that the buffers take. */
  #packed = ''

  get length(): number {
    return this.#length
  }

  /** @param id 32 bytes. */
  append(id: Uint8Array): void {
    LEAF.set(id, 9)
    sodium.crypto_generichash(CARRY, LEAF)
    const levels = (this.#levels ??= this.#unpacked())
    let height = 0
    for (let rest = this.#length; rest % 2 === 1; rest = (rest - 1) / 2) {
      hashParent(CARRY, levels[height] as Buffer, CARRY, height)
      height++
    }
    const level = (levels[height] ??= Buffer.allocUnsafeSlow(HASH_BYTES))
    level.set(CARRY)
    this.#length++
  }

  /** What the author signs: 32 bytes that stand for every event so far, and for their number. */
  root(): Buffer {
    const entry = HASH_BYTES + 16
    const levels = this.#unpacked()
    const peaks = heights(this.#length)
    const input = Buffer.allocUnsafe(1 + peaks.length * entry)
    input[0] = 2
    let start = 0
    for (const [i, height] of peaks.entries()) {
      const leaves = 2 ** height
      const offset = 1 + i * entry
      input.set(levels[height] as Buffer, offset)
      writeUint64(input, offset + HASH_BYTES, 2 * start + leaves - 1)
      writeUint64(input, offset + HASH_BYTES + 8, leaves * HASH_BYTES)
      start += leaves
    }
    const out = Buffer.allocUnsafe(HASH_BYTES)
    sodium.crypto_generichash(out, input)
    return out
  }

  /** The peaks, tallest first, joined. */
  peaks(): Buffer {
    if (this.#levels === null) return Buffer.from(this.#packed, 'latin1')
    const peaks = heights(this.#length)
    const out = Buffer.allocUnsafe(peaks.length * HASH_BYTES)
    for (const [i, height] of peaks.entries()) out.set(this.#levels[height] as Buffer, i * HASH_BYTES)
    return out
  }

  /** The same range in as little memory as possible, for one that is not likely to be used soon. */
  packed(): Mmr {
    const mmr = new Mmr()
    mmr.#length = this.#length
    mmr.#packed = this.peaks().toString('latin1')
    mmr.#levels = null
    return mmr
  }

  /** The levels; a packed range stays packed unless it is appended to. */
  #unpacked(): Buffer[] {
    return this.#levels ?? levelsOf(this.#length, this.peaks())
  }

  clone(): Mmr {
    return Mmr.from(this.#length, this.peaks())
  }

  /** @param peaks as `peaks()` gave them; `peaksBytes(length)` long. */
  static from(length: number, peaks: Uint8Array): Mmr {
    assert(peaks.length === peaksBytes(length), 'peaks that do not fit the length')
    const mmr = new Mmr()
    mmr.#length = length
    mmr.#levels = levelsOf(length, peaks)
    return mmr
  }
}

function levelsOf(length: number, peaks: Uint8Array): Buffer[] {
  const levels: Buffer[] = []
  for (const [i, height] of heights(length).entries()) {
    const level = Buffer.allocUnsafeSlow(HASH_BYTES)
    level.set(peaks.subarray(i * HASH_BYTES, (i + 1) * HASH_BYTES))
    levels[height] = level
  }
  return levels
}

/** Bytes of the peaks of a log of that length. */
export function peaksBytes(length: number): number {
  let ones = 0
  for (let rest = length; rest > 0; rest = Math.floor(rest / 2)) ones += rest % 2
  return ones * HASH_BYTES
}

/** Heights of the peaks, tallest first: the set bits of the length. */
function heights(length: number): number[] {
  const out: number[] = []
  for (let height = 0, rest = length; rest > 0; height++, rest = Math.floor(rest / 2)) {
    if (rest % 2 === 1) out.push(height)
  }
  return out.reverse()
}

// Scratch space: hashing is synchronous and never re-entered.
const LEAF = Buffer.alloc(9 + HASH_BYTES)
const PARENT = Buffer.alloc(9 + 2 * HASH_BYTES)
const CARRY = Buffer.alloc(HASH_BYTES)
LEAF[0] = 0
writeUint64(LEAF, 1, HASH_BYTES)
PARENT[0] = 1

function hashParent(out: Buffer, left: Buffer, right: Buffer, childHeight: number): void {
  writeUint64(PARENT, 1, 2 ** (childHeight + 1) * HASH_BYTES)
  PARENT.set(left, 9)
  PARENT.set(right, 9 + HASH_BYTES)
  sodium.crypto_generichash(out, PARENT)
}

function writeUint64(into: Buffer, offset: number, value: number): void {
  into.writeUInt32LE(value % 2 ** 32, offset)
  into.writeUInt32LE(Math.floor(value / 2 ** 32), offset + 4)
}

import sodium from 'sodium-universal'
import { writeBase128 } from './base128.ts'
import { FINGERPRINT_BYTES, ID_BYTES } from './item-source.ts'

/** 32-bit words of an id. */
export const ID_WORDS = 8

/**
 * Ids as little-endian integers, added and taken away: a total for each of the eight words, exact for 2^20 ids and more,
 * that is carried over to 256 bits only when it is asked for.
 */
export class IdSum {
  readonly words: Float64Array = new Float64Array(ID_WORDS)

  clear(): void {
    this.words.fill(0)
  }

  /**
   * Adds or takes away ids that stand in one piece of memory.
   *
   * @param stride bytes from one to the next.
   */
  addIds(bytes: DataView, offset: number, count: number, stride: number, sign: 1 | -1): void {
    // Eight variables, and no loop over words: it is three times as fast.
    let [a, b, c, d, e, f, g, h] = [0, 0, 0, 0, 0, 0, 0, 0]
    for (let i = 0, at = offset; i < count; i++, at += stride) {
      a += bytes.getUint32(at, true)
      b += bytes.getUint32(at + 4, true)
      c += bytes.getUint32(at + 8, true)
      d += bytes.getUint32(at + 12, true)
      e += bytes.getUint32(at + 16, true)
      f += bytes.getUint32(at + 20, true)
      g += bytes.getUint32(at + 24, true)
      h += bytes.getUint32(at + 28, true)
    }
    const words = this.words
    words[0] = (words[0] as number) + sign * a
    words[1] = (words[1] as number) + sign * b
    words[2] = (words[2] as number) + sign * c
    words[3] = (words[3] as number) + sign * d
    words[4] = (words[4] as number) + sign * e
    words[5] = (words[5] as number) + sign * f
    words[6] = (words[6] as number) + sign * g
    words[7] = (words[7] as number) + sign * h
  }

  /** Adds or takes away a sum that was `normalize`d, which stands at a place of an array. */
  addWords(from: Uint32Array, offset: number, sign: 1 | -1): void {
    const words = this.words
    for (let word = 0; word < ID_WORDS; word++) {
      words[word] = (words[word] as number) + sign * (from[offset + word] as number)
    }
  }

  /** Writes the sum modulo 2^256, the lowest word first. */
  normalize(into: Uint32Array, offset: number): void {
    let carry = 0
    for (let word = 0; word < ID_WORDS; word++) {
      const total = (this.words[word] as number) + carry
      carry = Math.floor(total / 2 ** 32)
      into[offset + word] = total - carry * 2 ** 32
    }
  }
}

// Scratch space: hashing is synchronous and never re-entered.
const INPUT = Buffer.alloc(ID_BYTES + 8)
const DIGEST = Buffer.alloc(32)

/** @param sum the sum modulo 2^256, as `IdSum.normalize` wrote it. */
export function fingerprintOfSum(sum: Uint32Array, count: number): Buffer {
  for (let word = 0; word < ID_WORDS; word++) INPUT.writeUInt32LE(sum[word] as number, 4 * word)
  const end = writeBase128(INPUT, ID_BYTES, count)
  sodium.crypto_hash_sha256(DIGEST, INPUT.subarray(0, end))
  return Buffer.from(DIGEST.subarray(0, FINGERPRINT_BYTES))
}

/**
 * Fingerprint of some ids, in any order: the first 16 bytes of SHA-256 over the sum of the ids as little-endian integers
 * modulo 2^256 (32 bytes, little-endian) and their number (Negentropy protocol V1).
 *
 * Whoever can choose ids can make two sets look equal with about 2^31 work, so that an item stays unnoticed: what
 * must not be hidden needs signed heads beside it.
 */
export function fingerprintOf(ids: Iterable<Uint8Array>): Buffer {
  const sum = new IdSum()
  const total = new Uint32Array(ID_WORDS)
  let count = 0
  for (const id of ids) {
    sum.addIds(new DataView(id.buffer, id.byteOffset, ID_BYTES), 0, 1, ID_BYTES, 1)
    // The totals of words stay exact up to 2^21 additions.
    if (++count % 2 ** 20 === 0) {
      sum.normalize(total, 0)
      sum.clear()
      sum.addWords(total, 0, 1)
    }
  }
  sum.normalize(total, 0)
  return fingerprintOfSum(total, count)
}

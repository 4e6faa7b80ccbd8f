import { MAX_BASE128_BYTES } from '../base128.ts'
import { FINGERPRINT_BYTES, ID_BYTES, INFINITE_TIMESTAMP } from '../item-source.ts'
import type { Bound } from './bound.ts'
import { FIRST_BOUND, INFINITY, isAbove, isInfinite } from './bound.ts'
import { FINGERPRINT, IDS, SKIP } from './wire.ts'

/** A part of a message, its bytes as views. It begins where the one before ends. */
export type Range = { upper: Bound } & (
  | { mode: typeof SKIP }
  | { mode: typeof FINGERPRINT; fingerprint: Buffer }
  /** Joined ids. */
  | { mode: typeof IDS; ids: Buffer }
)

/** What is wrong with a message. */
export type MessageFault =
  /** It ends within a range, or claims more ids than there are bytes. */
  | 'cut-short'
  /** A number is longer than necessary, or above 2^64 − 1. */
  | 'bad-number'
  /** A timestamp is above 2^64 − 2 and not infinity. */
  | 'bad-timestamp'
  /** A bound has more than 32 bytes of an id, or infinity has any but zeros. */
  | 'bad-prefix'
  | 'bad-mode'
  /** A bound is not above the one before. */
  | 'out-of-order'
  /** There are more than the limits say. */
  | 'too-many-ranges'
  | 'too-many-ids'

/** Fingerprint of no items. */
const NOTHING = Buffer.from('7f9c9e31ac8256ca2f258583df262dbc', 'hex')

/** Reads the ranges of a message one by one. Never throws; after the first fault there are no more. */
export class MessageReader {
  /** What is wrong, once it was come upon. */
  fault: MessageFault | null = null
  readonly #bytes: Buffer
  readonly #maxRanges: number
  #idsLeft: number
  #offset: number
  #ranges = 0
  #bound = FIRST_BOUND

  /** @param offset of the first range. */
  constructor(bytes: Buffer, offset: number, limits: { maxRanges: number; maxIds: number }) {
    this.#bytes = bytes
    this.#offset = offset
    this.#maxRanges = limits.maxRanges
    this.#idsLeft = limits.maxIds
  }

  /** The next range; null at the end and at a fault. */
  next(): Range | null {
    if (this.fault !== null || this.#offset === this.#bytes.length) return null
    const range = this.#range()
    return this.fault === null ? range : null
  }

  #range(): Range | null {
    if (++this.#ranges > this.#maxRanges) return this.#fail('too-many-ranges')
    const before = this.#bound
    const upper = this.#readBound(before.timestamp)
    const mode = this.#byte()
    if (this.fault !== null) return null
    if (!isAbove(upper, before)) {
      // Public implementations close a frame with the fingerprint of nothing from infinity to infinity.
      const closes = isInfinite(before) && mode === FINGERPRINT && this.#take(FINGERPRINT_BYTES).equals(NOTHING)
      return closes && this.#offset === this.#bytes.length ? null : this.#fail('out-of-order')
    }
    this.#bound = upper
    switch (mode) {
      case SKIP:
        return { upper, mode }
      case FINGERPRINT:
        return { upper, mode, fingerprint: this.#take(FINGERPRINT_BYTES) }
      case IDS:
        return { upper, mode, ids: this.#readIds() }
      default:
        return this.#fail('bad-mode')
    }
  }

  #readBound(timestampBefore: bigint): Bound {
    const difference = this.#number()
    const length = this.#byte()
    if (length > ID_BYTES) this.#fail('bad-prefix')
    const prefix = this.#take(length)
    if (difference === 0) {
      // Some implementations pad it.
      if (prefix.some((byte) => byte !== 0)) this.#fail('bad-prefix')
      return INFINITY
    }
    // After infinity there is only what is out of order.
    if (timestampBefore === INFINITE_TIMESTAMP) return FIRST_BOUND
    const timestamp = timestampBefore + BigInt(difference) - 1n
    if (timestamp >= INFINITE_TIMESTAMP) this.#fail('bad-timestamp')
    return { timestamp, prefix }
  }

  #readIds(): Buffer {
    const count = this.#number()
    if (count > (this.#bytes.length - this.#offset) / ID_BYTES) this.#fail('cut-short')
    else if (count > this.#idsLeft) this.#fail('too-many-ids')
    if (this.fault !== null) return EMPTY
    this.#idsLeft -= Number(count)
    return this.#take(Number(count) * ID_BYTES)
  }

  /** A number in base 128; a bigint if it has more than 49 bits. */
  #number(): number | bigint {
    let value = 0
    let wide: bigint | null = null
    for (let i = 0; i < MAX_BASE128_BYTES; i++) {
      const byte = this.#byte()
      if (i === 0 && byte === 0x80) break
      if (i === 7) wide = BigInt(value)
      if (wide !== null) wide = (wide << 7n) | BigInt(byte & 0x7f)
      else value = value * 0x80 + (byte & 0x7f)
      if (byte < 0x80) {
        if (wide !== null && wide > INFINITE_TIMESTAMP) break
        return wide ?? value
      }
    }
    this.#fail('bad-number')
    return 0
  }

  #byte(): number {
    const byte = this.#bytes[this.#offset]
    if (byte === undefined) {
      this.#fail('cut-short')
      return 0
    }
    this.#offset++
    return byte
  }

  #take(length: number): Buffer {
    if (length > this.#bytes.length - this.#offset) {
      this.#fail('cut-short')
      return EMPTY
    }
    return this.#bytes.subarray(this.#offset, (this.#offset += length))
  }

  /** The first fault is the one that is told. */
  #fail(fault: MessageFault): null {
    this.fault ??= fault
    return null
  }
}

const EMPTY = Buffer.alloc(0)

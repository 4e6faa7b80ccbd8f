import { MAX_BASE128_BYTES, writeBase128, writeBigBase128 } from '../base128.ts'
import { ID_BYTES } from '../item-source.ts'
import type { Bound } from './bound.ts'
import { isInfinite } from './bound.ts'
import { FINGERPRINT, IDS, SKIP, VERSION } from './wire.ts'

const FIRST_ROOM_BYTES = 4096
/** Bytes of a bound, at most, and of a mode and a count after it. */
const MAX_BOUND_BYTES = MAX_BASE128_BYTES + 1 + ID_BYTES
const MAX_HEADER_BYTES = MAX_BOUND_BYTES + 1 + MAX_BASE128_BYTES

/** A place in a message that can be gone back to. */
export interface Mark {
  readonly length: number
  readonly timestamp: bigint
  readonly isAtInfinity: boolean
}

/** Writes one message. */
export class MessageWriter {
  #bytes = Buffer.allocUnsafe(FIRST_ROOM_BYTES)
  #length = 1
  /** Timestamp of the last bound. */
  #timestamp = 0n
  #isAtInfinity = false

  constructor() {
    this.#bytes[0] = VERSION
  }

  get length(): number {
    return this.#length
  }

  /** Whether the last range reaches to the end of all. */
  get isAtInfinity(): boolean {
    return this.#isAtInfinity
  }

  mark(): Mark {
    return { length: this.#length, timestamp: this.#timestamp, isAtInfinity: this.#isAtInfinity }
  }

  /** Takes back everything since. */
  goBack({ length, timestamp, isAtInfinity }: Mark): void {
    this.#length = length
    this.#timestamp = timestamp
    this.#isAtInfinity = isAtInfinity
  }

  skip(upper: Bound): void {
    this.#reserve(MAX_HEADER_BYTES)
    this.#bound(upper, SKIP)
  }

  fingerprint(upper: Bound, fingerprint: Uint8Array): void {
    this.#reserve(MAX_HEADER_BYTES + fingerprint.length)
    this.#bound(upper, FINGERPRINT)
    this.#bytes.set(fingerprint, this.#length)
    this.#length += fingerprint.length
  }

  /** The header of a list: as many `id`s must follow. */
  ids(upper: Bound, count: number): void {
    this.#reserve(MAX_HEADER_BYTES + count * ID_BYTES)
    this.#bound(upper, IDS)
    this.#length = writeBase128(this.#bytes, this.#length, count)
  }

  id(id: Uint8Array): void {
    this.#bytes.set(id, this.#length)
    this.#length += ID_BYTES
  }

  finish(): Buffer {
    return this.#bytes.subarray(0, this.#length)
  }

  #bound(bound: Bound, mode: number): void {
    this.#isAtInfinity = isInfinite(bound)
    if (this.#isAtInfinity) {
      this.#bytes[this.#length++] = 0
      this.#bytes[this.#length++] = 0
    } else {
      this.#length = writeBigBase128(this.#bytes, this.#length, bound.timestamp - this.#timestamp + 1n)
      this.#bytes[this.#length++] = bound.prefix.length
      this.#bytes.set(bound.prefix, this.#length)
      this.#length += bound.prefix.length
      this.#timestamp = bound.timestamp
    }
    this.#bytes[this.#length++] = mode
  }

  #reserve(more: number): void {
    const needed = this.#length + more
    if (needed <= this.#bytes.length) return
    const bytes = Buffer.allocUnsafe(Math.max(needed, 2 * this.#bytes.length))
    this.#bytes.copy(bytes, 0, 0, this.#length)
    this.#bytes = bytes
  }
}

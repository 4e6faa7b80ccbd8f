import { MAX_MESSAGE_BYTES } from '../../base/limits.ts'

/** Bytes that secret-stream adds to a message inside its length prefix. */
const SEAL_BYTES = 17
const PREFIX_BYTES = 3

/**
 * Follows the length prefixes (u24, little-endian) of a secret stream as its bytes arrive. secret-stream would allocate
 * up to 16 MB for a message on the word of a relay that can write anything.
 */
export class MessageLengths {
  /** Messages that have arrived whole. */
  completed = 0
  #prefixRead = 0
  #length = 0
  #missing = 0

  /** True between two messages. */
  get atBoundary(): boolean {
    return this.#missing === 0 && this.#prefixRead === 0
  }

  /** Returns false once a message is announced that is longer than any we send. */
  accept(bytes: Uint8Array): boolean {
    let offset = 0
    while (offset < bytes.length) {
      if (this.#missing > 0) {
        const step = Math.min(this.#missing, bytes.length - offset)
        this.#missing -= step
        offset += step
        if (this.#missing === 0) this.completed++
        continue
      }
      this.#length += (bytes[offset++] as number) << (8 * this.#prefixRead++)
      if (this.#prefixRead < PREFIX_BYTES) continue
      if (this.#length > MAX_MESSAGE_BYTES + SEAL_BYTES) return false
      this.#missing = this.#length
      this.#prefixRead = 0
      this.#length = 0
    }
    return true
  }
}

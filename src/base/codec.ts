/**
 * Reading and writing binary messages. Numbers are little-endian base-128 varints (LEB128) in their shortest form, or
 * big-endian with a fixed width.
 *
 * A `Reader` never throws: after the first fault `ok` stays false and every read gives an empty value, so a decoder
 * reads to its end and asks once.
 */

/** Bytes of the largest varint, 2^53 − 1. */
export const MAX_VARINT_BYTES = 8

export function varintBytes(value: number): number {
  let bytes = 1
  while (value >= 0x80) {
    value = Math.floor(value / 0x80)
    bytes++
  }
  return bytes
}

/** Writes a varint and returns the offset after it. */
export function writeVarint(into: Uint8Array, offset: number, value: number): number {
  while (value >= 0x80) {
    into[offset++] = value >= 0x80000000 ? (value % 0x80) | 0x80 : (value & 0x7f) | 0x80
    value = value >= 0x80000000 ? Math.floor(value / 0x80) : value >>> 7
  }
  into[offset++] = value
  return offset
}

const EMPTY = Buffer.alloc(0)

export class Reader {
  readonly #bytes: Buffer
  #offset = 0
  ok = true

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  get offset(): number {
    return this.#offset
  }

  get remaining(): number {
    return this.#bytes.length - this.#offset
  }

  /** True when everything was read, and nothing was wrong. */
  get finished(): boolean {
    return this.ok && this.#offset === this.#bytes.length
  }

  fail(): void {
    this.ok = false
    this.#offset = this.#bytes.length
  }

  u8(): number {
    if (this.#offset >= this.#bytes.length) {
      this.fail()
      return 0
    }
    return this.#bytes[this.#offset++] as number
  }

  u16(): number {
    return this.#fixed(2)
  }

  u32(): number {
    return this.#fixed(4)
  }

  u48(): number {
    return this.#fixed(6)
  }

  /** A varint up to 2^53 − 1; a longer form than necessary is a fault. */
  varint(): number {
    let value = 0
    let factor = 1
    for (let i = 0; i < MAX_VARINT_BYTES; i++) {
      const byte = this.u8()
      value += (byte & 0x7f) * factor
      if (byte < 0x80) {
        if (byte === 0 && i > 0) this.fail()
        if (value > Number.MAX_SAFE_INTEGER) this.fail()
        return this.ok ? value : 0
      }
      factor *= 0x80
    }
    this.fail()
    return 0
  }

  /** A view, not a copy. */
  bytes(length: number): Buffer {
    if (length > this.remaining) {
      this.fail()
      return EMPTY
    }
    const from = this.#offset
    this.#offset += length
    return this.#bytes.subarray(from, this.#offset)
  }

  rest(): Buffer {
    return this.bytes(this.remaining)
  }

  /** Well-formed UTF-8 of at most `maxBytes`, with its length before it. */
  text(maxBytes: number): string {
    const length = this.varint()
    if (length > maxBytes || length > this.remaining) this.fail()
    if (!this.ok || length === 0) return ''
    const from = this.#offset
    this.#offset += length
    const text = this.#bytes.toString('utf8', from, this.#offset)
    // The decoder replaces what is malformed by U+FFFD: only then is a second look needed.
    if (text.includes('\ufffd') && !Buffer.from(text, 'utf8').equals(this.#bytes.subarray(from, this.#offset))) {
      this.fail()
      return ''
    }
    return text
  }

  #fixed(length: number): number {
    if (length > this.remaining) {
      this.fail()
      return 0
    }
    const value = this.#bytes.readUIntBE(this.#offset, length)
    this.#offset += length
    return value
  }
}

/** Collects the parts of one message and joins them at the end. */
export class Writer {
  #parts: Uint8Array[] = []
  #length = 0

  get length(): number {
    return this.#length
  }

  bytes(bytes: Uint8Array): this {
    this.#parts.push(bytes)
    this.#length += bytes.length
    return this
  }

  u8(value: number): this {
    return this.bytes(Uint8Array.of(value))
  }

  varint(value: number): this {
    const bytes = new Uint8Array(varintBytes(value))
    writeVarint(bytes, 0, value)
    return this.bytes(bytes)
  }

  text(text: string): this {
    const bytes = Buffer.from(text, 'utf8')
    return this.varint(bytes.length).bytes(bytes)
  }

  finish(): Buffer {
    return Buffer.concat(this.#parts, this.#length)
  }
}

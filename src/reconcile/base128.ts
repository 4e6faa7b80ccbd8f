/**
 * Negentropy's numbers: base 128, the most significant digit first, every byte but the last with its high bit set, in
 * the shortest form. (peerlog's own messages have the least significant digit first.)
 */

/** Bytes of 2^64 − 1. */
export const MAX_BASE128_BYTES = 10

/** Writes a number up to 2^53 − 1 and returns the offset after it. */
export function writeBase128(into: Uint8Array, offset: number, value: number): number {
  let bytes = 1
  for (let rest = value; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes++
  for (let i = bytes - 1, rest = value; i >= 0; i--, rest = Math.floor(rest / 0x80)) {
    into[offset + i] = (rest % 0x80) | (i === bytes - 1 ? 0 : 0x80)
  }
  return offset + bytes
}

/** The same for numbers up to 2^64 − 1. */
export function writeBigBase128(into: Uint8Array, offset: number, value: bigint): number {
  if (value < 2n ** 32n) return writeBase128(into, offset, Number(value))
  let bytes = 1
  for (let rest = value; rest >= 0x80n; rest >>= 7n) bytes++
  for (let i = bytes - 1, rest = value; i >= 0; i--, rest >>= 7n) {
    into[offset + i] = Number(rest & 0x7fn) | (i === bytes - 1 ? 0 : 0x80)
  }
  return offset + bytes
}

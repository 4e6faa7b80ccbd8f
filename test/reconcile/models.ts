/** Slow and obvious versions of what is tested in this folder. */
import { createHash } from 'node:crypto'

export interface ModelItem {
  timestamp: bigint
  id: Buffer
}

export function compareItems(a: ModelItem, b: ModelItem): number {
  if (a.timestamp !== b.timestamp) return a.timestamp < b.timestamp ? -1 : 1
  return Buffer.compare(a.id, b.id)
}

/** A number's digits to the base of 128, the most significant first. */
export function slowBase128(value: bigint): number[] {
  const digits = [Number(value & 0x7fn)]
  for (let rest = value >> 7n; rest > 0n; rest >>= 7n) digits.unshift(Number(rest & 0x7fn) | 0x80)
  return digits
}

/** The definition, with big integers. */
export function slowFingerprint(ids: readonly Buffer[]): Buffer {
  const sum = ids.reduce((total, id) => total + BigInt(`0x${Buffer.from(id).reverse().toString('hex')}`), 0n)
  const bytes = Buffer.from((sum % 2n ** 256n).toString(16).padStart(64, '0'), 'hex').reverse()
  return createHash('sha256')
    .update(bytes)
    .update(Uint8Array.from(slowBase128(BigInt(ids.length))))
    .digest()
    .subarray(0, 16)
}

import { ID_BYTES, INFINITE_TIMESTAMP, type ItemSource } from '../item-source.ts'

/**
 * A place between items: everything before (timestamp, id) is below it. Missing bytes of the id are zero. The first item
 * above a bound may be equal to it.
 */
export interface Bound {
  readonly timestamp: bigint
  /** 0 … 32 bytes. */
  readonly prefix: Uint8Array
}

const NO_PREFIX = new Uint8Array(0)

export const FIRST_BOUND: Bound = { timestamp: 0n, prefix: NO_PREFIX }
/** After every item. */
export const INFINITY: Bound = { timestamp: INFINITE_TIMESTAMP, prefix: NO_PREFIX }

export function isInfinite(bound: Bound): boolean {
  return bound.timestamp === INFINITE_TIMESTAMP
}

/** Whether a bound is above another, and not the same. */
export function isAbove(bound: Bound, other: Bound): boolean {
  if (bound.timestamp !== other.timestamp) return bound.timestamp > other.timestamp
  for (let i = 0; i < bound.prefix.length; i++) {
    const [byte, otherByte] = [bound.prefix[i] as number, other.prefix[i] ?? 0]
    if (byte !== otherByte) return byte > otherByte
  }
  // What the other has more is zero, or makes it the higher one.
  return false
}

/** Number of a source's items below a bound. */
export function placeOf(bound: Bound, source: ItemSource): number {
  return isInfinite(bound) ? source.size : source.lowerBound(bound.timestamp, bound.prefix)
}

/** The shortest bound between the item at a place and the one before it. */
export function boundBefore(place: number, source: ItemSource): Bound {
  const timestamp = source.timestamp(place)
  if (timestamp !== source.timestamp(place - 1)) return { timestamp, prefix: NO_PREFIX }
  const [before, id] = [source.id(place - 1), source.id(place)]
  let shared = 0
  while (shared < ID_BYTES - 1 && before[shared] === id[shared]) shared++
  return { timestamp, prefix: Uint8Array.from(id.subarray(0, shared + 1)) }
}

/** The bound that is an item. */
export function boundAt(place: number, source: ItemSource): Bound {
  return { timestamp: source.timestamp(place), prefix: Uint8Array.from(source.id(place)) }
}

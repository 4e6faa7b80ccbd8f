import type { Reader, Writer } from '../../base/codec.ts'
import { MAX_TIME } from '../../event/clock.ts'
import type { ItemIndex } from '../../reconcile/item-index.ts'

/**
 * A place among items, which are in the order of (time, id): before the first item that is not below it.
 *
 *   time    u48  milliseconds since 1970; 2^48 − 1 is after every item
 *   length  u8   0 … 32
 *   prefix  so many bytes of an id, the missing ones zero; the last is not zero
 */
export interface Place {
  readonly time: number
  readonly prefix: Buffer
}

const NOTHING = Buffer.alloc(0)
export const FIRST_PLACE: Place = { time: 0, prefix: NOTHING }
export const LAST_PLACE: Place = { time: MAX_TIME, prefix: NOTHING }
export const ID_BYTES = 32

/** Items from a place to another one, without that. */
export interface Span {
  readonly from: Place
  readonly to: Place
}

export const EVERYTHING: Span = { from: FIRST_PLACE, to: LAST_PLACE }

/** Below 0 if a is before b. */
export function comparePlaces(a: Place, b: Place): number {
  return a.time - b.time || Buffer.compare(a.prefix, b.prefix)
}

/** The place of an item. Its id is not copied. */
export function placeOf(time: number, id: Buffer): Place {
  return { time, prefix: id }
}

/** The shortest place that is after one item and not after the next. */
export function placeBetween(time: number, id: Buffer, nextTime: number, next: Buffer): Place {
  if (time !== nextTime) return { time: nextTime, prefix: NOTHING }
  let length = 0
  while (length < ID_BYTES - 1 && id[length] === next[length]) length++
  return { time: nextTime, prefix: Buffer.from(next.subarray(0, length + 1)) }
}

/** The same place in its one encoding: zeros at the end of a prefix say nothing. */
function trimmed({ prefix }: Place): Buffer {
  let length = prefix.length
  while (length > 0 && prefix[length - 1] === 0) length--
  return prefix.subarray(0, length)
}

export function writePlace(writer: Writer, place: Place): void {
  const head = Buffer.allocUnsafe(7)
  const prefix = trimmed(place)
  head.writeUIntBE(place.time, 0, 6)
  head[6] = prefix.length
  writer.bytes(head).bytes(prefix)
}

/** A view; the reader's `ok` is false afterwards if it is none. */
export function readPlace(reader: Reader): Place {
  const time = reader.u48()
  const length = reader.u8()
  if (length > ID_BYTES) reader.fail()
  const prefix = reader.bytes(length)
  if (prefix.length > 0 && prefix.at(-1) === 0) reader.fail()
  if (time === MAX_TIME && prefix.length > 0) reader.fail()
  return { time, prefix }
}

export function isInside({ from, to }: Span, place: Place): boolean {
  return comparePlaces(from, place) <= 0 && comparePlaces(place, to) < 0
}

/** What stands for a span in a map. */
export function spanKey({ from, to }: Span): string {
  return [from, to].map((place) => `${place.time}.${trimmed(place).toString('latin1')}`).join('-')
}

/** The same span, in memory of its own. */
export function copiedSpan({ from, to }: Span): Span {
  return {
    from: { time: from.time, prefix: Buffer.from(from.prefix) },
    to: { time: to.time, prefix: Buffer.from(to.prefix) },
  }
}

/** Number of items before a place. */
export function rankOf(index: ItemIndex, { time, prefix }: Place): number {
  return index.lowerBound(BigInt(time), prefix)
}

/** Cuts a span so that each part has so many items, the last perhaps fewer. */
export function cutSpan(index: ItemIndex, span: Span, items: number): Span[] {
  const end = rankOf(index, span.to)
  const spans: Span[] = []
  let { from } = span
  for (let rank = rankOf(index, from) + items; rank < end; rank += items) {
    const id = Buffer.from(index.id(rank - 1))
    const to = placeBetween(Number(index.timestamp(rank - 1)), id, Number(index.timestamp(rank)), index.id(rank))
    spans.push({ from, to })
    from = to
  }
  spans.push({ from, to: span.to })
  return spans
}

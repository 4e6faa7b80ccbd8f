import type { SimRecord } from '../record.ts'

/** Points of a curve that are drawn, at most: more than a screen shows. */
export const MAX_POINTS = 400
/** Bars of the traffic that are drawn, at most. */
export const MAX_BARS = 160
/** Kinds of messages with a colour of their own; the rest are one. */
export const MAX_SHOWN_KINDS = 7
export const OTHER_KINDS = 'other kinds'

/** How far the devices were at a moment. */
export interface Progress {
  at: number
  written: number
  /** Of the devices that had joined and not left. */
  least: number
  median: number
  most: number
  /** 0 to 1 */
  complete: number
}

/** What was sent within a stretch of time. */
export interface Sent {
  from: number
  to: number
  /** Bytes by kind, in the order of `Traffic.kinds`. */
  bytes: number[]
}

/** Bytes sent over time, by kind: those with the most bytes first, and one kind for all others. */
export interface SentOverTime {
  kinds: string[]
  stretches: Sent[]
}

/** At most `most` of the items, evenly, the first and the last among them. */
export function thinned<T>(items: readonly T[], most: number): T[] {
  if (items.length <= most) return [...items]
  const step = (items.length - 1) / (most - 1)
  return Array.from({ length: most }, (_, i) => items[Math.round(i * step)] as T)
}

export function progressOf(record: SimRecord): Progress[] {
  return thinned(record.samples, MAX_POINTS).map(({ at, written, held, complete }) => {
    const here = held.filter((_, i) => isMember(record, i, at)).toSorted((a, b) => a - b)
    const middle = (here.length - 1) / 2
    const [low, high] = [here[Math.floor(middle)] ?? 0, here[Math.ceil(middle)] ?? 0]
    return { at, written, least: here[0] ?? 0, median: (low + high) / 2, most: here.at(-1) ?? 0, complete }
  })
}

function isMember(record: SimRecord, device: number, at: number): boolean {
  const span = record.devices[device]?.spans.find(({ from, to }) => from <= at && at <= to)
  return span !== undefined && span.state !== 'absent'
}

export function sentOverTime(record: SimRecord): SentOverTime {
  const known = record.traffic.toSorted((a, b) => b.bytes - a.bytes).map(({ kind }) => kind)
  const listed = new Set(known)
  const unlisted = record.trafficSamples.flatMap(({ bytes }) => Object.keys(bytes)).filter((kind) => !listed.has(kind))
  const all = [...new Set([...known, ...unlisted])]
  const own = all.length <= MAX_SHOWN_KINDS ? all : all.slice(0, MAX_SHOWN_KINDS - 1)
  const kinds = own.length < all.length ? [...own, OTHER_KINDS] : own
  const place = new Map(own.map((kind, i) => [kind, i]))
  const stretches: Sent[] = []
  const perBar = Math.ceil(record.trafficSamples.length / MAX_BARS)
  for (let i = 0; i < record.trafficSamples.length; i += perBar) {
    const group = record.trafficSamples.slice(i, i + perBar)
    const bytes = kinds.map(() => 0)
    for (const [kind, sent] of group.flatMap((sample) => Object.entries(sample.bytes))) {
      const at = place.get(kind) ?? kinds.length - 1
      bytes[at] = (bytes[at] as number) + sent
    }
    stretches.push({ from: stretches.at(-1)?.to ?? 0, to: group.at(-1)?.at ?? 0, bytes })
  }
  return { kinds, stretches: stretches.filter(({ from, to }) => to > from) }
}

/** Bytes per second of a stretch, of all kinds together. */
export function rateOf({ from, to, bytes }: Sent): number {
  return (bytes.reduce((sum, one) => sum + one, 0) / (to - from)) * 1000
}

import { BloomFilter, FILTER_OVERHEAD_BYTES, SALT_BYTES } from '../../reconcile/bloom/bloom-filter.ts'
import { Answers } from './answers.ts'
import type { HeldPieces } from './held-pieces.ts'
import type { ItemSet } from './item-set.ts'
import {
  COARSE_WINDOWS,
  FILTERS_PER_ROUND,
  FINE_WINDOW_ITEMS,
  FINE_WINDOWS,
  MAX_DIGEST_MS,
  MAX_QUEUED_MESSAGES,
  MAX_ROUND_MS,
  MIN_DIGEST_MS,
  MIN_ROUND_MS,
  NEWS_MS,
  SPLIT_WINDOWS,
  WINDOW_ITEMS,
} from './limits.ts'
import type { DigestRange, FilterMessage } from './messages.ts'
import { encodeDigest, encodeFilter, roomForFilter } from './messages.ts'
import type { Piece, Pieces } from './pieces.ts'
import type { Place, Span } from './place.ts'
import { EVERYTHING } from './place.ts'
import { Windows } from './windows.ts'

/** By how much longer a round that brings nothing makes the next. */
const ROUND_GROWTH = 1.2

export interface ExchangeOptions {
  items: ItemSet
  pieces: Pieces
  held: HeldPieces
  /** The peer's address. */
  address: string
  random: (bytes: number) => Buffer
}

/**
 * How one peer and we become equal: a digest of windows of time, for those that differ a Bloom filter of what is here, and
 * for a filter what it lacks. Nothing is waited for: whatever is lost is made up for by the next round, whose filters tell
 * what has arrived. Only equal fingerprints end it, never a filter.
 */
export class Exchange {
  readonly answers: Answers
  readonly #options: ExchangeOptions
  readonly #windows = new Windows()
  readonly #queue: Buffer[] = []
  /** Windows that the peer has asked about and that are equal. */
  readonly #equal: DigestRange[] = []
  #differs = false
  #digestAt = Infinity
  #digestMs = MIN_DIGEST_MS
  #roundAt = 0
  #roundMs = 0
  #usefulAt = -Infinity
  /** It only answers: digests are sent to another address of the peer. */
  isPassive = false
  /** Rounds so far. */
  rounds = 0

  constructor(options: ExchangeOptions) {
    this.#options = options
    this.answers = new Answers(options.items, options.pieces)
  }

  /** The peer's root is ours. */
  equal(): void {
    this.#differs = false
    this.#digestAt = Infinity
    this.#digestMs = MIN_DIGEST_MS
    this.#windows.clear()
  }

  /**
   * The peer's root is not ours, as it says (`'theirs'`: for the first time) or because ours has changed, of which it may
   * be hearing already.
   */
  different(news: 'ours' | 'theirs' | 'none', rtt: number, now: number): void {
    if (news !== 'none' || !this.#differs) {
      const patience = this.#differs ? MIN_DIGEST_MS : news === 'ours' ? NEWS_MS + 2 * rtt : 0
      this.#digestMs = MIN_DIGEST_MS
      this.#digestAt = Math.min(this.#digestAt, now + patience)
    }
    this.#differs = true
  }

  /** Pieces of the peer were of use. */
  progressed(places: readonly Place[], now: number): void {
    this.#usefulAt = now
    this.#roundMs = 0
    this.#digestMs = MIN_DIGEST_MS
    this.#windows.progressed(places)
  }

  onDigest(ranges: readonly DigestRange[]): void {
    const { items } = this.#options
    const split: DigestRange[] = []
    for (const theirs of ranges) {
      const ours = items.range(theirs)
      if (isEqual(theirs, ours)) this.#windows.close(theirs)
      else if (theirs.items === 0) continue
      else if (ours.items <= WINDOW_ITEMS) this.#open(theirs)
      else split.push(...items.cut(theirs, Math.ceil(ours.items / SPLIT_WINDOWS)).map((span) => items.range(span)))
    }
    if (split.length > 0) this.#say(encodeDigest(split))
  }

  onFilter(message: FilterMessage): void {
    const ours = this.#options.items.range(message)
    if (!isEqual(message, ours)) this.answers.add(message)
    else if (this.#equal.length < MAX_QUEUED_MESSAGES) this.#equal.push(ours)
  }

  /** New events that the peer is sent without having asked. */
  push(pieces: readonly Piece[], now: number): void {
    this.answers.push(pieces, now)
  }

  /** The next message, or null if there is none for now. */
  next(rtt: number, now: number): Buffer | null {
    this.#say(...this.#equal.splice(0).map((range) => encodeDigest([range])))
    const queued = this.#queue.shift()
    if (queued !== undefined) return queued
    if (now >= this.#digestDue) return this.#digest(now)
    if (now >= this.#roundDue(rtt)) this.#round(rtt, now)
    const filter = this.#queue.shift()
    if (filter !== undefined) return filter
    const piece = this.answers.next(rtt, now)
    for (const span of this.answers.lacking.splice(0)) if (this.#differs) this.#open(span)
    return piece
  }

  /** The peaks that the peer has asked for, if they are here. */
  onWant(peaks: Buffer | null): void {
    if (peaks !== null) this.#say(peaks)
  }

  /** When to ask `next` again, at the latest; infinity for never. */
  wakeAt(rtt: number): number {
    if (this.#queue.length > 0 || this.#equal.length > 0 || !this.answers.isIdle) return 0
    return Math.min(this.#digestDue, this.#roundDue(rtt))
  }

  get #digestDue(): number {
    return this.isPassive ? Infinity : this.#digestAt
  }

  #say(...messages: Buffer[]): void {
    for (const message of messages) if (this.#queue.length < MAX_QUEUED_MESSAGES) this.#queue.push(message)
  }

  #open(span: Span): void {
    if (this.#windows.size === 0) this.#roundMs = 0
    this.#windows.open(span)
  }

  // ---- what we have ---------------------------------------------------------------------------------------------

  /** Fingerprints of everything: of the newest items in small windows, of those before in as few as fit one datagram. */
  #digest(now: number): Buffer {
    const { items } = this.#options
    this.#digestAt = now + this.#digestMs
    this.#digestMs = Math.min(MAX_DIGEST_MS, this.#digestMs * 2)
    const old = Math.max(0, items.size - FINE_WINDOWS * FINE_WINDOW_ITEMS)
    const [first, second] = old === 0 ? [null, EVERYTHING] : items.cutAt(EVERYTHING, old)
    const spans = first === null ? [] : items.cut(first, Math.max(FINE_WINDOW_ITEMS, Math.ceil(old / COARSE_WINDOWS)))
    spans.push(...items.cut(second, FINE_WINDOW_ITEMS))
    return encodeDigest(spans.map((span) => items.range(span)))
  }

  // ---- what we lack ---------------------------------------------------------------------------------------------

  /** When to send filters next: not while pieces are still coming in. */
  #roundDue(rtt: number): number {
    if (this.#windows.size === 0) return Infinity
    const quiet = Math.max(this.#roundAt, this.#usefulAt + MIN_ROUND_MS + rtt / 4)
    return Math.min(quiet, this.#roundAt + MAX_ROUND_MS)
  }

  #round(rtt: number, now: number): void {
    this.rounds++
    const shortest = 2 * rtt + MIN_ROUND_MS
    this.#roundMs = Math.min(MAX_ROUND_MS, Math.max(shortest, this.#roundMs * ROUND_GROWTH))
    this.#roundAt = now + this.#roundMs
    for (const span of this.#windows.next(FILTERS_PER_ROUND)) {
      const filter = this.#filter(span)
      if (filter !== null) this.#say(filter)
    }
  }

  /** The filter of a window; null if it has grown too large and was cut into smaller ones, or is that of which nothing is missing. */
  #filter(span: Span): Buffer | null {
    const { items, held, address, random } = this.#options
    const range = items.range(span)
    const waiting = held.count(span, address)
    const largest = Math.max(range.items, waiting)
    if (range.items + waiting > WINDOW_ITEMS && largest > 1) {
      const size = Math.ceil(largest / Math.min(SPLIT_WINDOWS, Math.ceil(largest / FINE_WINDOW_ITEMS) + 1))
      const parts = range.items >= waiting ? items.cut(span, size) : held.cut(span, address, size)
      if (parts.length > 1) {
        this.#windows.close(span)
        for (const part of parts) this.#windows.open(part)
        return null
      }
    }
    const ids: Buffer[] = []
    for (let rank = items.rank(span.from); ids.length < range.items; rank++) ids.push(Buffer.from(items.at(rank).id))
    ids.push(...held.inside(span, address, Math.max(0, WINDOW_ITEMS - range.items)))
    const maxBytes = roomForFilter(range) - FILTER_OVERHEAD_BYTES
    const filter = BloomFilter.create({ count: ids.length, maxBytes }, random(SALT_BYTES))
    for (const id of ids) filter.add(id)
    return encodeFilter({ ...range, filter })
  }
}

function isEqual(a: DigestRange, b: DigestRange): boolean {
  return a.items === b.items && a.fingerprint.equals(b.fingerprint)
}

import { asBuffer } from '../../base/bytes.ts'
import type { ItemSource } from '../item-source.ts'
import { ID_BYTES } from '../item-source.ts'
import { FINGERPRINT_COST_ITEMS, RANGE_FRAME_MARGIN_BYTES } from '../limits.ts'
import type { Bound } from './bound.ts'
import { boundAt, boundBefore, FIRST_BOUND, INFINITY, placeOf } from './bound.ts'
import { compareIds } from './compare-ids.ts'
import type { MessageFault, Range } from './message-reader.ts'
import { MessageReader } from './message-reader.ts'
import { MessageWriter } from './message-writer.ts'
import type { RangeOptions } from './options.ts'
import { checkedOptions } from './options.ts'
import { FINGERPRINT, IDS, MAX_VERSION, MIN_VERSION, SKIP, VERSION } from './wire.ts'

/** Parts that a range in which two sets differ is split into; one with fewer than twice as many items is listed. */
const BUCKETS = 16

/** A range about which something is said. */
type Compared = Exclude<Range, { mode: typeof SKIP }>

/** What came of a message. */
export interface RangeStep {
  type: 'step'
  /** What to send to the peer; null for an initiator that is done. */
  reply: Buffer | null
  /**
   * Ids that we have and the peer lacks, and the other way round, as far as this message says; only the initiator learns
   * them. When frames are limited one may be told again by a later message.
   */
  have: Buffer[]
  need: Buffer[]
}

export type RangeFault =
  | MessageFault
  | 'empty'
  | 'too-long'
  /** The first byte is no version, or the peer does not know ours. */
  | 'bad-version'
  | 'too-many-rounds'

/** A message that no honest peer sends, or that is beyond a limit. */
export interface RangeViolation {
  type: 'violation'
  fault: RangeFault
}

/**
 * Finds what two sets lack of each other: Negentropy protocol V1 (range-based set reconciliation; Meyer, 2023), as a
 * state machine that is handed messages and answers them. Who `initiate`s learns what both lack.
 *
 * ```
 * initiator  send(reconciler.initiate())
 * both       on a message: step = reconciler.receive(message); send(step.reply) unless it is null
 * ```
 *
 * With d differences among n items it takes about d · log(n) bytes and log(n) / 4 rounds. Let the larger side initiate
 * if the other is nearly empty: an initiator lists what it has fewer than 32 of.
 *
 * A peer is not believed: it may claim to have or lack anything. Nor are fingerprints proof against whoever may choose
 * ids. So after all differences were transferred, `initiate` again, until the very first answer brings neither `have` nor
 * `need`: it is one byte then, or the same few ids that we have listed.
 */
export class RangeReconciler {
  readonly #source: ItemSource
  readonly #options: Required<RangeOptions>
  #isInitiator = false
  #rounds = 0
  #violation: RangeViolation | null = null
  #out = new MessageWriter()
  /** Items that may still be looked at for this message. */
  #budget = 0

  /** @throws PeerlogError INVALID_ARGUMENT for limits that are too low. */
  constructor(source: ItemSource, options: RangeOptions = {}) {
    this.#source = source
    this.#options = checkedOptions(options)
  }

  /** Begins a comparison, or the next one: its first message. */
  initiate(): Buffer {
    this.#isInitiator = true
    this.#rounds = 0
    this.#violation = null
    this.#out = new MessageWriter()
    this.#split(0, this.#source.size, INFINITY)
    return this.#out.finish()
  }

  /**
   * Answers a message of the peer. What it says is checked before it is believed, and what it costs is limited by the
   * options; after a violation there is nothing but that violation.
   */
  receive(message: Uint8Array): RangeStep | RangeViolation {
    if (this.#violation !== null) return this.#violation
    const { maxMessageBytes, maxRounds } = this.#options
    const version = message[0]
    if (++this.#rounds > maxRounds) return this.#violated('too-many-rounds')
    if (version === undefined) return this.#violated('empty')
    if (message.length > maxMessageBytes) return this.#violated('too-long')
    if (version < MIN_VERSION || version > MAX_VERSION) return this.#violated('bad-version')
    this.#out = new MessageWriter()
    const step: RangeStep = { type: 'step', reply: null, have: [], need: [] }
    if (version === VERSION) {
      const reader = new MessageReader(asBuffer(message), 1, this.#options)
      this.#answer(reader, step)
      if (reader.fault !== null) return this.#violated(reader.fault)
    } else if (this.#isInitiator) {
      return this.#violated('bad-version')
    }
    if (!this.#isInitiator || this.#out.length > 1) step.reply = this.#out.finish()
    return step
  }

  #violated(fault: RangeFault): RangeViolation {
    this.#violation = { type: 'violation', fault }
    return this.#violation
  }

  #answer(reader: MessageReader, step: RangeStep): void {
    const out = this.#out
    this.#budget = this.#options.maxItems
    let bound = FIRST_BOUND
    /** Number of items below `bound`; null while nobody has asked. */
    let place: number | null = 0
    /** Whether what lies between the end of `out` and `bound` needs no answer. */
    let skips = false
    for (let range = reader.next(); range !== null; range = reader.next()) {
      if (range.mode === SKIP) {
        skips = true
        bound = range.upper
        place = null
        continue
      }
      const lower: number = place ?? placeOf(bound, this.#source)
      const upper = Math.max(lower, placeOf(range.upper, this.#source))
      if (!this.#affords(range, upper - lower)) {
        if (skips) out.skip(bound)
        this.#close(lower)
        return
      }
      if (this.#settles(range, lower, upper, step)) {
        skips = true
      } else {
        const mark = out.mark()
        if (skips) out.skip(bound)
        if (range.mode === IDS && !this.#isInitiator) {
          const end = this.#list(lower, upper, range.upper, mark.length)
          if (end < upper || this.#isFull(out.length)) {
            this.#close(end)
            return
          }
        } else {
          this.#split(lower, upper, range.upper)
          if (this.#isFull(out.length)) {
            out.goBack(mark)
            this.#closeBefore(bound, lower, upper, skips)
            return
          }
        }
        skips = false
      }
      bound = range.upper
      place = upper
    }
  }

  /** Whether there is budget for a range with so many of our items; what any range costs is taken from it then. */
  #affords(range: Compared, count: number): boolean {
    const isFresh = this.#budget === this.#options.maxItems
    const isCompared = range.mode === IDS && this.#isInitiator
    if (!isFresh && (this.#budget <= 0 || (isCompared && count > this.#budget))) return false
    this.#budget -= FINGERPRINT_COST_ITEMS
    return true
  }

  /** Looks at a range; true if nothing about it needs to be said. */
  #settles(range: Compared, lower: number, upper: number, step: RangeStep): boolean {
    if (range.mode === FINGERPRINT) return range.fingerprint.equals(this.#source.fingerprint(lower, upper))
    // A list that is beyond any budget gets further by being split.
    if (!this.#isInitiator || upper - lower > this.#options.maxItems) return false
    this.#budget -= upper - lower + range.ids.length / ID_BYTES
    compareIds(this.#source, lower, upper, range.ids, step)
    return true
  }

  /** Tells a range by its fingerprints, or by its ids if there are few. */
  #split(lower: number, upper: number, bound: Bound): void {
    const count = upper - lower
    if (count < 2 * BUCKETS) {
      this.#ids(lower, upper, bound)
      return
    }
    this.#budget -= BUCKETS * FINGERPRINT_COST_ITEMS
    const [perBucket, larger] = [Math.floor(count / BUCKETS), count % BUCKETS]
    for (let bucket = 0, from = lower; bucket < BUCKETS; bucket++) {
      const to = from + perBucket + (bucket < larger ? 1 : 0)
      const fingerprint = this.#source.fingerprint(from, to)
      this.#out.fingerprint(to === upper ? bound : boundBefore(to, this.#source), fingerprint)
      from = to
    }
  }

  /**
   * Tells the ids of a range, as many as there is room for.
   *
   * @param written bytes of the message that count when its room is reckoned.
   * @returns the place after the last id.
   */
  #list(lower: number, upper: number, bound: Bound, written: number): number {
    let room = Math.max(1, this.#budget)
    if (this.#options.frameLimit > 0) {
      const bytes = this.#options.frameLimit - RANGE_FRAME_MARGIN_BYTES - written
      room = Math.min(room, Math.floor(bytes / ID_BYTES) + 1)
    }
    const end = Math.min(upper, lower + room)
    this.#ids(lower, end, end === upper ? bound : boundAt(end, this.#source))
    return end
  }

  #ids(lower: number, upper: number, bound: Bound): void {
    this.#budget -= upper - lower
    this.#out.ids(bound, upper - lower)
    for (let place = lower; place < upper; place++) this.#out.id(this.#source.id(place))
  }

  #isFull(length: number): boolean {
    return this.#options.frameLimit > 0 && length > this.#options.frameLimit - RANGE_FRAME_MARGIN_BYTES
  }

  /** Ends the message: everything from a place on, where it has come to, is left to a fingerprint. */
  #close(place: number): void {
    if (this.#out.isAtInfinity && !this.#options.referenceFrames) return
    this.#out.fingerprint(INFINITY, this.#source.fingerprint(place, this.#source.size))
  }

  /**
   * Ends the message before a range that did not fit. The peer takes the last fingerprint to begin where the range
   * before it ends, which is `bound` at the latest; the public implementations begin it after the range that is missing.
   */
  #closeBefore(bound: Bound, lower: number, upper: number, skips: boolean): void {
    if (this.#options.referenceFrames) {
      this.#close(upper)
      return
    }
    if (skips) this.#out.skip(bound)
    this.#close(lower)
  }
}

import type { Timestamp } from '../event/clock.ts'
import type { Mmr } from '../event/mmr.ts'

/** One author's log, as far as it is here. Instances are replaced, not changed, when a transaction commits. */
export interface Log extends Timestamp {
  /** The author's number in this file. */
  readonly no: number
  readonly author: Buffer
  readonly hex: string
  readonly mmr: Mmr
  /** First seq that is here: 0, unless the log was begun in the middle. */
  readonly start: number
  /** MMR root at the log's length. */
  readonly root: Buffer
  /** Of the last event. */
  readonly position: number
  /** Proof of two contradicting histories, or null. */
  readonly fork: Buffer | null
}

/** Seq of the first event of a log that can be here. */
export function startOf(log: Log & { readonly start?: number }): number {
  return log.start ?? 0
}

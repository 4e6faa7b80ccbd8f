import { MARK_INTERVAL_MS } from '../base/limits.ts'
import { encodeMark, MARK_BYTES } from './messages.ts'
import type { Mark, Replica } from './replica.ts'

/**
 * Finds frontiers that both sides have had, so that at their next meeting only what has changed since need be told. Each
 * side says now and then, when it is in sync, which frontier it has; one that both have said is a mark.
 */
export class Marking {
  readonly #replica: Replica
  /** Whether our frontier may have changed since we last told it. */
  #stale = false
  #toldAt = -Infinity
  #told: Mark | null = null
  #heard: Buffer | null = null

  constructor(replica: Replica) {
    this.#replica = replica
  }

  /** Our frontier as it is now. */
  current(): Mark {
    return { root: this.#replica.frontierRoot().subarray(0, MARK_BYTES), position: this.#replica.position }
  }

  changed(): void {
    this.#stale = true
  }

  /** What was told means nothing any more: a fork was found, which no position shows. */
  forget(): void {
    this.#told = null
    this.#stale = true
  }

  /** When there may be a mark to tell, if the session is in sync; infinity for never. */
  get wakeAt(): number {
    return this.#stale ? this.#toldAt + MARK_INTERVAL_MS : Infinity
  }

  /** Our frontier, to be told to the peer; null if it has not changed, or was told a short while ago. */
  next(now: number): Buffer | null {
    if (now < this.wakeAt) return null
    this.#stale = false
    this.#toldAt = now
    this.#told = this.current()
    return encodeMark(this.#told.root)
  }

  /** The peer has told its frontier. */
  heard(root: Buffer): void {
    this.#heard = Buffer.from(root)
  }

  /** A frontier that both have told, once. */
  take(): Mark | null {
    const told = this.#told
    if (told === null || this.#heard?.equals(told.root) !== true) return null
    this.#told = this.#heard = null
    return told
  }
}

/** The newest frontier that both remember; the same one on both sides, whatever else either of them remembers. */
export function commonMark(ours: readonly Mark[], theirs: readonly Buffer[], initiator: boolean): Mark | null {
  const find = (root: Buffer): Mark | undefined => ours.find((mark) => mark.root.equals(root))
  if (initiator) return ours.find(({ root }) => theirs.some((mark) => mark.equals(root))) ?? null
  for (const root of theirs) {
    const mark = find(root)
    if (mark !== undefined) return mark
  }
  return null
}

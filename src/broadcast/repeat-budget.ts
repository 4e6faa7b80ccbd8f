import { REPEAT_BURST_BYTES, REPEAT_BYTES_PER_SECOND } from '../base/limits.ts'

/**
 * How many bytes a peer may still be sent that it has been sent before. An honest peer asks again for little; one that
 * asks for the same for ever gets it slowly.
 */
export class RepeatBudget {
  #left: number = REPEAT_BURST_BYTES
  #at = 0

  /** Milliseconds until something may be sent again; 0 for now. */
  wait(now: number): number {
    const earned = (Math.max(0, now - this.#at) / 1000) * REPEAT_BYTES_PER_SECOND
    this.#at = now
    this.#left = Math.min(REPEAT_BURST_BYTES, this.#left + earned)
    return this.#left > 0 ? 0 : Math.ceil(((1 - this.#left) / REPEAT_BYTES_PER_SECOND) * 1000)
  }

  spend(bytes: number): void {
    this.#left -= bytes
  }
}

import { MAX_REFUSAL_LOGS_PER_SECOND } from './limits.ts'
import type { RelayLogger } from './relay.ts'
import type { RefusalReason, Tally } from './tally.ts'

const SECOND_MS = 1000

/**
 * Counts and logs what is turned away or thrown out. Per reason only so many lines a second get into the log, and then
 * one with how many were left out: whoever knocks all day must not fill the disk.
 */
export class Refusals {
  readonly #tally: Tally
  readonly #logger: RelayLogger | undefined
  readonly #seconds = new Map<string, { lines: number; leftOut: number }>()
  readonly #timer: NodeJS.Timeout

  constructor(tally: Tally, logger: RelayLogger | undefined) {
    this.#tally = tally
    this.#logger = logger
    this.#timer = setInterval(() => this.#nextSecond(), SECOND_MS).unref()
  }

  refused(reason: RefusalReason, fields: { address: string }): void {
    this.#tally.refusals[reason]++
    this.warn('refused', reason, fields)
  }

  /** A line about something that strangers can cause as often as they like. */
  warn(message: string, reason: string, fields: object): void {
    const key = `${message}: ${reason}`
    const second = this.#seconds.get(key) ?? { lines: 0, leftOut: 0 }
    this.#seconds.set(key, second)
    if (second.lines === MAX_REFUSAL_LOGS_PER_SECOND) second.leftOut++
    else {
      second.lines++
      this.#logger?.warn({ reason, ...fields }, message)
    }
  }

  close(): void {
    clearInterval(this.#timer)
    this.#nextSecond()
  }

  #nextSecond(): void {
    for (const [key, { leftOut }] of this.#seconds) {
      const [message = '', reason] = key.split(': ')
      if (leftOut > 0) this.#logger?.warn({ reason, leftOut }, `${message}, and more that are not listed`)
    }
    this.#seconds.clear()
  }
}

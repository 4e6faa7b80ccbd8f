import { RECONNECT_MAX_MS, RECONNECT_MIN_MS } from './limits.ts'

/**
 * Waiting times between attempts: doubling, capped, with full jitter, so that many clients of a restarted server do
 * not return at the same instant.
 */
export class Backoff {
  #attempt = 0
  readonly #random: () => number
  readonly #minMs: number
  readonly #maxMs: number

  constructor(options: { random?: () => number; minMs?: number; maxMs?: number } = {}) {
    this.#random = options.random ?? Math.random
    this.#minMs = options.minMs ?? RECONNECT_MIN_MS
    this.#maxMs = options.maxMs ?? RECONNECT_MAX_MS
  }

  /** Milliseconds to wait before the next attempt: between half the minimum and the maximum. */
  next(): number {
    const ceiling = Math.min(this.#maxMs, this.#minMs * 2 ** this.#attempt)
    this.#attempt = Math.min(this.#attempt + 1, 30)
    return this.#minMs / 2 + this.#random() * (ceiling - this.#minMs / 2)
  }

  /** After a success. */
  reset(): void {
    this.#attempt = 0
  }
}

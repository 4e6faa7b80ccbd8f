/**
 * Hybrid logical clock (Kulkarni et al., 2014): wall time in milliseconds and a counter for what happens within one
 * millisecond. It never goes back, and is always ahead of every clock it has observed.
 */
export interface Timestamp {
  /** Milliseconds since 1970, below 2^48. */
  time: number
  /** 0 … 65 535. */
  tick: number
}

export const MAX_TIME: number = 2 ** 48 - 1
export const MAX_TICK = 0xffff

/** Negative when a is before b. */
export function compareTimestamps(a: Timestamp, b: Timestamp): number {
  return a.time - b.time || a.tick - b.tick
}

export class HybridClock {
  #time = 0
  #tick = 0
  readonly #now: () => number

  constructor(now: () => number) {
    this.#now = now
  }

  /** The clock of a new event: after everything ticked or observed so far. */
  next(): Timestamp {
    const now = Math.floor(this.#now())
    if (now > this.#time) {
      this.#time = now
      this.#tick = 0
    } else if (this.#tick < MAX_TICK) {
      this.#tick++
    } else {
      this.#time++
      this.#tick = 0
    }
    return { time: this.#time, tick: this.#tick }
  }

  /** Takes note of another event's clock. */
  observe(timestamp: Timestamp): void {
    if (timestamp.time > this.#time || (timestamp.time === this.#time && timestamp.tick > this.#tick)) {
      this.#time = timestamp.time
      this.#tick = timestamp.tick
    }
  }
}

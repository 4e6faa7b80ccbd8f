/** Milliseconds since 1970 when every run begins. */
export const START = 1_760_000_000_000

export interface ClockState {
  /** Milliseconds by which the clock is ahead when the run begins. */
  offset: number
  /** Parts in a million by which it runs too fast. */
  drift: number
}

/** A device's wall clock: it is off, drifts, and is set now and then. */
export class DeviceClock {
  #offset: number
  readonly #drift: number
  readonly #elapsed: () => number

  /** @param elapsed true milliseconds since the run began. */
  constructor({ offset, drift }: ClockState, elapsed: () => number) {
    this.#offset = offset
    this.#drift = drift
    this.#elapsed = elapsed
  }

  now(): number {
    const elapsed = this.#elapsed()
    return START + this.#offset + elapsed + Math.floor((elapsed * this.#drift) / 1_000_000)
  }

  /** Somebody sets the clock: forward, or back if negative. */
  jump(ms: number): void {
    this.#offset += ms
  }

  /** True milliseconds that a timer of so many by this clock takes. */
  trueMs(ms: number): number {
    return Math.max(1, Math.ceil((ms * 1_000_000) / (1_000_000 + this.#drift)))
  }
}

/** A token bucket that may go into debt: what arrived together is taken together, and waited for afterwards. */
export class Bucket {
  readonly #perSecond: number
  readonly #burst: number
  #tokens: number
  #at: number = performance.now()

  constructor(perSecond: number, burst: number) {
    this.#perSecond = perSecond
    this.#burst = burst
    this.#tokens = burst
  }

  take(amount: number): void {
    this.#refill()
    this.#tokens -= amount
  }

  /** Takes only if that leaves no debt. */
  tryTake(amount: number): boolean {
    this.#refill()
    if (this.#tokens < amount) return false
    this.#tokens -= amount
    return true
  }

  /** Milliseconds until the debt is paid; 0 if there is none. */
  get debtMs(): number {
    this.#refill()
    return this.#tokens >= 0 ? 0 : (-this.#tokens / this.#perSecond) * 1000
  }

  get full(): boolean {
    this.#refill()
    return this.#tokens >= this.#burst
  }

  #refill(): void {
    const now = performance.now()
    this.#tokens = Math.min(this.#burst, this.#tokens + ((now - this.#at) / 1000) * this.#perSecond)
    this.#at = now
  }
}

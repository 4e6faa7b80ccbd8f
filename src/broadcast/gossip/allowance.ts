/** So much at once, and so much per second. */
export class Allowance {
  readonly #perSecond: number
  readonly #burst: number
  #left: number
  #at = 0

  constructor(perSecond: number, burst: number) {
    this.#perSecond = perSecond
    this.#burst = burst
    this.#left = burst
  }

  /** False if there is not enough left; nothing is taken then. */
  take(amount: number, now: number): boolean {
    this.#earn(now)
    if (this.#left < amount) return false
    this.#left -= amount
    return true
  }

  /** Takes it, whether or not so much is left: what is owed has to be earned before more is given. */
  spend(amount: number, now: number): void {
    this.#earn(now)
    this.#left = Math.max(-this.#burst, this.#left - amount)
  }

  /** Milliseconds until so much is left. */
  wait(amount: number, now: number): number {
    this.#earn(now)
    return this.#left >= amount ? 0 : ((amount - this.#left) * 1000) / this.#perSecond
  }

  #earn(now: number): void {
    const earned = (Math.max(0, now - this.#at) / 1000) * this.#perSecond
    this.#at = now
    this.#left = Math.min(this.#burst, this.#left + earned)
  }
}

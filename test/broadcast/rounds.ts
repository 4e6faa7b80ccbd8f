/** Counts the rounds of the event loop from now until it is stopped. */
export class Rounds {
  count = 0
  #isCounting = true

  constructor() {
    const next = (): void => {
      this.count++
      if (this.#isCounting) setImmediate(next)
    }
    setImmediate(next)
  }

  stop(): void {
    this.#isCounting = false
  }
}

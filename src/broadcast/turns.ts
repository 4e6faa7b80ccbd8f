/**
 * Shares the event loop among the sessions of a replica. Whoever has had its share of time waits here, and goes on when
 * nobody is before it: one in each round of the event loop, so that timers and sockets never wait for more than that
 * one. Sessions that bring news and those that don't take turns, however many of either there are.
 */
export class Turns {
  readonly #waiting: [news: (() => void)[], none: (() => void)[]] = [[], []]
  #last: 0 | 1 = 1
  #isScheduled = false

  /** @param bringsNews whether anything was stored of what the session was last given time for. */
  next(bringsNews: boolean): Promise<void> {
    this.#schedule()
    return new Promise((resolve) => this.#waiting[bringsNews ? 0 : 1].push(resolve))
  }

  #schedule(): void {
    if (this.#isScheduled) return
    this.#isScheduled = true
    setImmediate(() => {
      this.#isScheduled = false
      const preferred = this.#last === 0 ? 1 : 0
      this.#last = this.#waiting[preferred].length > 0 ? preferred : this.#last
      this.#waiting[this.#last].shift()?.()
      if (this.#waiting[0].length + this.#waiting[1].length > 0) this.#schedule()
    })
  }
}

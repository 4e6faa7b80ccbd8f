/** Of three turns, those that go to sessions that bring news, as long as both kinds wait. */
const NEWS_TURNS = 2

/**
 * Shares the event loop among the sessions of a replica. Whoever has had its share of time waits here, and goes on when
 * nobody is before it: one in each round of the event loop, so that timers and sockets never wait for more than that
 * one. Of sessions that bring news two have their turn for one that does not, however many of either there are.
 */
export class Turns {
  readonly #waiting: [news: (() => void)[], none: (() => void)[]] = [[], []]
  readonly #chore: () => boolean
  #newsTurns = 0
  #isScheduled = false

  /** @param chore called before each turn: what else takes its time is done there, in a round of its own, and gives true. */
  constructor(chore: () => boolean = () => false) {
    this.#chore = chore
  }

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
      if (!this.#chore()) this.#take()?.()
      if (this.#waiting[0].length + this.#waiting[1].length > 0) this.#schedule()
    })
  }

  #take(): (() => void) | undefined {
    const [news, none] = this.#waiting
    const isNews = news.length > 0 && (none.length === 0 || this.#newsTurns < NEWS_TURNS)
    this.#newsTurns = isNews ? this.#newsTurns + 1 : 0
    return isNews ? news.shift() : none.shift()
  }
}

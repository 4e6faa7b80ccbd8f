/** Milliseconds without an answer to anything before a new link is asked for a sign of life, and then for the answer. */
const PROBE_AFTER_MS = 500
const PROBE_MS = 2000

/**
 * When two peers dial each other at once, Hyperswarm may keep a link whose other end is gone already, and refuses the
 * peer's new ones in favour of it. So a new link must prove itself sooner than by the silence that ends old ones.
 */
export class Probe {
  readonly #ask: () => void
  readonly #giveUp: () => void
  #timer: NodeJS.Timeout | null

  constructor(ask: () => void, giveUp: () => void) {
    this.#ask = ask
    this.#giveUp = giveUp
    this.#timer = setTimeout(() => this.#begin(), PROBE_AFTER_MS)
  }

  /** Asks now, because there is reason to doubt. */
  again(): void {
    if (this.#timer === null) this.#begin()
  }

  #begin(): void {
    this.#timer = setTimeout(() => {
      // What has arrived while this process was busy is heard first.
      setImmediate(() => {
        if (this.#timer !== null) this.#giveUp()
      })
    }, PROBE_MS)
    this.#ask()
  }

  /** The peer has answered something; or it does not matter any more. */
  done(): void {
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
  }
}

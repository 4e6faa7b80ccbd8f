import { Backoff } from '../../base/backoff.ts'
import { DRAIN_JITTER_MS, DRAINED_MS, HEALTHY_MS } from './limits.ts'

/** WebSocket close codes: the relay is being restarted or emptied; the token has expired. */
const SERVICE_RESTART = 1012
const TOKEN_EXPIRED = 4401

export interface NextAttempt {
  url: string
  /** Milliseconds to wait before it. */
  delayMs: number
}

/** The relays of one service, and which of them to try next and when. */
export class RelayList {
  readonly #urls: readonly string[]
  readonly #random: () => number
  readonly #backoff: Backoff
  /** Those that are still to be tried in this round. */
  #round: string[]
  /** One that worked well until it was lost. */
  #good: string | null = null

  constructor(urls: readonly string[], random: () => number) {
    this.#urls = urls
    this.#random = random
    this.#backoff = new Backoff({ random })
    this.#round = [...urls]
  }

  /** The attempt could not be made, or led nowhere: the others are tried at once, and then all again after a while. */
  afterFailure(): NextAttempt {
    const delayMs = this.#round.length === 0 ? this.#backoff.next() : 0
    return this.#next(delayMs)
  }

  /** A socket to the relay was open for so long, and is lost with that close code. */
  afterLoss(url: string, openMs: number, code: number): NextAttempt {
    const isGood = openMs >= HEALTHY_MS
    if (isGood) this.#backoff.reset()
    this.#good = isGood && code !== SERVICE_RESTART ? url : null
    const stayed = openMs >= DRAINED_MS
    const others = this.#after(url)
    switch (code) {
      case SERVICE_RESTART:
        // All that were there come to the next one; where there is none they should not all come back at once.
        this.#round = [...others, url]
        if (!stayed) return this.#next(this.#backoff.next())
        return this.#next(others.length > 0 ? 0 : this.#random() * DRAIN_JITTER_MS)
      case TOKEN_EXPIRED:
        this.#round = [url, ...others]
        return this.#next(stayed ? 0 : this.#backoff.next())
      default:
        // It may be only the way there that was lost; but one that was no good keeps nobody from the others.
        this.#round = isGood ? this.#goodFirst() : [...others, url]
        return this.#next(this.#backoff.next())
    }
  }

  /** Begins a round without delay: the network may have come back. */
  atOnce(): NextAttempt {
    this.#backoff.reset()
    this.#round = this.#goodFirst()
    return this.#next(0)
  }

  #goodFirst(): string[] {
    const good = this.#good
    return good === null ? [...this.#urls] : [good, ...this.#urls.filter((other) => other !== good)]
  }

  #next(delayMs: number): NextAttempt {
    if (this.#round.length === 0) this.#round = [...this.#urls]
    return { url: this.#round.shift() as string, delayMs }
  }

  /** The other relays, those that follow in the list first. */
  #after(url: string): string[] {
    const index = this.#urls.indexOf(url)
    return [...this.#urls.slice(index + 1), ...this.#urls.slice(0, Math.max(0, index))].filter((other) => other !== url)
  }
}

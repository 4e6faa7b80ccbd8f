import { MAX_CARDS } from '../frames.ts'
import { LOOKUP_WAIT_MS, MAX_WAITING_LOOKUPS } from './limits.ts'

interface Waiting {
  cards: Uint8Array[]
  /** Instances that have not answered. */
  missing: number
  timer: NodeJS.Timeout
  done(cards: Uint8Array[]): void
}

/** The LOOKUPs that wait for what other instances know. */
export class Lookups {
  readonly #waiting = new Map<number, Waiting>()
  #last = 0

  /** Calls back once: when so many instances have answered, there are enough cards, or time is up. */
  start(cards: Uint8Array[], instances: number, done: (cards: Uint8Array[]) => void): number | undefined {
    if (instances === 0 || this.#waiting.size >= MAX_WAITING_LOOKUPS) {
      done(cards)
      return undefined
    }
    const request = (this.#last = (this.#last + 1) >>> 0)
    // What has arrived while we were busy with something else still counts.
    const timer = setTimeout(() => setImmediate(() => this.#finish(request)), LOOKUP_WAIT_MS)
    this.#waiting.set(request, { cards: [...cards], missing: instances, timer, done })
    return request
  }

  /** Returns false if nobody waits for these. */
  answer(request: number, cards: Uint8Array[]): boolean {
    const waiting = this.#waiting.get(request)
    if (waiting === undefined) return false
    waiting.cards.push(...cards.slice(0, MAX_CARDS - waiting.cards.length))
    if (--waiting.missing === 0 || waiting.cards.length === MAX_CARDS) this.#finish(request)
    return true
  }

  /** Nobody will answer any more. */
  finishAll(): void {
    for (const request of this.#waiting.keys()) this.#finish(request)
  }

  #finish(request: number): void {
    const waiting = this.#waiting.get(request)
    if (waiting === undefined) return
    this.#waiting.delete(request)
    clearTimeout(waiting.timer)
    waiting.done(waiting.cards)
  }
}

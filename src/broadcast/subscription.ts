import type { Missed } from './sync-event.ts'

/**
 * A bounded queue of events that its reader pulls. When the reader is too slow the oldest events make room, and in
 * their place stands one `Missed` with their number.
 */
export class Subscription<T> implements AsyncIterableIterator<T | Missed>, AsyncDisposable {
  readonly #capacity: number
  readonly #onEnd: (subscription: Subscription<T>) => void
  #events: T[] = []
  #missed = 0
  #waiting: ((result: IteratorResult<T | Missed, undefined>) => void)[] = []
  #ended = false

  constructor(capacity: number, onEnd: (subscription: Subscription<T>) => void) {
    this.#capacity = capacity
    this.#onEnd = onEnd
  }

  push(event: T): void {
    if (this.#ended) return
    const waiting = this.#waiting.shift()
    if (waiting !== undefined) {
      waiting({ done: false, value: event })
      return
    }
    this.#events.push(event)
    // Dropped a quarter at a time, so that a stalled reader does not make every event cost the whole queue.
    if (this.#events.length > this.#capacity) {
      const excess = Math.max(1, Math.floor(this.#capacity / 4))
      this.#events.splice(0, excess)
      this.#missed += excess
    }
  }

  next(): Promise<IteratorResult<T | Missed, undefined>> {
    if (this.#missed > 0) {
      const count = this.#missed
      this.#missed = 0
      return Promise.resolve({ done: false, value: { type: 'Missed', count } })
    }
    const event = this.#events.shift()
    if (event !== undefined) return Promise.resolve({ done: false, value: event })
    if (this.#ended) return Promise.resolve({ done: true, value: undefined })
    return new Promise((resolve) => this.#waiting.push(resolve))
  }

  /** What was queued can still be read. */
  end(): void {
    if (this.#ended) return
    this.#ended = true
    this.#onEnd(this)
    for (const waiting of this.#waiting.splice(0)) waiting({ done: true, value: undefined })
  }

  return(): Promise<IteratorResult<T | Missed, undefined>> {
    this.end()
    this.#events = []
    this.#missed = 0
    return Promise.resolve({ done: true, value: undefined })
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.return()
  }
}

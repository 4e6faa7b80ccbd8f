/**
 * Hands values from whoever pushes to whoever waits, in order. It is not bounded by itself: its owner pushes only what
 * a window or a named limit allows, and `onTake` tells when room came back.
 */
export class AsyncQueue<T> {
  #values: (T | undefined)[] = []
  #first = 0
  #waiting: ((value: T | null) => void)[] = []
  #ended = false
  readonly #onTake: ((value: T) => void) | undefined

  constructor(onTake?: (value: T) => void) {
    this.#onTake = onTake
  }

  /** Values that nobody has taken yet. */
  get size(): number {
    return this.#values.length - this.#first
  }

  get ended(): boolean {
    return this.#ended
  }

  /** Returns false, and drops the value, once the queue has ended. */
  push(value: T): boolean {
    if (this.#ended) return false
    const waiting = this.#waiting.shift()
    if (waiting === undefined) {
      this.#values.push(value)
    } else {
      this.#onTake?.(value)
      waiting(value)
    }
    return true
  }

  /** The next value; null once the queue has ended and is empty. */
  take(): Promise<T | null> {
    if (this.size > 0) {
      const value = this.#values[this.#first] as T
      this.#values[this.#first++] = undefined
      if (this.#first === this.#values.length) {
        this.#values = []
        this.#first = 0
      } else if (this.#first >= 1024 && this.#first * 2 >= this.#values.length) {
        this.#values = this.#values.slice(this.#first)
        this.#first = 0
      }
      this.#onTake?.(value)
      return Promise.resolve(value)
    }
    if (this.#ended) return Promise.resolve(null)
    return new Promise((resolve) => this.#waiting.push(resolve))
  }

  /** No more values will come; what is queued can still be taken, unless `discard`. Idempotent. */
  end(options: { discard?: boolean } = {}): void {
    this.#ended = true
    if (options.discard === true) {
      this.#values = []
      this.#first = 0
    }
    for (const waiting of this.#waiting.splice(0)) waiting(null)
  }
}

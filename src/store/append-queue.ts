import { APPEND_BURST_MS } from '../base/limits.ts'

interface Waiting<Item, Result> {
  items: Item[]
  resolve(results: Result[]): void
  reject(error: unknown): void
}

/**
 * Group commit: calls that arrive before control returns to the event loop share one transaction and one signature. A
 * caller that appends in an endless loop of awaits still lets timers and sockets have their turn every few milliseconds.
 */
export class AppendQueue<Item, Result> {
  #waiting: Waiting<Item, Result>[] = []
  #scheduled = false
  #burstSince: number | null = null
  #gate: (() => Promise<void> | null) | null = null
  readonly #commit: (items: Item[]) => Result[]
  readonly #now: () => number

  constructor(commit: (items: Item[]) => Result[], now: () => number) {
    this.#commit = commit
    this.#now = now
  }

  /** Resolves when the items are durable. */
  add(items: Item[]): Promise<Result[]> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ items, resolve, reject })
      this.#schedule()
    })
  }

  /** What comes next asks first whether it may be committed, or what it has to wait for; all after it wait with it. */
  gate(enter: () => Promise<void> | null): void {
    this.#gate = enter
  }

  #schedule(): void {
    if (this.#scheduled) return
    this.#scheduled = true
    const wait = this.#gate?.() ?? null
    this.#gate = null
    if (wait !== null) {
      void wait.then(() => this.flush())
      return
    }
    if (this.#burstSince === null) {
      this.#burstSince = this.#now()
      setImmediate(() => (this.#burstSince = null))
    }
    if (this.#now() - this.#burstSince > APPEND_BURST_MS) setImmediate(() => this.flush())
    else queueMicrotask(() => this.flush())
  }

  /** Commits what waits, at once. */
  flush(): void {
    this.#scheduled = false
    const waiting = this.#waiting.splice(0)
    if (waiting.length === 0) return
    const only = waiting.length === 1 ? (waiting[0] as Waiting<Item, Result>) : null
    try {
      const results = this.#commit(only === null ? waiting.flatMap(({ items }) => items) : only.items)
      let from = 0
      for (const { items, resolve } of waiting) {
        resolve(only === null ? results.slice(from, from + items.length) : results)
        from += items.length
      }
    } catch (error) {
      for (const { reject } of waiting) reject(error)
    }
  }
}

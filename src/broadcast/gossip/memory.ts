import { MAX_REMEMBERED_LOGS, MEMORY_MS } from './limits.ts'

/** Logs of which something is remembered for a while. */
export class Memory {
  /** Until when, the oldest first. */
  readonly #until = new Map<string, number>()

  has(author: string, now: number): boolean {
    const until = this.#until.get(author)
    if (until === undefined) return false
    if (until > now) return true
    this.#until.delete(author)
    return false
  }

  delete(author: string): void {
    this.#until.delete(author)
  }

  add(author: string, now: number): void {
    this.#until.delete(author)
    this.#until.set(author, now + MEMORY_MS)
    if (this.#until.size > MAX_REMEMBERED_LOGS) this.#until.delete(this.#until.keys().next().value as string)
  }
}

import { MAX_SEPARATE_LOGS, SEPARATE_MS } from './limits.ts'

/** Logs whose pieces are kept apart by sender, because once they did not fit each other. */
export class Separations {
  /** Until when, the oldest first. */
  readonly #until = new Map<string, number>()

  has(author: string, now: number): boolean {
    const until = this.#until.get(author)
    if (until === undefined) return false
    if (until > now) return true
    this.#until.delete(author)
    return false
  }

  add(author: string, now: number): void {
    this.#until.delete(author)
    this.#until.set(author, now + SEPARATE_MS)
    if (this.#until.size > MAX_SEPARATE_LOGS) this.#until.delete(this.#until.keys().next().value as string)
  }
}

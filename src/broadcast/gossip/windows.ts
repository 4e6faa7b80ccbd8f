import { MAX_IDLE_ROUNDS, MAX_OPEN_WINDOWS } from './limits.ts'
import type { Place, Span } from './place.ts'
import { comparePlaces, copiedSpan, isInside, spanKey } from './place.ts'

export interface Window {
  readonly span: Span
  /** Rounds since anything of it came. */
  idle: number
}

/** Spans of time in which a peer and we differ, and that are being worked on. */
export class Windows {
  readonly #open = new Map<string, Window>()

  get size(): number {
    return this.#open.size
  }

  open(span: Span): void {
    const key = spanKey(span)
    if (this.#open.has(key) || (this.#open.size >= MAX_OPEN_WINDOWS && !this.#giveUpOne())) return
    this.#open.set(key, { span: copiedSpan(span), idle: 0 })
  }

  /** Makes room: the one that has brought nothing for the longest gives way. */
  #giveUpOne(): boolean {
    let [worst, idle] = ['', 0]
    for (const [key, window] of this.#open) if (window.idle > idle) [worst, idle] = [key, window.idle]
    return this.#open.delete(worst)
  }

  close(span: Span): void {
    this.#open.delete(spanKey(span))
  }

  clear(): void {
    this.#open.clear()
  }

  /** Something of these places has come that was of use. */
  progressed(places: readonly Place[]): void {
    for (const window of this.#open.values()) {
      if (window.idle > 0 && places.some((place) => isInside(window.span, place))) window.idle = 0
    }
  }

  /**
   * Those to ask for in the next round: first those that have brought something, and the earliest, which other events wait
   * for. What has all come but can't be stored yet keeps nobody waiting. Those that have brought nothing for long are given up.
   */
  next(limit: number): Span[] {
    const due = [...this.#open]
      .sort(([, a], [, b]) => a.idle - b.idle || comparePlaces(a.span.from, b.span.from))
      .slice(0, limit)
    for (const [key, window] of due) if (++window.idle > MAX_IDLE_ROUNDS) this.#open.delete(key)
    return due.map(([, { span }]) => span)
  }
}

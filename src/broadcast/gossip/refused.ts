import type { HeldPieces } from './held-pieces.ts'
import { EVERYBODY } from './held-pieces.ts'
import { MAX_REFUSED } from './limits.ts'

/** Pieces that can't be stored now, and until when they count as held. */
export class Refused {
  readonly #held: HeldPieces
  /** The oldest first. */
  readonly #until = new Map<string, { time: number; id: Buffer; until: number; log: string | null }>()

  constructor(held: HeldPieces) {
    this.#held = held
  }

  get size(): number {
    return this.#until.size
  }

  has(id: Buffer): boolean {
    return this.#until.has(id.toString('latin1'))
  }

  /** @param log whose author; if given, `release` lets it be sent again. */
  add(time: number, id: Buffer, until: number, log: string | null = null): void {
    const key = id.toString('latin1')
    this.#forget(key)
    this.#until.set(key, { time, id, until, log })
    this.#held.add(time, id, EVERYBODY, null)
    if (this.#until.size > MAX_REFUSED) this.#forget(this.#until.keys().next().value as string)
  }

  /** Lets those be sent again whose time is over. */
  wake(now: number): void {
    for (const [key, { until }] of this.#until) if (until <= now) this.#forget(key)
  }

  /** What was missing before pieces of the log is coming. */
  release(log: string): void {
    for (const [key, one] of this.#until) if (one.log === log) this.#forget(key)
  }

  #forget(key: string): void {
    const known = this.#until.get(key)
    if (known === undefined) return
    this.#until.delete(key)
    this.#held.remove(known.time, known.id, EVERYBODY)
  }
}

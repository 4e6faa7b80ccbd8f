import type { HeldPieces } from './held-pieces.ts'
import { MAX_REFUSED } from './limits.ts'

interface Refusal {
  time: number
  id: Buffer
  /** Who has sent it: to them, it counts as held. */
  senders: Set<string>
  until: number
  log: string | null
}

/** Pieces that can't be stored now, and until when they count as held. */
export class Refused {
  readonly #held: HeldPieces
  /** The oldest first. */
  readonly #pieces = new Map<string, Refusal>()

  constructor(held: HeldPieces) {
    this.#held = held
  }

  get size(): number {
    return this.#pieces.size
  }

  has(id: Buffer): boolean {
    return this.#pieces.has(id.toString('latin1'))
  }

  /** @param log whose author; if given, `release` lets it be sent again. */
  add(time: number, id: Buffer, sender: string, until: number, log: string | null = null): void {
    const key = id.toString('latin1')
    this.#forget(key)
    this.#pieces.set(key, { time, id, senders: new Set([sender]), until, log })
    this.#held.add(time, id, sender, false, null)
    if (this.#pieces.size > MAX_REFUSED) this.#forget(this.#pieces.keys().next().value as string)
  }

  /** Somebody has sent it once more. */
  again(id: Buffer, sender: string): void {
    const known = this.#pieces.get(id.toString('latin1'))
    if (known === undefined || known.senders.has(sender)) return
    known.senders.add(sender)
    this.#held.add(known.time, known.id, sender, false, null)
  }

  /** Lets those be sent again whose time is over. */
  wake(now: number): void {
    for (const [key, { until }] of this.#pieces) if (until <= now) this.#forget(key)
  }

  /** What was missing before pieces of the log is coming. */
  release(log: string): void {
    for (const [key, one] of this.#pieces) if (one.log === log) this.#forget(key)
  }

  #forget(key: string): void {
    const known = this.#pieces.get(key)
    if (known === undefined) return
    this.#pieces.delete(key)
    for (const sender of known.senders) this.#held.remove(known.time, known.id, sender)
  }
}

import { REPLAY_WINDOW_DATAGRAMS } from './limits.ts'

/** Which counters of a sender have been seen: each is taken once, and none that is too old to tell. */
export class ReplayWindow {
  #highest = -1
  readonly #seen = new Uint32Array(REPLAY_WINDOW_DATAGRAMS / 32)

  /** All up to this one count as seen. */
  begin(counter: number): void {
    this.#highest = counter
    this.#seen.fill(0xffffffff)
  }

  /** True if the counter has been seen or is too old. */
  has(counter: number): boolean {
    if (counter > this.#highest) return false
    return counter <= this.#highest - REPLAY_WINDOW_DATAGRAMS || this.#bit(counter)
  }

  /** False if it had it. */
  add(counter: number): boolean {
    if (this.has(counter)) return false
    const from = Math.max(this.#highest + 1, counter - REPLAY_WINDOW_DATAGRAMS + 1)
    for (let skipped = from; skipped <= counter; skipped++) this.#set(skipped, false)
    this.#highest = Math.max(this.#highest, counter)
    this.#set(counter, true)
    return true
  }

  #bit(counter: number): boolean {
    const place = counter % REPLAY_WINDOW_DATAGRAMS
    return ((this.#seen[place >>> 5] as number) & (1 << (place & 31))) !== 0
  }

  #set(counter: number, seen: boolean): void {
    const place = counter % REPLAY_WINDOW_DATAGRAMS
    const word = this.#seen[place >>> 5] as number
    this.#seen[place >>> 5] = seen ? word | (1 << (place & 31)) : word & ~(1 << (place & 31))
  }
}

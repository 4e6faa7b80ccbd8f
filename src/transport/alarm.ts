/**
 * One timer for whoever knows when to look again. It may go off too early: who is woken looks what is due, and sets it anew.
 * So one that is pushed back all the time, as by traffic, is left as it is, which costs nothing.
 */
export class Alarm {
  readonly #now: () => number
  readonly #ring: () => void
  #timer: NodeJS.Timeout | undefined
  #at = Infinity

  /** @param now the clock that times are told by, in milliseconds. */
  constructor(now: () => number, ring: () => void) {
    this.#now = now
    this.#ring = ring
  }

  /** Goes off at that time, once, and not at any that was set before; infinity: not at all. */
  set(at: number): void {
    const isLater = at > this.#at && at !== Infinity
    if (at === this.#at || (isLater && this.#timer !== undefined)) return
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#at = at
    if (at === Infinity) return
    this.#timer = setTimeout(
      () => {
        this.#timer = undefined
        this.#at = Infinity
        this.#ring()
      },
      Math.max(1, at - this.#now()),
    )
  }
}

import { Backoff } from '../base/backoff.ts'
import type { Time, Timer } from './scheduler.ts'

interface Dial {
  backoff: Backoff
  isBusy: boolean
  timer: Timer | null
}

/** Keeps a process in touch with the devices that it knows: dials, and dials again after a while. */
export class Dialer {
  readonly #time: Time
  readonly #random: () => number
  readonly #dial: (peer: number) => void
  readonly #dials = new Map<number, Dial>()

  constructor(time: Time, random: () => number, dial: (peer: number) => void) {
    this.#time = time
    this.#random = random
    this.#dial = dial
  }

  /** From now on it is these that are dialled. */
  want(peers: readonly number[]): void {
    for (const [peer, { timer }] of this.#dials) {
      if (peers.includes(peer)) continue
      timer?.cancel()
      this.#dials.delete(peer)
    }
    for (const peer of peers) {
      if (this.#dials.has(peer)) continue
      const dial: Dial = { backoff: new Backoff({ random: this.#random }), isBusy: false, timer: null }
      this.#dials.set(peer, dial)
      this.#schedule(peer, dial, Math.floor(this.#random() * 100))
    }
  }

  /** The network has changed: what waits is tried now. */
  hurry(): void {
    for (const [peer, dial] of this.#dials) {
      if (dial.isBusy) continue
      dial.backoff.reset()
      dial.timer?.cancel()
      this.#schedule(peer, dial, 0)
    }
  }

  succeeded(peer: number): void {
    this.#dials.get(peer)?.backoff.reset()
  }

  /** What we had dialled is over. */
  ended(peer: number): void {
    const dial = this.#dials.get(peer)
    if (dial === undefined) return
    dial.isBusy = false
    this.#schedule(peer, dial, dial.backoff.next())
  }

  #schedule(peer: number, dial: Dial, ms: number): void {
    dial.timer = this.#time.in(ms, () => {
      dial.timer = null
      if (this.#dials.get(peer) !== dial || dial.isBusy) return
      dial.isBusy = true
      this.#dial(peer)
    })
  }
}

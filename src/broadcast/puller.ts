import { MAX_PULLS, STALL_TIMEOUT_MS } from '../base/limits.ts'
import type { RangeRequest, Want } from './messages.ts'
import type { Claims, Replica } from './replica.ts'

interface Pull {
  readonly author: Buffer
  /** Length that the peer has announced. */
  target: number
  want: Want
  /** Milliseconds before which it is not asked for. */
  notBefore: number
  /** When it was asked for, or last brought something. */
  progressAt: number
}

/**
 * What one peer has and we lack, and what of it we are asking for. Each log is in one of four places: waiting for its
 * turn, active, blocked because another peer is sending it, or delayed.
 */
export class Puller {
  readonly #replica: Replica
  readonly #claims: Claims
  readonly #waiting = new Map<string, Pull>()
  readonly #active = new Map<string, Pull>()
  readonly #blocked = new Map<string, Pull>()
  readonly #delayed = new Map<string, Pull>()

  constructor(replica: Replica, claims: Claims) {
    this.#replica = replica
    this.#claims = claims
  }

  get idle(): boolean {
    return this.#waiting.size + this.#active.size + this.#blocked.size + this.#delayed.size === 0
  }

  /** Events that the peer has announced and that are not here yet. */
  get remaining(): number {
    let events = 0
    for (const place of [this.#waiting, this.#active, this.#blocked, this.#delayed]) {
      for (const [hex, pull] of place) events += Math.max(0, pull.target - this.#length(hex))
    }
    return events
  }

  isActive(hex: string): boolean {
    return this.#active.has(hex)
  }

  /** True if runs of this log may come with peaks: we asked for them. */
  expectsPeaks(hex: string): boolean {
    return this.#active.get(hex)?.want === 'peaks'
  }

  /** Notes that the peer has the log up to `target`. */
  want(author: Buffer, hex: string, target: number, want: Want, notBefore: number): void {
    const known = this.#find(hex)
    if (known === undefined) {
      const pull = { author: Buffer.from(author), target, want, notBefore, progressAt: 0 }
      ;(notBefore > 0 ? this.#delayed : this.#waiting).set(hex, pull)
      return
    }
    known.target = Math.max(known.target, target)
    if (this.#delayed.has(hex) && notBefore < known.notBefore) this.#move(hex, known, notBefore)
  }

  /** Takes from the waiting as many as may be asked for now. */
  requests(now: number): RangeRequest[] {
    const ranges: RangeRequest[] = []
    for (const [hex, pull] of this.#waiting) {
      if (this.#active.size >= MAX_PULLS) break
      this.#waiting.delete(hex)
      const from = this.#length(hex)
      if (pull.want === 'events' && from >= pull.target) continue
      const held = this.#replica.heldUntil(hex)
      if (held !== null && held > now) {
        this.#move(hex, pull, held)
      } else if (this.#claims.claim(hex)) {
        pull.progressAt = now
        this.#active.set(hex, pull)
        ranges.push({ author: pull.author, from, want: pull.want })
      } else {
        this.#blocked.set(hex, pull)
      }
    }
    return ranges
  }

  /** The log has grown, from whomever. */
  grown(hex: string, now: number): void {
    const pull = this.#find(hex)
    if (pull === undefined) return
    pull.progressAt = now
    this.settle(hex)
  }

  /** Drops the log if nothing of it is missing. */
  settle(hex: string): void {
    const pull = this.#find(hex)
    if (pull !== undefined && pull.want !== 'proof' && this.#length(hex) >= pull.target) this.drop(hex)
  }

  /** Asks again from what we hold now, with the peaks before it. Null if that had been asked already. */
  retryWithPeaks(hex: string, now: number): RangeRequest | null {
    const pull = this.#active.get(hex)
    if (pull === undefined || pull.want === 'peaks') return null
    pull.want = 'peaks'
    pull.progressAt = now
    return { author: pull.author, from: this.#length(hex), want: 'peaks' }
  }

  /** Not now, but at a given time. */
  delay(hex: string, until: number): void {
    const pull = this.#find(hex)
    if (pull !== undefined) this.#move(hex, pull, until)
  }

  drop(hex: string): void {
    this.#leave(hex)
    this.#waiting.delete(hex)
    this.#blocked.delete(hex)
    this.#delayed.delete(hex)
  }

  /** Another peer has finished or failed: what it blocked may be asked for again. */
  unblock(): void {
    for (const [hex, pull] of this.#blocked) this.#waiting.set(hex, pull)
    this.#blocked.clear()
  }

  /** Moves what is due to the waiting. Returns true if something was. */
  wake(now: number): boolean {
    let woken = false
    for (const [hex, pull] of this.#delayed) {
      if (pull.notBefore > now) continue
      this.#delayed.delete(hex)
      pull.notBefore = 0
      this.#waiting.set(hex, pull)
      woken = true
    }
    return woken
  }

  /** True if the peer owes us events and has sent none for too long. */
  stalled(now: number): boolean {
    for (const pull of this.#active.values()) if (now - pull.progressAt > STALL_TIMEOUT_MS) return true
    return false
  }

  /** When to call `wake` or `stalled` next; infinity for never. */
  get wakeAt(): number {
    let at = Infinity
    for (const pull of this.#delayed.values()) at = Math.min(at, pull.notBefore)
    for (const pull of this.#active.values()) at = Math.min(at, pull.progressAt + STALL_TIMEOUT_MS + 1)
    return at
  }

  close(): void {
    for (const hex of this.#active.keys()) this.#claims.release(hex)
    for (const place of [this.#waiting, this.#active, this.#blocked, this.#delayed]) place.clear()
  }

  #length(hex: string): number {
    return this.#replica.log(hex)?.mmr.length ?? 0
  }

  #find(hex: string): Pull | undefined {
    return this.#active.get(hex) ?? this.#waiting.get(hex) ?? this.#blocked.get(hex) ?? this.#delayed.get(hex)
  }

  #move(hex: string, pull: Pull, notBefore: number): void {
    this.drop(hex)
    pull.notBefore = notBefore
    ;(notBefore > 0 ? this.#delayed : this.#waiting).set(hex, pull)
  }

  #leave(hex: string): void {
    if (this.#active.delete(hex)) this.#claims.release(hex)
  }
}

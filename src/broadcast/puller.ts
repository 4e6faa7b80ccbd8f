import { MAX_PULLS, MAX_RANGES_PER_REQUEST, MAX_WANTED_LOGS, STALL_TIMEOUT_MS } from '../base/limits.ts'
import type { Run } from '../event/run.ts'
import type { RangeRequest, Want } from './messages.ts'
import type { RemoteFrontier } from './remote-frontier.ts'
import type { Claims, Replica } from './replica.ts'

interface Pull {
  /** Length that the peer has announced. */
  target: number
  want: Want
  /** Milliseconds before which it is not asked for. */
  notBefore: number
  /** It waits for another peer to push the events. */
  lazy: boolean
  /** The peer has announced events that nobody pushed. */
  unpushed: boolean
  /** Our length when it was last asked for. */
  askedFrom: number
}

/**
 * What one peer has and we lack, and what of it we are asking for. Each log is in one of three places: waiting for its
 * turn, active, or delayed: held back, expected by a push, or sent by another peer.
 */
export class Puller {
  readonly #replica: Replica
  readonly #remote: RemoteFrontier
  readonly #claims: Claims
  readonly #waiting = new Map<string, Pull>()
  readonly #active = new Map<string, Pull>()
  readonly #delayed = new Map<string, Pull>()
  /** No delayed pull is due before. */
  #delayedUntil = Infinity
  /** What the peer has been asked for and may still send: once, in order. */
  readonly #asked = new Map<string, { next: number; target: number }>()
  /** Runs with peaks that the peer has been asked for. */
  readonly #peaksOwed = new Map<string, number>()
  readonly #urgent: RangeRequest[] = []
  #askedUnpushed = false
  #progressAt = 0

  constructor(replica: Replica, remote: RemoteFrontier, claims: Claims) {
    this.#replica = replica
    this.#remote = remote
    this.#claims = claims
  }

  get idle(): boolean {
    return this.size === 0
  }

  /** Logs that the peer has announced and that we lack, wholly or in part. */
  get size(): number {
    return this.#waiting.size + this.#active.size + this.#delayed.size
  }

  /** Events that the peer has announced and that are not here yet. */
  get remaining(): number {
    let events = 0
    for (const place of [this.#waiting, this.#active, this.#delayed]) {
      for (const [hex, pull] of place) events += Math.max(0, pull.target - this.#length(hex))
    }
    return events
  }

  isWanted(hex: string): boolean {
    return this.#find(hex) !== undefined
  }

  /** True while what follows our end is held back, or is to come by another peer. */
  isDelayed(hex: string): boolean {
    return this.#delayed.get(hex)?.lazy === false
  }

  /** True while the peer has yet to prove that its log is ours. */
  isSuspect(hex: string): boolean {
    return this.#find(hex)?.want === 'peaks'
  }

  /**
   * Notes that the peer has the log up to `target`. False if it has announced too many.
   *
   * @param notBefore of news: milliseconds before which it is not asked for, 0: at once. Null: it is no news.
   */
  want(hex: string, target: number, want: Want, notBefore: number | null = null): boolean {
    const known = this.#find(hex)
    if (known === undefined) {
      const at = notBefore ?? 0
      const pull = { target, want, notBefore: at, lazy: at > 0, unpushed: notBefore === 0, askedFrom: -1 }
      this.#place(hex, pull)
      return this.size <= MAX_WANTED_LOGS
    }
    known.target = Math.max(known.target, target)
    const asked = this.#asked.get(hex)
    if (asked !== undefined) asked.target = Math.max(asked.target, target)
    if (want === 'proof' || (want === 'peaks' && known.want === 'events')) {
      this.#move(hex, Object.assign(known, { want, lazy: false }), 0)
    } else if (known.lazy && (notBefore ?? 0) < known.notBefore) {
      this.#move(hex, known, notBefore ?? 0)
    }
    return true
  }

  /** Takes from the waiting as many as may be asked for now. */
  requests(now: number): RangeRequest[] {
    const ranges = this.#urgent.splice(0, MAX_RANGES_PER_REQUEST)
    for (const [hex, pull] of this.#inTurn()) {
      if (this.#active.size >= MAX_PULLS || ranges.length >= MAX_RANGES_PER_REQUEST) break
      this.#waiting.delete(hex)
      const from = this.#length(hex)
      if (pull.want === 'events' && from >= pull.target) continue
      if (!this.#replica.hasRoom && this.#replica.log(hex) === undefined) continue
      const held = pull.want === 'proof' ? null : this.#replica.heldUntil(hex)
      if (held !== null && held > now) {
        this.#move(hex, pull, held)
        continue
      }
      const wait = this.#claims.claim(hex, this, now)
      if (wait > 0) {
        this.#move(hex, pull, now + wait)
      } else {
        if (this.#active.size === 0) this.#progressAt = now
        this.#active.set(hex, pull)
        ranges.push(this.#ask(hex, pull, from))
      }
    }
    return ranges
  }

  /** What waits, our own log first: appends may be waiting for it. */
  *#inTurn(): Generator<[string, Pull]> {
    const { author } = this.#replica
    const own = this.#waiting.get(author)
    if (own !== undefined) yield [author, own]
    for (const entry of this.#waiting) if (entry[0] !== author) yield entry
  }

  #ask(hex: string, pull: Pull, length: number): RangeRequest {
    pull.askedFrom = length
    this.#askedUnpushed ||= pull.unpushed
    pull.unpushed = false
    const { target } = pull
    const author = Buffer.from(hex, 'hex')
    const range: RangeRequest =
      length === 0 && pull.want === 'events'
        ? this.#askBeginning(hex, author, target)
        : { author, from: length, want: pull.want }
    const { from, want } = range
    if (want !== 'proof') this.#asked.set(hex, { next: want === 'since' ? 0 : from, target })
    if (want === 'peaks' || want === 'since') this.#peaksOwed.set(hex, (this.#peaksOwed.get(hex) ?? 0) + 1)
    return range
  }

  /** A log of which nothing is here: whole, or from where we want it to begin, as far as the peer holds that. */
  #askBeginning(hex: string, author: Buffer, target: number): RangeRequest {
    const { beginning } = this.#replica
    if (beginning === null) return { author, from: 0, want: 'events' }
    if ('time' in beginning) return { author, from: beginning.time, want: 'since' }
    const from = Math.max(this.#remote.startOf(hex), target - beginning.last, 0)
    return { author, from, want: from === 0 ? 'events' : 'peaks' }
  }

  /** True, once, after news was asked for that nobody has pushed. */
  takeAskedUnpushed(): boolean {
    const asked = this.#askedUnpushed
    this.#askedUnpushed = false
    return asked
  }

  /** True if the run's peaks were asked for. */
  takePeaks(hex: string): boolean {
    const owed = this.#peaksOwed.get(hex) ?? 0
    if (owed > 1) this.#peaksOwed.set(hex, owed - 1)
    else this.#peaksOwed.delete(hex)
    return owed > 0
  }

  /** Takes note of a run that has come, before it is stored. True if it is part of what was asked for. */
  arrived(hex: string, run: Run): boolean {
    const asked = this.#asked.get(hex)
    if (asked === undefined || (run.peaks === null && run.from < asked.next)) return false
    asked.next = Math.max(asked.next, run.from + run.events.length)
    if (asked.next >= asked.target) this.#asked.delete(hex)
    return true
  }

  /** The peer has sent something that it was asked for, and so many bytes of it were news. */
  progressed(hex: string, bytes: number, now: number): void {
    this.#progressAt = now
    if (bytes > 0) this.#claims.progress(hex, this, bytes, now)
  }

  /** The log has grown, by another peer or by us. */
  grown(hex: string): void {
    const pull = this.#find(hex)
    const length = this.#length(hex)
    if (pull?.want !== 'events' || length < pull.target) return
    const asked = this.#asked.get(hex)
    // What was asked for is here already: the peer need not send it too.
    if (asked !== undefined && asked.next < length && this.#active.has(hex)) {
      this.#urgent.push({ author: Buffer.from(hex, 'hex'), from: length, want: 'events' })
    }
    this.drop(hex)
  }

  /** The peer has answered for the log: its history agrees with ours. Drops it if nothing of it is missing. */
  settle(hex: string): void {
    const pull = this.#find(hex)
    if (pull === undefined || pull.want === 'proof') return
    pull.want = 'events'
    if (this.#length(hex) >= pull.target) this.drop(hex)
  }

  /** The peer's log does not continue ours: asks for its peaks, unless that has been asked from the same place. */
  suspect(hex: string, target: number): boolean {
    const pull = this.#active.get(hex)
    if (pull === undefined) return this.want(hex, target, 'peaks')
    const from = this.#length(hex)
    if (pull.want === 'peaks' && pull.askedFrom === from) return true
    pull.want = 'peaks'
    this.#urgent.push(this.#ask(hex, pull, from))
    return true
  }

  /** Not now, but at a given time. */
  delay(hex: string, until: number): void {
    const pull = this.#find(hex)
    if (pull !== undefined) this.#move(hex, Object.assign(pull, { lazy: false }), until)
  }

  drop(hex: string): void {
    this.#waiting.delete(hex)
    this.#delayed.delete(hex)
    if (this.#active.delete(hex)) this.#claims.release(hex, this)
  }

  /** Another session has let go of these logs. */
  unblock(hexes: Iterable<string>): void {
    for (const hex of hexes) {
      const pull = this.#delayed.get(hex)
      if (pull !== undefined && !pull.lazy) this.#move(hex, pull, 0)
    }
  }

  /** Moves what is due to the waiting. */
  wake(now: number): void {
    if (this.#delayedUntil > now) return
    this.#delayedUntil = Infinity
    for (const [hex, pull] of this.#delayed) {
      if (pull.notBefore > now) {
        this.#delayedUntil = Math.min(this.#delayedUntil, pull.notBefore)
        continue
      }
      pull.unpushed ||= pull.lazy
      pull.lazy = false
      this.#move(hex, pull, 0)
    }
  }

  /** True if the peer owes us events and has sent none of them for too long. */
  stalled(now: number): boolean {
    return this.#active.size > 0 && now - this.#progressAt > STALL_TIMEOUT_MS
  }

  /** When to call `wake` or `stalled` next; infinity for never. */
  get wakeAt(): number {
    const stall = this.#active.size > 0 ? this.#progressAt + STALL_TIMEOUT_MS + 1 : Infinity
    return Math.min(this.#delayedUntil, stall)
  }

  close(): void {
    const active = [...this.#active.keys()]
    for (const place of [this.#waiting, this.#active, this.#delayed, this.#asked, this.#peaksOwed]) place.clear()
    this.#delayedUntil = Infinity
    this.#urgent.length = 0
    for (const hex of active) this.#claims.release(hex, this)
  }

  #length(hex: string): number {
    return this.#replica.log(hex)?.mmr.length ?? 0
  }

  #find(hex: string): Pull | undefined {
    return this.#active.get(hex) ?? this.#waiting.get(hex) ?? this.#delayed.get(hex)
  }

  #move(hex: string, pull: Pull, notBefore: number): void {
    this.drop(hex)
    pull.notBefore = notBefore
    this.#place(hex, pull)
  }

  #place(hex: string, pull: Pull): void {
    if (pull.notBefore === 0) {
      this.#waiting.set(hex, pull)
      return
    }
    this.#delayed.set(hex, pull)
    this.#delayedUntil = Math.min(this.#delayedUntil, pull.notBefore)
  }
}

import {
  PATH_DEAD_MS,
  PATH_LATE_MS,
  PATH_PING_MS,
  PATH_SETTLE_MS,
  PATH_SUSPECT_MS,
  PATH_SUSPECT_ROUND_TRIPS,
} from './limits.ts'

/** One path of a connection: what was heard on it and what is owed. All times are in milliseconds. */
export class PathState {
  readonly id: number
  /** The lower, the better; below 0 if the path goes straight to the peer. */
  readonly rank: number
  /** Whether its transport takes more. */
  writable = true
  /** Whether nothing has been heard for too long while something is owed. */
  suspect = false
  /** When the path may be chosen though another one works: later, if it had been suspect. */
  eligibleAt: number
  owesPong = false
  wantsPing = false
  /** Bytes of repeated frames that the peer may still send on it. */
  repeatable = 0
  #heardAt: number
  /** Silence before this does not count. */
  #forgivenUntil = -Infinity
  /** Since when an acknowledgement, and since when a PONG, is owed to us. */
  #dataSince = Infinity
  #pingSince = Infinity
  #progressAt = -Infinity
  #roundTrip = 0

  constructor(id: number, rank: number, now: number) {
    this.id = id
    this.rank = rank
    this.eligibleAt = this.#heardAt = now
  }

  get isDirect(): boolean {
    return this.rank < 0
  }

  get isPinging(): boolean {
    return this.#pingSince !== Infinity
  }

  heard(now: number): void {
    this.#heardAt = now
    if (!this.suspect) return
    this.suspect = false
    this.eligibleAt = now + PATH_SETTLE_MS
  }

  sentData(now: number): void {
    this.#dataSince = Math.min(this.#dataSince, now)
  }

  /** Something that was sent over this path was acknowledged; `all`: everything was. */
  progress(all: boolean, now: number): void {
    this.#progressAt = now
    this.#dataSince = all ? Infinity : now
  }

  /** It is not the one that we send over any more. */
  left(): void {
    this.#dataSince = Infinity
  }

  sentPing(now: number): void {
    this.#pingSince = now
    this.wantsPing = false
  }

  /** False if none was owed. */
  pong(now: number): boolean {
    if (!this.isPinging) return false
    this.#roundTrip = now - this.#pingSince
    this.#pingSince = Infinity
    return true
  }

  /** What must be done now. */
  check(now: number): 'dead' | 'suspect' | null {
    const silence = now - this.#quietSince
    const unanswered = now - Math.max(this.#pingSince, this.#progressAt)
    if (silence >= PATH_DEAD_MS || (this.isPinging && unanswered >= PATH_DEAD_MS)) return 'dead'
    // Also if data is owed an answer: who is behind with reading acknowledges nothing, but answers.
    if (!this.isPinging && now >= this.#pingAt) this.wantsPing = true
    if (this.suspect || silence < this.#patience) return null
    this.suspect = true
    // So that it is heard again when it works again.
    if (!this.isPinging) this.wantsPing = true
    return 'suspect'
  }

  /** When `check` may say something else. */
  get checkAt(): number {
    const quiet = this.#quietSince
    const silent = quiet + (this.suspect ? PATH_DEAD_MS : this.#patience)
    if (!this.isPinging) return this.wantsPing ? silent : Math.min(silent, this.#pingAt)
    return Math.min(silent, Math.max(this.#pingSince, this.#progressAt) + PATH_DEAD_MS)
  }

  /** We were late ourselves: what the peer has sent may not have been looked at. */
  forgive(now: number): void {
    if (!this.suspect) this.#forgivenUntil = now - this.#patience + PATH_LATE_MS
  }

  /** When to test it, unless it is being tested. */
  get #pingAt(): number {
    return Math.min(this.#heardAt + PATH_PING_MS, this.#quietSince + this.#patience / 2)
  }

  /** Since when a sign of life is owed and none has come; infinity while none is owed. */
  get #quietSince(): number {
    const owedSince = Math.min(this.#dataSince, this.#pingSince)
    return owedSince === Infinity ? Infinity : Math.max(owedSince, this.#heardAt, this.#forgivenUntil)
  }

  get #patience(): number {
    return Math.max(PATH_SUSPECT_MS, PATH_SUSPECT_ROUND_TRIPS * this.#roundTrip)
  }
}

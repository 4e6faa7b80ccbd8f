import { assert } from '../../base/errors.ts'
import { MAX_MESSAGE_BYTES } from '../../base/limits.ts'
import type { Frame } from './frames.ts'
import { ACK, CLOSE, DATA, encodeBare, encodeReceived, PART, PING, PONG, USE } from './frames.ts'
import {
  CONTROL_BURST,
  CONTROL_PER_SECOND,
  PATH_GRACE_MS,
  PATH_LATE_MS,
  PATH_QUEUE_BYTES,
  PATH_SETTLE_MS,
  PATHS_WINDOW_BYTES,
  REFRESH_MS,
} from './limits.ts'
import { PathState } from './path-state.ts'
import { ReceiveBuffer } from './receive-buffer.ts'
import { SendBuffer } from './send-buffer.ts'

/** What a connection wants done. */
export type CoreOutput =
  | { type: 'send'; path: number; bytes: Buffer }
  | { type: 'message'; message: Buffer }
  /** The path is not to be used any more. */
  | { type: 'drop'; path: number; reason: string }
  /** Messages go over another path now. */
  | { type: 'current'; path: number }
  /** No path works: others should be looked for. */
  | { type: 'search' }
  /** The last output. `lost`: without a word of the peer's. */
  | { type: 'end'; reason: string; lost: boolean }

const USE_FRAME = encodeBare(USE)
const PING_FRAME = encodeBare(PING)
const PONG_FRAME = encodeBare(PONG)
/** What an honest peer can send again after it has changed its path. */
const MAX_REPEATED_BYTES = PATHS_WINDOW_BYTES + MAX_MESSAGE_BYTES

/**
 * One logical connection over any number of paths, without IO: frames and time go in, what is to be done is polled one by
 * one. Nothing is lost, repeated or reordered as long as one path comes within the grace. Times are in milliseconds of any
 * steady clock.
 */
export class ConnectionCore {
  readonly #isLeader: boolean
  readonly #send = new SendBuffer()
  readonly #receive = new ReceiveBuffer()
  /** In the order in which they came. */
  readonly #paths = new Map<number, PathState>()
  readonly #outputs: CoreOutput[] = []
  #state: 'open' | 'closing' | 'ended' = 'open'
  /** The path that we send over, and since when. */
  #current: PathState | null = null
  #currentSince = 0
  #owesUse = false
  /** Whether we wait for acknowledgements before going on over a better path. */
  #isMoving = false
  /** The path that the peer sends over, as it says, and since when. */
  #theirs: PathState | null = null
  #theirsSince = 0
  #directLost = false
  #lostAt = Infinity
  #searchAt = -Infinity
  #tokens: number = CONTROL_BURST
  #tokensAt: number

  constructor(isLeader: boolean, now: number) {
    this.#isLeader = isLeader
    this.#tokensAt = now
    this.#lostAt = now
  }

  get ended(): boolean {
    return this.#state === 'ended'
  }

  /** Whether it has been closed from this side, or has ended. */
  get closing(): boolean {
    return this.#state !== 'open'
  }

  /** Whether one more message may be put in. */
  get hasRoom(): boolean {
    return this.#state === 'open' && this.#send.hasRoom && this.#send.unsentBytes < PATH_QUEUE_BYTES
  }

  /** How many frames were taken over, for ATTACH and ATTACHED. */
  get takenOver(): number {
    return this.#receive.takenOver
  }

  /** Bytes that are kept until they are acknowledged, and received ones that nobody has read. */
  get held(): { unacknowledged: number; unread: number } {
    return { unacknowledged: this.#send.bytes, unread: this.#receive.unread }
  }

  /** Whether a direct path has failed since there was one last. */
  get directLost(): boolean {
    return this.#directLost
  }

  /** Whether anything works, as far as we know. */
  get isSuspect(): boolean {
    return this.#current?.suspect !== false
  }

  get pathCount(): number {
    return this.#paths.size
  }

  /** The path that can best be done without: the oldest of the worst that are not in use; null if there is none. */
  get dispensable(): number | null {
    let worst: PathState | null = null
    for (const path of this.#paths.values()) {
      if (path !== this.#current && (worst === null || path.rank > worst.rank)) worst = path
    }
    return worst?.id ?? null
  }

  // ---- in ---------------------------------------------------------------------------------------------------------

  /**
   * One more path. `received`: what the peer says it has taken over.
   * @param rank the lower, the better; below 0 for a path that goes straight to the peer.
   * @returns what the peer did wrong, or null.
   */
  attach(id: number, rank: number, received: number, now: number): string | null {
    if (this.#state === 'ended') return null
    if (this.#acknowledge(received, now) === null) return 'an acknowledgement of what was never sent'
    const path = new PathState(id, rank, now)
    if (path.isDirect) this.#directLost = false
    this.#paths.set(id, path)
    this.#lostAt = Infinity
    if (this.#current !== null) this.#current.wantsPing = true
    this.#choose(now)
    return null
  }

  /** The path is gone. `lost`: not because either side wanted it. */
  detach(id: number, lost: boolean, now: number): void {
    const path = this.#paths.get(id)
    if (path === undefined || this.#state === 'ended') return
    this.#paths.delete(id)
    if (path.isDirect && lost) this.#directLost = true
    if (path === this.#theirs) {
      this.#theirs = null
      // What was acknowledged over it may not have arrived.
      this.#receive.tellAgain(now)
    }
    if (path === this.#current) this.#current = null
    this.#choose(now)
    if (this.#current !== null) return
    this.#lostAt = now
    if (this.#state === 'closing') this.#end('', false)
    else this.#search(now)
  }

  /** A frame that came on an attached path. Returns what the peer did wrong, or null. */
  receive(id: number, frame: Frame, now: number): string | null {
    const path = this.#paths.get(id)
    if (path === undefined || this.#state === 'ended') return null
    path.heard(now)
    switch (frame.type) {
      case DATA:
      case PART:
      case CLOSE:
        return this.#onNumbered(path, frame, now)
      case ACK:
        return this.#onAck(frame.received, now)
      case USE:
        if (path !== this.#theirs) this.#theirsSince = now
        this.#theirs = path
        path.repeatable = MAX_REPEATED_BYTES
        return this.#spend(now)
      case PING:
        path.owesPong = true
        return this.#spend(now)
      case PONG:
        return path.pong(now) ? null : 'an answer to no question'
      default:
        return 'a frame out of turn'
    }
  }

  setWritable(id: number, writable: boolean): void {
    const path = this.#paths.get(id)
    if (path !== undefined) path.writable = writable
  }

  /** Sends a message, for which there must be room. */
  send(message: Uint8Array): void {
    this.#send.push(message)
  }

  /** Ends the connection once the peer has taken over what was sent before; at once when there is no path. */
  close(reason: string, now: number): void {
    if (this.#state !== 'open') return
    this.#state = 'closing'
    this.#send.close(reason)
    this.#receive.discard(now)
    if (this.#current === null) this.#end(reason, false)
  }

  /** Ends the connection at once, whatever is on its way. */
  abort(reason: string): void {
    if (this.#state !== 'ended') this.#end(reason, true)
  }

  /** The reader has taken a message. */
  read(message: Uint8Array, now: number): void {
    this.#receive.read(message, now)
  }

  /** The network may have changed: looks whether the paths still work. */
  probe(): void {
    for (const path of this.#paths.values()) path.wantsPing = true
  }

  /** Time has passed. */
  wake(now: number): void {
    if (this.#state === 'ended') return
    const late = now - this.wakeAt > PATH_LATE_MS
    for (const path of this.#paths.values()) {
      if (late) path.forgive(now)
      if (path.check(now) !== 'dead') continue
      this.#outputs.push({ type: 'drop', path: path.id, reason: 'silent' })
      this.detach(path.id, true, now)
      if (this.ended) return
    }
    this.#choose(now)
    this.#dropWorse(now)
    if (this.isSuspect) this.#search(now)
    if (now - this.#lostAt >= PATH_GRACE_MS) this.#end('the peer is lost', true)
  }

  // ---- out --------------------------------------------------------------------------------------------------------

  /** What is to be done next, or null. */
  poll(now: number): CoreOutput | null {
    const queued = this.#outputs.shift()
    if (queued !== undefined || this.#state === 'ended') return queued ?? null
    return this.#nextControl(now) ?? this.#nextNumbered(now)
  }

  /** When `wake` is to be called. */
  get wakeAt(): number {
    if (this.#state === 'ended') return Infinity
    let at = this.#paths.size === 0 ? this.#lostAt + PATH_GRACE_MS : this.#dropAt
    if (this.isSuspect) at = Math.min(at, this.#searchAt + REFRESH_MS)
    for (const path of this.#paths.values()) {
      at = Math.min(at, path.checkAt)
      if (this.#isBetter(path) && !this.#isMoving) at = Math.min(at, path.eligibleAt)
    }
    return this.#ackPath?.writable === true ? Math.min(at, this.#receive.ackAt) : at
  }

  // ---- frames -----------------------------------------------------------------------------------------------------

  #onNumbered(path: PathState, frame: Extract<Frame, { number: number }>, now: number): string | null {
    const accepted = this.#receive.accept(frame, now)
    switch (accepted.type) {
      case 'message':
        if (this.#state === 'open') this.#outputs.push(accepted)
        return null
      case 'part':
        return null
      case 'repeat':
        path.repeatable -= frame.type === CLOSE ? 0 : frame.message.length
        return path.repeatable < 0 ? 'the same again and again' : null
      case 'violation':
        return accepted.detail
      case 'close': {
        const at = this.#ackPath
        if (at !== null) this.#sendTo(at, encodeReceived(ACK, this.#receive.acknowledge()))
        this.#end(accepted.reason, false)
        return null
      }
    }
  }

  #onAck(received: number, now: number): string | null {
    const isNews = this.#acknowledge(received, now)
    if (isNews === null) return 'an acknowledgement of what was never sent'
    if (!isNews) return this.#spend(now)
    if (this.#send.done) this.#end('', false)
    else if (this.#isMoving && !this.#send.inFlight) this.#choose(now)
    return null
  }

  #acknowledge(received: number, now: number): boolean | null {
    const isNews = this.#send.acknowledge(received)
    if (isNews === true) this.#current?.progress(!this.#send.inFlight, now)
    return isNews
  }

  #spend(now: number): string | null {
    this.#tokens = Math.min(CONTROL_BURST, this.#tokens + ((now - this.#tokensAt) / 1000) * CONTROL_PER_SECOND)
    this.#tokensAt = now
    return --this.#tokens < 0 ? 'too many frames of no use' : null
  }

  #nextControl(now: number): CoreOutput | null {
    for (const path of this.#paths.values()) {
      if (!path.writable) continue
      if (path.owesPong) {
        path.owesPong = false
        return { type: 'send', path: path.id, bytes: PONG_FRAME }
      }
      if (path.wantsPing && !path.isPinging) {
        path.sentPing(now)
        return { type: 'send', path: path.id, bytes: PING_FRAME }
      }
    }
    const at = this.#ackPath
    if (at === null || !at.writable || this.#receive.ackAt > now) return null
    const taken = this.#receive.acknowledge()
    return taken === 0 ? null : { type: 'send', path: at.id, bytes: encodeReceived(ACK, taken) }
  }

  #nextNumbered(now: number): CoreOutput | null {
    const path = this.#current
    if (path === null || !path.writable) return null
    if (this.#owesUse) {
      this.#owesUse = false
      return { type: 'send', path: path.id, bytes: USE_FRAME }
    }
    if (this.#isMoving || !this.#send.hasUnsent) return null
    path.sentData(now)
    return { type: 'send', path: path.id, bytes: this.#send.take() }
  }

  /** Where the peer waits for acknowledgements: the way that its messages come. */
  get #ackPath(): PathState | null {
    return this.#theirs ?? this.#current
  }

  #sendTo(path: PathState, bytes: Buffer): void {
    this.#outputs.push({ type: 'send', path: path.id, bytes })
  }

  // ---- paths ------------------------------------------------------------------------------------------------------

  #choose(now: number): void {
    const current = this.#current
    const best = this.#best(now)
    if (best === null || best === current) {
      this.#isMoving = false
      return
    }
    if (current === null || (current.suspect && !best.suspect)) return this.#use(best, now)
    if (current.suspect || !this.#isBetter(best)) return
    if (this.#send.inFlight) this.#isMoving = true
    else this.#use(best, now)
  }

  /** Of those that work, the best; of equals the one in use, or else the newest. */
  #best(now: number): PathState | null {
    let best: PathState | null = null
    for (const path of this.#paths.values()) {
      if (best === null || this.#beats(path, best, now)) best = path
    }
    return best
  }

  #beats(path: PathState, best: PathState, now: number): boolean {
    if (path.suspect !== best.suspect) return best.suspect
    const current = this.#current
    // While the one in use works, others must have proved themselves.
    if (current?.suspect === false && (path === current || best === current)) {
      const other = path === current ? best : path
      if (other.eligibleAt > now) return path === current
    }
    if (path.rank !== best.rank) return path.rank < best.rank
    return best !== current
  }

  #isBetter(path: PathState): boolean {
    return this.#current !== null && !path.suspect && path.rank < this.#current.rank
  }

  #use(path: PathState, now: number): void {
    this.#current?.left()
    this.#current = path
    this.#currentSince = now
    this.#owesUse = true
    this.#isMoving = false
    path.wantsPing = true
    this.#send.rewind()
    this.#outputs.push({ type: 'current', path: path.id })
  }

  /** Once both sides use a path that works, the leader closes those that are no better. */
  #dropWorse(now: number): void {
    const current = this.#current
    if (current === null || this.#dropAt > now) return
    for (const path of this.#paths.values()) {
      if (!this.#isSuperseded(path, current)) continue
      this.#outputs.push({ type: 'drop', path: path.id, reason: 'superseded' })
      this.detach(path.id, false, now)
    }
  }

  /** Whether the path in use is no worse, and has answered since this one came. */
  #isSuperseded(path: PathState, current: PathState): boolean {
    return path !== current && path.rank >= current.rank && !current.wantsPing && !current.isPinging
  }

  get #dropAt(): number {
    const current = this.#current
    if (!this.#isLeader || current === null || current.suspect || this.#theirs !== current) return Infinity
    for (const path of this.#paths.values()) {
      if (this.#isSuperseded(path, current)) return Math.max(this.#currentSince, this.#theirsSince) + PATH_SETTLE_MS
    }
    return Infinity
  }

  #search(now: number): void {
    if (now - this.#searchAt < REFRESH_MS) return
    this.#searchAt = now
    this.#outputs.push({ type: 'search' })
  }

  #end(reason: string, lost: boolean): void {
    assert(this.#state !== 'ended', 'a connection that ends twice')
    this.#state = 'ended'
    this.#outputs.push({ type: 'end', reason, lost })
  }
}

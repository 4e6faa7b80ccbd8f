import type { Duplex } from 'node:stream'
import type { WebSocket } from 'ws'
import { Bucket } from './bucket.ts'
import type { ChannelEnd } from './channel.ts'
import { closeReasonOf, failureReasonOf } from './close-reasons.ts'
import { WINDOW_BYTES } from './frames.ts'
import {
  CONTROL_BACKLOG_BYTES,
  COPY_WAITING_BYTES,
  MAX_CHANNELS_PER_CLIENT,
  MAX_MISSED_PONGS,
  MAX_TIMER_MS,
  REQUESTS_PER_SECOND,
  REQUEST_BURST,
} from './limits.ts'
import type { Member } from './room.ts'
import type { CloseReason, RefusalReason, Tally } from './tally.ts'
import type { Grant } from './tokens.ts'

export interface ClientEvents {
  onFrame(client: Client, bytes: Buffer): void
  /** A request was refused; the client stays. */
  onRefused(client: Client, reason: RefusalReason): void
  /** Called once, as soon as the client is given up, by whichever side. `text` says more than the reason. */
  onGone(client: Client, reason: CloseReason, text: string): void
}

/** What an operator lets a client have. */
export interface ClientLimits {
  maxTopics: number
  /** Pairs of one of its members. */
  maxPeersPerTopic: number
  maxBytesPerSecond: number | undefined
  burstBytes: number
  /** Milliseconds without a frame. */
  idleMs: number | undefined
}

export interface ClientOptions {
  /** `host:port` of the other side, for the log. */
  address: string
  limits: ClientLimits
  /** The part of each round of the heartbeat in which it is pinged: from 0 up to, not including, `PING_TURNS`. */
  turn: number
  /** What the WebSocket writes to. */
  stream: Duplex
  /** Milliseconds that are left for its first valid frame. */
  handshakeMs: number
  /** What its token allows; without one it may everything. */
  grant: Grant | undefined
  tally: Tally
  events: ClientEvents
}

/** One WebSocket and what the relay keeps for it. */
export class Client {
  readonly address: string
  readonly limits: ClientLimits
  /** The part of each round of the heartbeat in which it is pinged. */
  readonly turn: number
  /** By rendezvous. */
  readonly members: Map<string, Member> = new Map()
  /** By channel number. */
  readonly ends: Map<number, ChannelEnd> = new Map()
  /** Cost of the DATA that was forwarded to this client and for which it has returned no CREDIT. */
  expected = 0
  /** Channels that it is about to get. */
  reserved = 0
  readonly #socket: WebSocket
  /** What the WebSocket writes to. */
  readonly #stream: Duplex
  #corked = false
  readonly #events: ClientEvents
  readonly #tally: Tally
  readonly #grant: Grant | undefined
  readonly #requests: Bucket = new Bucket(REQUESTS_PER_SECOND, REQUEST_BURST)
  readonly #bytes: Bucket | undefined
  /** The part of `expected` that belongs to channels already closed, until it has left for the network. */
  #leftover = 0
  #lastChannel = 0
  #resume: NodeJS.Timeout | undefined
  #isHeld = false
  #firstFrame: NodeJS.Timeout | undefined
  #idle: NodeJS.Timeout | undefined
  #expiry: NodeJS.Timeout | undefined
  #heardAt: number = performance.now()
  #unanswered = 0
  #gone = false

  constructor(socket: WebSocket, options: ClientOptions) {
    const { address, limits, turn, stream, grant, tally, events } = options
    this.#socket = socket
    this.#stream = stream
    this.#events = events
    this.#tally = tally
    this.#grant = grant
    this.#bytes =
      limits.maxBytesPerSecond === undefined ? undefined : new Bucket(limits.maxBytesPerSecond, limits.burstBytes)
    this.address = address
    this.limits = limits
    this.turn = turn
    socket.on('message', (data: Buffer, isBinary) => this.#receive(data, isBinary))
    socket.on('ping', () => this.#onPing())
    socket.on('pong', () => (this.#unanswered = 0))
    socket.on('error', (error) => this.#leave(failureReasonOf(error), `socket error: ${error.message}`))
    socket.on('close', (code) => this.#leave(code === 1006 ? 'lost' : 'left', `closed with ${code}`))
    this.#firstFrame = setTimeout(() => this.close(1008, 'never sent a frame', 'slow-handshake'), options.handshakeMs)
    if (limits.idleMs !== undefined) this.#watchIdle(limits.idleMs, limits.idleMs)
    if (grant !== undefined) this.#watchExpiry(grant.expiresAt)
  }

  get gone(): boolean {
    return this.#gone
  }

  get bufferedBytes(): number {
    return this.#socket.bufferedAmount
  }

  /** Whether the relay has stopped reading from it because it was too fast. */
  get paused(): boolean {
    return this.#resume !== undefined || this.#isHeld
  }

  /** Whether its token lets it use the rendezvous. */
  allows(rendezvous: Uint8Array): boolean {
    return this.#grant === undefined || this.#grant.allows(rendezvous)
  }

  /** Notes that a request was refused. */
  refused(reason: RefusalReason): void {
    this.#events.onRefused(this, reason)
  }

  /** Whether it may get one more channel. */
  get hasRoom(): boolean {
    this.#settle()
    return this.ends.size + this.reserved + Math.ceil(this.#leftover / WINDOW_BYTES) < MAX_CHANNELS_PER_CLIENT
  }

  nextChannel(): number {
    return ++this.#lastChannel
  }

  /** Whether the number was given out before, so that frames for it may still be on the way. */
  hadChannel(channel: number): boolean {
    return channel > 0 && channel <= this.#lastChannel
  }

  /** A channel ended while this much of what was forwarded to us had not been credited. */
  abandon(outstanding: number): void {
    this.#leftover += outstanding
    this.#settle()
  }

  /** Sends a frame of another client. Those that came in one network chunk leave in one system call. */
  forward(frame: Buffer): void {
    if (!this.#corked && !this.#gone) {
      this.#corked = true
      this.#stream.cork()
      // After the chunk: ws takes it apart without a turn of the event loop in between.
      process.nextTick(() => {
        this.#corked = false
        this.#stream.uncork()
      })
    }
    this.send(frame)
  }

  send(frame: Buffer): void {
    if (this.#gone) return
    if (this.#isBehind()) {
      // Not now: the switchboard is in the middle of something.
      queueMicrotask(() => this.drop('does not read', 'not-reading'))
      return
    }
    this.#tally.sentFrames++
    this.#tally.sentBytes += frame.length
    const mustCopy = this.#socket.bufferedAmount > 0 && frame.length <= COPY_WAITING_BYTES
    this.#socket.send(mustCopy ? Buffer.from(frame) : frame)
  }

  /** Takes one of the client's requests; beyond its rate the relay stops reading from it for a while. */
  spend(): void {
    this.#requests.take(1)
    this.#throttle()
  }

  /** Stops reading from the client until it is released. */
  hold(): void {
    if (this.#gone) return
    this.#isHeld = true
    this.#socket.pause()
  }

  release(): void {
    this.#isHeld = false
    if (!this.paused) this.#socket.resume()
  }

  /** One round of the heartbeat. */
  beat(): void {
    // What is not read cannot be answered.
    if (this.paused) return
    if (this.#unanswered >= MAX_MISSED_PONGS) return this.drop('no pong', 'no-pong')
    this.#unanswered++
    this.#socket.ping()
  }

  /** Ends the connection with a close code and a text that the client gets to see. */
  close(code: number, text: string, reason: CloseReason = closeReasonOf(code)): void {
    if (this.#gone) return
    this.#socket.close(code, text)
    this.#leave(reason, text)
  }

  /** Ends the connection at once: for clients that would not read a goodbye. */
  drop(text: string, reason: CloseReason): void {
    if (this.#gone) return
    this.#socket.terminate()
    this.#leave(reason, text)
  }

  #receive(data: Buffer, isBinary: boolean): void {
    if (this.#gone) return
    if (!isBinary) return this.close(1003, 'binary messages only')
    this.#tally.receivedFrames++
    this.#tally.receivedBytes += data.length
    this.#heardAt = performance.now()
    this.#events.onFrame(this, data)
    if (this.#gone) return
    if (this.#firstFrame !== undefined) {
      clearTimeout(this.#firstFrame)
      this.#firstFrame = undefined
    }
    if (this.#bytes === undefined) return
    this.#bytes.take(data.length)
    this.#throttle()
  }

  /** ws has answered it. */
  #onPing(): void {
    if (this.#isBehind()) this.drop('does not read', 'not-reading')
    else this.spend()
  }

  #isBehind(): boolean {
    return this.#socket.bufferedAmount > this.expected + CONTROL_BACKLOG_BYTES
  }

  /** Does not read while there is debt. What arrived together is dealt with together, so that it may be large. */
  #throttle(): void {
    if (this.#resume !== undefined || this.#gone) return
    const waitMs = Math.max(this.#requests.debtMs, this.#bytes?.debtMs ?? 0)
    if (waitMs === 0) return
    this.#socket.pause()
    this.#resume = setTimeout(() => {
      this.#resume = undefined
      this.#throttle()
      if (!this.paused) this.#socket.resume()
    }, waitMs)
  }

  #watchIdle(idleMs: number, waitMs: number): void {
    this.#idle = setTimeout(() => {
      const silentMs = this.paused ? 0 : performance.now() - this.#heardAt
      if (silentMs >= idleMs) this.close(4408, 'idle')
      else this.#watchIdle(idleMs, idleMs - silentMs)
    }, waitMs)
  }

  #watchExpiry(expiresAt: number): void {
    const waitMs = expiresAt - Date.now()
    this.#expiry = setTimeout(
      () => {
        if (waitMs > MAX_TIMER_MS) this.#watchExpiry(expiresAt)
        else this.close(4401, 'the token has expired')
      },
      Math.min(Math.max(waitMs, 0), MAX_TIMER_MS),
    )
  }

  #settle(): void {
    if (this.#leftover === 0 || this.#socket.bufferedAmount > 0) return
    this.expected -= this.#leftover
    this.#leftover = 0
  }

  #leave(reason: CloseReason, text: string): void {
    if (this.#gone) return
    this.#gone = true
    for (const timer of [this.#resume, this.#firstFrame, this.#idle, this.#expiry]) clearTimeout(timer)
    this.#resume = undefined
    // A paused socket would never see the end.
    this.#socket.resume()
    this.#events.onGone(this, reason, text)
  }
}

import type { Duplex } from 'node:stream'
import type { WebSocket } from 'ws'
import type { ChannelEnd } from './channel.ts'
import { WINDOW_BYTES } from './frames.ts'
import {
  CONTROL_BACKLOG_BYTES,
  COPY_WAITING_BYTES,
  MAX_CHANNELS_PER_CLIENT,
  MAX_MISSED_PONGS,
  REQUESTS_PER_SECOND,
  REQUEST_BURST,
} from './limits.ts'
import type { Member } from './room.ts'

export interface ClientEvents {
  onFrame(client: Client, bytes: Buffer): void
  /** Called once, as soon as the client is given up, by whichever side. */
  onGone(client: Client, reason: string): void
}

/** One WebSocket and what the relay keeps for it. */
export class Client {
  /** `host:port` of the other side, for the log. */
  readonly address: string
  /** The part of each round of the heartbeat in which it is pinged. */
  readonly turn: number
  /** By rendezvous. */
  readonly members: Map<string, Member> = new Map()
  /** By channel number. */
  readonly ends: Map<number, ChannelEnd> = new Map()
  /** Cost of the DATA that was forwarded to this client and for which it has returned no CREDIT. */
  expected = 0
  readonly #socket: WebSocket
  /** What the WebSocket writes to. */
  readonly #stream: Duplex
  #corked = false
  readonly #events: ClientEvents
  /** The part of `expected` that belongs to channels already closed, until it has left for the network. */
  #leftover = 0
  #lastChannel = 0
  #tokens = REQUEST_BURST
  #tokensAt: number = performance.now()
  #resume: NodeJS.Timeout | undefined
  #unanswered = 0
  #silentRounds = 0
  #heard = false
  #gone = false

  constructor(socket: WebSocket, address: string, events: ClientEvents, turn: number, stream: Duplex) {
    this.#socket = socket
    this.#stream = stream
    this.#events = events
    this.address = address
    this.turn = turn
    socket.on('message', (data: Buffer, isBinary) => this.#receive(data, isBinary))
    socket.on('pong', () => (this.#unanswered = 0))
    socket.on('error', (error) => this.#leave(`socket error: ${error.message}`))
    socket.on('close', (code) => this.#leave(`closed with ${code}`))
  }

  get gone(): boolean {
    return this.#gone
  }

  get bufferedBytes(): number {
    return this.#socket.bufferedAmount
  }

  /** Whether it may get one more channel. */
  get hasRoom(): boolean {
    this.#settle()
    return this.ends.size + Math.ceil(this.#leftover / WINDOW_BYTES) < MAX_CHANNELS_PER_CLIENT
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
    const waiting = this.#socket.bufferedAmount
    if (waiting > this.expected + CONTROL_BACKLOG_BYTES) {
      // Not now: the switchboard is in the middle of something.
      queueMicrotask(() => this.drop('does not read'))
      return
    }
    const mustCopy = waiting > 0 && frame.length <= COPY_WAITING_BYTES
    this.#socket.send(mustCopy ? Buffer.from(frame) : frame)
  }

  /** Takes one of the client's requests; beyond its rate the relay stops reading from it for a while. */
  spend(): void {
    this.#refill()
    this.#tokens--
    if (this.#tokens >= 0 || this.#resume !== undefined || this.#gone) return
    this.#socket.pause()
    this.#resumeLater()
  }

  #refill(): void {
    const now = performance.now()
    this.#tokens = Math.min(REQUEST_BURST, this.#tokens + ((now - this.#tokensAt) / 1000) * REQUESTS_PER_SECOND)
    this.#tokensAt = now
  }

  /** What arrived together is dealt with together, so that the debt may be many requests. */
  #resumeLater(): void {
    this.#resume = setTimeout(
      () => {
        this.#resume = undefined
        this.#refill()
        if (this.#tokens < 0) this.#resumeLater()
        else this.#socket.resume()
      },
      (-this.#tokens / REQUESTS_PER_SECOND) * 1000,
    )
  }

  /** One round of the heartbeat. */
  beat(): void {
    // What is not read cannot be answered.
    if (this.#resume !== undefined) return
    if (this.#unanswered >= MAX_MISSED_PONGS) return this.drop('no pong')
    if (this.#silentRounds >= MAX_MISSED_PONGS) return this.close(1008, 'never sent a frame')
    this.#unanswered++
    if (!this.#heard) this.#silentRounds++
    this.#socket.ping()
  }

  /** Ends the connection with a close code and a reason that the client gets to see. */
  close(code: number, reason: string): void {
    if (this.#gone) return
    this.#socket.close(code, reason)
    this.#leave(reason)
  }

  /** Ends the connection at once: for clients that would not read a goodbye. */
  drop(reason: string): void {
    if (this.#gone) return
    this.#socket.terminate()
    this.#leave(reason)
  }

  #receive(data: Buffer, isBinary: boolean): void {
    if (this.#gone) return
    if (!isBinary) return this.close(1003, 'binary messages only')
    this.#heard = true
    this.#events.onFrame(this, data)
  }

  #settle(): void {
    if (this.#leftover === 0 || this.#socket.bufferedAmount > 0) return
    this.expected -= this.#leftover
    this.#leftover = 0
  }

  #leave(reason: string): void {
    if (this.#gone) return
    this.#gone = true
    clearTimeout(this.#resume)
    // A paused socket would never see the end.
    this.#socket.resume()
    this.#events.onGone(this, reason)
  }
}

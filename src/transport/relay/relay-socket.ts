import type { Socket } from 'node:net'
import { SUBPROTOCOL, MAX_FRAME_BYTES, type RelayFrame, decodeFrame } from 'peerlog-relay/frames'
import { type ClientOptions, WebSocket } from 'ws'
import { within } from '../within.ts'
import type { ChannelLink } from './channel-duplex.ts'
import {
  CHECK_MS,
  CLOSE_FLUSH_MS,
  MAX_MISSED_PINGS,
  QUIET_MS,
  RELAY_OPEN_MS,
  RELAY_PING_MS,
  SOCKET_HIGH_WATER_BYTES,
  SOCKET_LOW_WATER_BYTES,
} from './limits.ts'
import { type NextAttempt, RelayList } from './relay-list.ts'
import { type RelayToken, refusalText, tokenHeaders } from './token.ts'

export interface RelaySocketOptions {
  urls: string[]
  token: RelayToken | undefined
  timeoutMs: number
  random: () => number
  onOpen(): void
  onFrame(frame: RelayFrame): void
  onLost(): void
}

const SUSPENDED = 'the transport is suspended'

/** A WebSocket to the first relay that answers, opened again for ever when it is lost. */
export class RelaySocket implements ChannelLink {
  readonly #options: RelaySocketOptions
  readonly #relays: RelayList
  #wanted = false
  #suspended = false
  #closed = false
  /** What is being tried or used; null while waiting for the next attempt. */
  #attempt: NextAttempt | null = null
  #socket: WebSocket | undefined
  /** What the WebSocket writes to. */
  #stream: Socket | undefined
  #open = false
  #openedAt = 0
  #heardAt = 0
  #retry: NodeJS.Timeout | undefined
  #heart: NodeJS.Timeout | undefined
  #check: NodeJS.Timeout | undefined
  #missedPings = 0
  #failure: string | undefined
  #waiting: (() => void)[] = []

  constructor(options: RelaySocketOptions) {
    this.#options = options
    this.#relays = new RelayList(options.urls, options.random)
  }

  /** The relay that we are connected to, or null. */
  get url(): string | null {
    return this.#open ? (this.#attempt?.url ?? null) : null
  }

  /** Why there is no connection, for people. */
  get failure(): string | undefined {
    return this.#suspended ? SUSPENDED : this.#failure
  }

  get congested(): boolean {
    return this.#open && (this.#socket?.bufferedAmount ?? 0) > SOCKET_HIGH_WATER_BYTES
  }

  onceWritable(callback: () => void): void {
    this.#waiting.push(callback)
  }

  /** Starts connecting, unless that is under way or done. */
  start(): void {
    this.#wanted = true
    if (this.#isIdle && this.#retry === undefined) this.#connectAtOnce()
  }

  /** Does nothing while there is no connection. What is sent in one round of the event loop leaves in one write. */
  send(frame: Buffer): void {
    if (!this.#open) return
    this.#gather()
    this.#socket?.send(frame, this.#onFlushed)
  }

  #gather(): void {
    const stream = this.#stream
    if (stream === undefined || stream.writableCorked > 0) return
    stream.cork()
    setImmediate(() => stream.uncork())
  }

  /** Connects now rather than later; makes sure that a connection which is there still works. */
  refresh(): void {
    if (!this.#wanted) return
    if (this.#isIdle) this.#connectAtOnce()
    else if (this.#open) this.#makeSure()
  }

  /** Closes the socket, and opens none until `resume`. */
  async suspend(): Promise<void> {
    this.#suspended = true
    await this.#hangUp()
  }

  resume(): void {
    if (!this.#suspended) return
    this.#suspended = false
    if (this.#wanted) this.#connectAtOnce()
  }

  /** Hands over what was sent, then releases everything. */
  async close(): Promise<void> {
    this.#closed = true
    await this.#hangUp()
  }

  get #isIdle(): boolean {
    return this.#attempt === null && !this.#closed && !this.#suspended
  }

  async #hangUp(): Promise<void> {
    clearTimeout(this.#retry)
    this.#retry = undefined
    const socket = this.#socket
    // An attempt that still waits for its token finds that it is not wanted any more.
    if (socket === undefined) return void (this.#attempt = null)
    const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()))
    if (this.#open) socket.close(1000)
    else socket.terminate()
    const deadline = setTimeout(() => socket.terminate(), CLOSE_FLUSH_MS)
    await closed
    clearTimeout(deadline)
  }

  // ---- opening --------------------------------------------------------------------------------------------------

  #connectAtOnce(): void {
    clearTimeout(this.#retry)
    this.#retry = undefined
    void this.#connect(this.#relays.atOnce())
  }

  #connectLater(next: NextAttempt): void {
    if (this.#closed || this.#suspended) return
    this.#retry = setTimeout(() => {
      this.#retry = undefined
      void this.#connect(next)
    }, next.delayMs)
  }

  async #connect(attempt: NextAttempt): Promise<void> {
    this.#attempt = attempt
    const headers = await this.#headers()
    if (this.#attempt !== attempt) return
    if (headers !== null) return this.#openSocket(attempt.url, headers)
    this.#attempt = null
    this.#connectLater(this.#relays.afterFailure())
  }

  /** Null if there is no token to be had; `failure` says why. */
  async #headers(): Promise<Record<string, string> | null> {
    const { token } = this.#options
    let headers: Record<string, string> | null = null
    const asked = tokenHeaders(token).then(
      (found) => (headers = found),
      (error: Error) => (this.#failure = error.message),
    )
    if (!(await within(this.#openMs, asked))) this.#failure = 'relayToken did not answer in time'
    return headers
  }

  get #openMs(): number {
    return Math.min(this.#options.timeoutMs, RELAY_OPEN_MS)
  }

  #openSocket(url: string, headers: Record<string, string>): void {
    const options: ClientOptions = {
      perMessageDeflate: false,
      maxPayload: MAX_FRAME_BYTES,
      handshakeTimeout: this.#openMs,
      headers,
    }
    const socket = new WebSocket(url, SUBPROTOCOL, options)
    this.#socket = socket
    let refusal: string | undefined
    const heard = (): void => this.#onSignOfLife()
    socket.on('upgrade', (response) => (this.#stream = response.socket))
    socket.on('open', () => this.#onOpen(socket))
    socket.on('message', (data: Buffer, isBinary) => this.#onMessage(socket, data, isBinary))
    socket.on('ping', heard)
    socket.on('pong', heard)
    socket.on('unexpected-response', (_request, { statusCode }) => {
      refusal = refusalText(statusCode ?? 0, 'Authorization' in headers)
      socket.terminate()
    })
    // It is followed by the close.
    socket.on('error', (error) => (this.#failure = refusal ?? error.message))
    socket.on('close', (code, reason) => this.#onClose(code, reason.toString()))
  }

  #onOpen(socket: WebSocket): void {
    this.#open = true
    this.#openedAt = performance.now()
    this.#failure = undefined
    this.#onSignOfLife()
    this.#heart = setInterval(() => {
      if (this.#missedPings >= MAX_MISSED_PINGS) return this.#giveUp(socket)
      this.#missedPings++
      socket.ping()
    }, RELAY_PING_MS)
    this.#options.onOpen()
  }

  // ---- while it is open -----------------------------------------------------------------------------------------

  #onSignOfLife(): void {
    this.#missedPings = 0
    this.#heardAt = performance.now()
  }

  /** Gives the socket up if it has been silent and an answer does not come soon. */
  #makeSure(): void {
    const socket = this.#socket
    if (socket === undefined || this.#check !== undefined || performance.now() - this.#heardAt < QUIET_MS) return
    const before = this.#heardAt
    socket.ping()
    this.#check = setTimeout(() => {
      // What has arrived while this process was busy is heard first.
      setImmediate(() => {
        this.#check = undefined
        if (this.#heardAt === before && socket === this.#socket) this.#giveUp(socket)
      })
    }, CHECK_MS)
  }

  #giveUp(socket: WebSocket): void {
    this.#failure = 'the relay does not answer'
    socket.terminate()
  }

  #onMessage(socket: WebSocket, data: Buffer, isBinary: boolean): void {
    this.#onSignOfLife()
    const frame = isBinary && socket.readyState === WebSocket.OPEN ? decodeFrame(data) : null
    switch (frame?.kind) {
      case 'joined':
      case 'peer':
      case 'peers':
      case 'refused':
      case 'data':
      case 'credit':
      case 'close':
        return this.#options.onFrame(frame)
      default:
        if (socket.readyState !== WebSocket.OPEN) return
        this.#failure = 'the relay broke its protocol'
        socket.terminate()
    }
  }

  #onClose(code: number, reason: string): void {
    const wasOpen = this.#open
    const url = this.#attempt?.url
    this.#open = false
    this.#socket = undefined
    this.#stream = undefined
    this.#attempt = null
    clearInterval(this.#heart)
    clearTimeout(this.#check)
    this.#check = undefined
    this.#failure ??= reason === '' ? `the relay closed the connection (${code})` : reason
    if (wasOpen) this.#options.onLost()
    for (const callback of this.#waiting.splice(0)) callback()
    const isLoss = wasOpen && url !== undefined
    const openMs = performance.now() - this.#openedAt
    this.#connectLater(isLoss ? this.#relays.afterLoss(url, openMs, code) : this.#relays.afterFailure())
  }

  readonly #onFlushed = (): void => {
    if (this.#waiting.length === 0 || (this.#socket?.bufferedAmount ?? 0) > SOCKET_LOW_WATER_BYTES) return
    for (const callback of this.#waiting.splice(0)) callback()
  }
}

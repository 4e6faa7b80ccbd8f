import { SUBPROTOCOL, MAX_FRAME_BYTES, type RelayFrame, decodeFrame } from 'peerlog-relay/frames'
import { type ClientOptions, WebSocket } from 'ws'
import { Backoff } from '../../base/backoff.ts'
import type { ChannelLink } from './channel-duplex.ts'
import {
  CLOSE_FLUSH_MS,
  HEALTHY_MS,
  MAX_MISSED_PINGS,
  RELAY_OPEN_MS,
  RELAY_PING_MS,
  SOCKET_HIGH_WATER_BYTES,
  SOCKET_LOW_WATER_BYTES,
} from './limits.ts'

export interface RelaySocketOptions {
  urls: string[]
  timeoutMs: number
  random: () => number
  onOpen(): void
  onFrame(frame: RelayFrame): void
  onLost(): void
}

/** A WebSocket to the first relay that answers, opened again for ever when it is lost. */
export class RelaySocket implements ChannelLink {
  readonly #options: RelaySocketOptions
  readonly #backoff: Backoff
  #socket: WebSocket | undefined
  #url = 0
  #open = false
  #openedAt = 0
  #closed = false
  #retry: NodeJS.Timeout | undefined
  #heart: NodeJS.Timeout | undefined
  #missedPings = 0
  #failure: string | undefined
  #waiting: (() => void)[] = []

  constructor(options: RelaySocketOptions) {
    this.#options = options
    this.#backoff = new Backoff({ random: options.random })
  }

  /** The relay that we are connected to, or null. */
  get url(): string | null {
    return this.#open ? (this.#options.urls[this.#url] as string) : null
  }

  /** Why there is no connection, for people. */
  get failure(): string | undefined {
    return this.#failure
  }

  get congested(): boolean {
    return this.#open && (this.#socket?.bufferedAmount ?? 0) > SOCKET_HIGH_WATER_BYTES
  }

  onceWritable(callback: () => void): void {
    this.#waiting.push(callback)
  }

  /** Starts connecting, unless that is under way or done. */
  start(): void {
    if (this.#socket === undefined && this.#retry === undefined && !this.#closed) this.#connect()
  }

  /** Does nothing while there is no connection. */
  send(frame: Buffer): void {
    if (this.#open) this.#socket?.send(frame, this.#onFlushed)
  }

  /** Hands over what was sent, then releases everything. */
  async close(): Promise<void> {
    this.#closed = true
    clearTimeout(this.#retry)
    this.#retry = undefined
    const socket = this.#socket
    if (socket === undefined) return
    const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()))
    if (this.#open) socket.close(1000)
    else socket.terminate()
    const deadline = setTimeout(() => socket.terminate(), CLOSE_FLUSH_MS)
    await closed
    clearTimeout(deadline)
  }

  #connect(): void {
    const options: ClientOptions = {
      perMessageDeflate: false,
      maxPayload: MAX_FRAME_BYTES,
      handshakeTimeout: Math.min(this.#options.timeoutMs, RELAY_OPEN_MS),
    }
    const socket = new WebSocket(this.#options.urls[this.#url] as string, SUBPROTOCOL, options)
    this.#socket = socket
    socket.on('open', () => this.#onOpen(socket))
    socket.on('message', (data: Buffer, isBinary) => this.#onMessage(socket, data, isBinary))
    socket.on('ping', () => (this.#missedPings = 0))
    socket.on('pong', () => (this.#missedPings = 0))
    // It is followed by the close.
    socket.on('error', (error) => (this.#failure = error.message))
    socket.on('close', (code, reason) => this.#onClose(code, reason.toString()))
  }

  #onOpen(socket: WebSocket): void {
    this.#open = true
    this.#openedAt = performance.now()
    this.#failure = undefined
    this.#missedPings = 0
    this.#heart = setInterval(() => {
      if (this.#missedPings >= MAX_MISSED_PINGS) {
        this.#failure = 'the relay does not answer'
        socket.terminate()
        return
      }
      this.#missedPings++
      socket.ping()
    }, RELAY_PING_MS)
    this.#options.onOpen()
  }

  #onMessage(socket: WebSocket, data: Buffer, isBinary: boolean): void {
    this.#missedPings = 0
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
    this.#open = false
    this.#socket = undefined
    clearInterval(this.#heart)
    this.#failure ??= reason === '' ? `the relay closed the connection (${code})` : reason
    if (wasOpen) this.#options.onLost()
    for (const callback of this.#waiting.splice(0)) callback()
    if (!this.#closed) this.#connectLater(wasOpen)
  }

  #connectLater(wasOpen: boolean): void {
    if (wasOpen) {
      // All start from the first again, so that the peers of a topic meet on the same relay.
      this.#url = 0
      if (performance.now() - this.#openedAt >= HEALTHY_MS) this.#backoff.reset()
    } else {
      this.#url = (this.#url + 1) % this.#options.urls.length
    }
    // The next relay of a round is tried at once.
    const delayMs = this.#url === 0 ? this.#backoff.next() : 0
    this.#retry = setTimeout(() => {
      this.#retry = undefined
      this.#connect()
    }, delayMs)
  }

  readonly #onFlushed = (): void => {
    if (this.#waiting.length === 0 || (this.#socket?.bufferedAmount ?? 0) > SOCKET_LOW_WATER_BYTES) return
    for (const callback of this.#waiting.splice(0)) callback()
  }
}

import { AsyncQueue } from '../base/async-queue.ts'
import type { PeerlogError } from '../base/errors.ts'
import { CONNECTION_WINDOW_BYTES, MAX_MESSAGE_BYTES } from '../base/limits.ts'
import { SendQueue } from './send-queue.ts'
import { closedError, refusalOf } from './sendable.ts'
import type { Connection } from './transport.ts'

/** Window bytes that a message costs besides its own, so that a window of tiny messages stays small in memory too. */
export const MESSAGE_COST_BYTES = 64
/** Milliseconds that close() waits for a peer that does not read what was sent before. */
export const CLOSE_FLUSH_MS = 5000
const CREDIT_BATCH_BYTES: number = CONNECTION_WINDOW_BYTES / 4

/** What carries a channel's messages to the other side, in order. */
export interface ChannelLink {
  /** False while the link's own buffers are full; it calls `pump` when they have drained. */
  readonly writable: boolean
  sendData(message: Uint8Array): void
  sendCredit(bytes: number): void
  /** The last that this side sends. */
  sendClose(reason: string): void
}

export interface ChannelIdentity {
  peerId: string
  initiator: boolean
  handshakeHash: Uint8Array
}

const SENT: Promise<void> = Promise.resolve()

/**
 * A connection over a link that several channels may share. Each direction has its own window: a sender may send one
 * whole message whenever it has any credit left, and gets credit back as the application takes messages.
 */
export class Channel implements Connection {
  readonly peerId: string
  readonly initiator: boolean
  readonly handshakeHash: Uint8Array
  readonly #link: ChannelLink
  readonly #received: AsyncQueue<Uint8Array>
  /** What the peer allows us to send. */
  #credit: number = CONNECTION_WINDOW_BYTES
  /** What we allow the peer to send. */
  #granted: number = CONNECTION_WINDOW_BYTES
  #toReturn = 0
  readonly #queue = new SendQueue()
  #state: 'open' | 'closing' | 'closed' = 'open'
  #reason = ''
  #flushTimer: NodeJS.Timeout | null = null
  readonly #closed: Promise<void>
  #resolveClosed: () => void = () => {}

  constructor(identity: ChannelIdentity, link: ChannelLink) {
    this.peerId = identity.peerId
    this.initiator = identity.initiator
    this.handshakeHash = identity.handshakeHash
    this.#link = link
    this.#received = new AsyncQueue((message) => this.#returnCredit(message.length + MESSAGE_COST_BYTES))
    this.#closed = new Promise((resolve) => (this.#resolveClosed = resolve))
  }

  /** The reason given by whichever side closed first; empty while open. */
  get closeReason(): string {
    return this.#reason
  }

  // ---- for the application --------------------------------------------------------------------------------------

  send(message: Uint8Array): Promise<void> {
    const refusal = this.#refusal(message)
    if (refusal !== null) return Promise.reject(refusal)
    if (!this.#queue.isEmpty || !this.#hasRoom) return this.#queue.add(message)
    this.#transmit(message)
    return this.#hasRoom ? SENT : this.#queue.add(null)
  }

  receive(): Promise<Uint8Array | null> {
    return this.#received.take()
  }

  close(reason = ''): Promise<void> {
    if (this.#state !== 'open') return this.#closed
    this.#state = 'closing'
    this.#reason = reason
    this.#received.end()
    this.#flushTimer = setTimeout(() => this.#finish(), CLOSE_FLUSH_MS)
    this.pump()
    return this.#closed
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  /** Closes without waiting for a peer that does not read. */
  abort(): void {
    this.#finish()
  }

  // ---- for the link: each returns what the peer did wrong, or null ------------------------------------------------

  onData(message: Uint8Array): string | null {
    if (message.length === 0) return 'an empty message'
    if (message.length > MAX_MESSAGE_BYTES) return `a message of ${message.length} bytes`
    if (this.#granted <= 0) return 'a message without credit'
    const cost = message.length + MESSAGE_COST_BYTES
    this.#granted -= cost
    // Closing on our side: nobody will read it, but the peer may still need credit to flush and close.
    if (!this.#received.push(message)) this.#returnCredit(cost)
    return null
  }

  onCredit(bytes: number): string | null {
    if (bytes === 0) return 'a credit of nothing'
    if (bytes > CONNECTION_WINDOW_BYTES - this.#credit) return `a credit of ${bytes} bytes beyond the window`
    this.#credit += bytes
    this.pump()
    return null
  }

  /** The peer closed, or the link is lost: nothing can be sent any more. */
  onClose(reason: string): void {
    if (this.#state === 'open') this.#reason = reason
    this.#settle()
  }

  /** Sends what waits, as far as credit and link allow. */
  pump(): void {
    this.#queue.drain(
      () => this.#hasRoom,
      this.#state === 'open',
      (message) => this.#transmit(message),
    )
    if (this.#state === 'closing' && !this.#queue.hasUnsent) this.#finish()
  }

  // ---- inside -----------------------------------------------------------------------------------------------------

  get #hasRoom(): boolean {
    return this.#credit > 0 && this.#link.writable && this.#state !== 'closed'
  }

  #refusal(message: Uint8Array): Error | null {
    return refusalOf(message) ?? (this.#state === 'open' ? null : this.#closedError())
  }

  #closedError(): PeerlogError {
    return closedError(this.peerId, this.#reason)
  }

  #transmit(message: Uint8Array): void {
    this.#credit -= message.length + MESSAGE_COST_BYTES
    this.#link.sendData(message)
  }

  #returnCredit(bytes: number): void {
    this.#toReturn += bytes
    if (this.#toReturn < CREDIT_BATCH_BYTES || this.#state === 'closed') return
    const credit = this.#toReturn
    this.#toReturn = 0
    this.#granted += credit
    this.#link.sendCredit(credit)
  }

  #finish(): void {
    if (this.#state === 'closed') return
    this.#settle()
    this.#link.sendClose(this.#reason)
  }

  #settle(): void {
    if (this.#state === 'closed') return
    const closedHere = this.#state === 'closing'
    this.#state = 'closed'
    if (this.#flushTimer !== null) clearTimeout(this.#flushTimer)
    this.#received.end()
    this.#queue.end(this.#closedError(), closedHere)
    this.#resolveClosed()
  }
}

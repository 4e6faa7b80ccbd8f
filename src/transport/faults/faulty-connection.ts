import { AsyncQueue } from '../../base/async-queue.ts'
import { PeerlogError } from '../../base/errors.ts'
import { CONNECTION_WINDOW_BYTES, MAX_MESSAGE_BYTES } from '../../base/limits.ts'
import { CLOSE_FLUSH_MS } from '../channel.ts'
import type { Connection, Path } from '../transport.ts'
import { within } from '../within.ts'
import { Lane } from './lane.ts'
import type { Plan } from './plan.ts'

/** Bytes that were received and not taken, from which on nothing more is received. */
const UNREAD_BYTES: number = CONNECTION_WINDOW_BYTES

/** A connection whose messages go through two lanes, one each way. */
export class FaultyConnection implements Connection {
  readonly peerId: string
  readonly initiator: boolean
  readonly handshakeHash: Uint8Array
  /** Resolves when the wrapped connection has ended. */
  readonly ended: Promise<void>
  path?: Path
  readonly onPathChange?: (listener: (path: Path) => void) => void
  readonly #inner: Connection
  readonly #plan: Plan
  readonly #outgoing: Lane
  readonly #incoming: Lane
  readonly #received: AsyncQueue<Uint8Array>
  #onPath: ((path: Path) => void) | null = null
  #unread = 0
  #onRoom: (() => void) | null = null
  #state: 'open' | 'closing' | 'closed' = 'open'
  #closing: Promise<void> | null = null

  /** @param number that its dice are thrown by. */
  constructor(inner: Connection, plan: Plan, number: number) {
    this.peerId = inner.peerId
    this.initiator = inner.initiator
    this.handshakeHash = inner.handshakeHash
    this.#inner = inner
    this.#plan = plan
    if (inner.path !== undefined) this.path = inner.path
    if (inner.onPathChange !== undefined) this.onPathChange = (listener) => (this.#onPath = listener)
    inner.onPathChange?.((path) => {
      this.path = path
      this.#onPath?.(path)
    })
    this.#received = new AsyncQueue((message) => this.#onTake(message.length))
    const lose = (): void => this.sever('lost')
    this.#outgoing = new Lane(plan, number, 'send', {
      deliver: (message) => this.#transmit(message),
      refuse: (message, code) => this.#expectRefusal(message, code),
      lose,
    })
    this.#incoming = new Lane(plan, number, 'receive', {
      deliver: (message) => this.#receive(message),
      refuse: () => Promise.resolve(),
      lose,
    })
    this.ended = this.#read()
  }

  /** Whether a message was lost or changed and the connection lives on all the same. */
  get harmed(): boolean {
    return this.#outgoing.harmed || this.#incoming.harmed
  }

  send(message: Uint8Array): Promise<void> {
    // Whoever wraps a transport wants to see what that one says to such a message.
    if (!(message instanceof Uint8Array) || message.length === 0 || message.length > MAX_MESSAGE_BYTES) {
      return this.#inner.send(message)
    }
    return this.#state === 'open' ? this.#outgoing.push(message) : Promise.reject(this.#closedError())
  }

  receive(): Promise<Uint8Array | null> {
    return this.#received.take()
  }

  close(reason?: string): Promise<void> {
    if (this.#closing !== null) return this.#closing
    if (this.#state === 'open') this.#state = 'closing'
    this.#received.end()
    this.#closing = this.#close(reason)
    return this.#closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  /** Ends it abruptly: what is on the way is lost, and what has arrived and was not read. Idempotent. */
  sever(reason: string): void {
    this.#state = 'closed'
    this.#outgoing.end()
    this.#incoming.end()
    this.#received.end({ discard: true })
    this.#letRead()
    this.#closing ??= Promise.resolve()
    void this.#inner.close(reason)
  }

  /** Nothing is held up any more. */
  release(): void {
    this.#outgoing.release()
    this.#incoming.release()
  }

  async #close(reason: string | undefined): Promise<void> {
    if (this.#state === 'closing') await within(CLOSE_FLUSH_MS, this.#outgoing.drained())
    // A goodbye does not get through either: the other side learns nothing, until it is cut.
    const silent = this.#outgoing.vanished && this.#state === 'closing'
    this.#state = 'closed'
    this.#outgoing.end()
    this.#incoming.end()
    this.#letRead()
    if (!silent) await this.#inner.close(reason)
  }

  async #read(): Promise<void> {
    for (let message; (message = await this.#inner.receive()) !== null;) {
      await this.#incoming.push(message).catch(() => {})
    }
    await this.#incoming.drained()
    this.#outgoing.end()
    if (this.#incoming.vanished) return
    this.#incoming.end()
    this.#state = 'closed'
    this.#received.end()
  }

  async #transmit(message: Uint8Array): Promise<void> {
    try {
      await this.#inner.send(message)
    } catch {
      // It has ended, and the reading side learns it too.
      this.#outgoing.end()
    }
  }

  async #receive(message: Uint8Array): Promise<void> {
    this.#unread += message.length
    if (!this.#received.push(message)) this.#unread -= message.length
    if (this.#unread > UNREAD_BYTES) await new Promise<void>((resolve) => (this.#onRoom = resolve))
  }

  #onTake(bytes: number): void {
    this.#unread -= bytes
    if (this.#unread <= UNREAD_BYTES) this.#letRead()
  }

  #letRead(): void {
    this.#onRoom?.()
    this.#onRoom = null
  }

  async #expectRefusal(message: Uint8Array, code: string): Promise<void> {
    try {
      await this.#inner.send(message)
      this.#plan.breaches.push(`sent a message of ${message.length} bytes instead of refusing it with ${code}`)
    } catch (error) {
      const { code: actual } = error as { code?: unknown }
      if (actual === code || actual === 'CLOSED') return
      this.#plan.breaches.push(`refused a message of ${message.length} bytes with ${String(error)} instead of ${code}`)
    }
  }

  #closedError(): PeerlogError {
    return new PeerlogError('CLOSED', `The connection to ${this.peerId.slice(0, 8)}… is closed`)
  }
}

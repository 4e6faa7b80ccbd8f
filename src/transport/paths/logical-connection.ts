import { AsyncQueue } from '../../base/async-queue.ts'
import { Alarm } from '../alarm.ts'
import { SendQueue } from '../send-queue.ts'
import { closedError, refusalOf } from '../sendable.ts'
import type { Connection, Path } from '../transport.ts'
import type { CoreOutput } from './connection-core.ts'
import { ConnectionCore } from './connection-core.ts'
import type { Frame } from './frames.ts'
import { CLOSE_FLUSH_MS, OUTLOOK_MS } from './limits.ts'

export interface LogicalIdentity {
  peerId: string
  /** Whether we lead; the peer does, if not. */
  initiator: boolean
  handshakeHash: Uint8Array
  /** By which the leader names it. */
  id: Buffer
}

/** What a connection needs of its surroundings. Paths are named by their numbers. */
export interface LogicalOwner {
  send(path: number, bytes: Buffer): void
  isWritable(path: number): boolean
  /** Closes the path; it is not told of as detached. */
  drop(path: number, reason: string): void
  /** What to call the path; null once the path is gone. */
  describe(path: number, directLost: boolean): Path | null
  /** No path works: others should be looked for. */
  search(path: number | null): void
  /** Closes all paths; resolves when they are closed. `byPeer`: leaves it to the peer, for a while. */
  onEnd(reason: string, byPeer: boolean): Promise<void>
}

const SENT: Promise<void> = Promise.resolve()

/** A connection to a peer that goes over whichever of its paths is best, and outlives them. */
export class LogicalConnection implements Connection {
  readonly peerId: string
  readonly initiator: boolean
  readonly handshakeHash: Uint8Array
  readonly id: Buffer
  readonly #core: ConnectionCore
  readonly #owner: LogicalOwner
  readonly #inbox: AsyncQueue<Uint8Array>
  readonly #queue = new SendQueue()
  #state: 'open' | 'closing' | 'closed' = 'open'
  #reason = ''
  #pumping = false
  readonly #alarm: Alarm
  #flushTimer: NodeJS.Timeout | undefined
  #current: number | null = null
  #path: Path = { transport: '', reason: 'pending' }
  #onPathChange: ((path: Path) => void) | null = null
  #outlookTimer: NodeJS.Timeout | undefined
  readonly #closed: Promise<void>
  #resolveClosed: (closed: Promise<void>) => void = () => {}

  constructor(identity: LogicalIdentity, owner: LogicalOwner) {
    this.peerId = identity.peerId
    this.initiator = identity.initiator
    this.handshakeHash = identity.handshakeHash
    this.id = identity.id
    this.#owner = owner
    this.#core = new ConnectionCore(identity.initiator, performance.now())
    this.#alarm = new Alarm(
      () => performance.now(),
      () => {
        this.#core.wake(performance.now())
        this.#pump()
      },
    )
    this.#inbox = new AsyncQueue((message) => {
      this.#core.read(message, performance.now())
      this.#pump()
    })
    this.#closed = new Promise((resolve) => (this.#resolveClosed = resolve))
  }

  // ---- for the application ----------------------------------------------------------------------------------------

  get path(): Path {
    return this.#path
  }

  onPathChange(listener: (path: Path) => void): void {
    this.#onPathChange = listener
  }

  send(message: Uint8Array): Promise<void> {
    const refusal = refusalOf(message) ?? (this.#state === 'open' ? null : closedError(this.peerId, this.#reason))
    if (refusal !== null) return Promise.reject(refusal)
    if (!this.#queue.isEmpty || !this.#core.hasRoom) return this.#queue.add(message)
    this.#core.send(message)
    this.#pump()
    return this.#core.hasRoom ? SENT : this.#queue.add(null)
  }

  receive(): Promise<Uint8Array | null> {
    return this.#inbox.take()
  }

  close(reason = ''): Promise<void> {
    if (this.#state !== 'open') return this.#closed
    this.#state = 'closing'
    this.#reason = reason
    this.#inbox.end()
    this.#flushTimer = setTimeout(() => this.abort(reason), CLOSE_FLUSH_MS)
    this.#pump()
    return this.#closed
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  // ---- for its owner ----------------------------------------------------------------------------------------------

  get ended(): boolean {
    return this.#state === 'closed'
  }

  /** How many frames were taken over. */
  get takenOver(): number {
    return this.#core.takenOver
  }

  /** Whether no path works, as far as is known. */
  get isSuspect(): boolean {
    return this.#core.isSuspect
  }

  /** The path that can best be done without. */
  get dispensable(): number | null {
    return this.#core.dispensable
  }

  /** @returns what the peer did wrong, or null. */
  attach(path: number, rank: number, received: number): string | null {
    const violation = this.#core.attach(path, rank, received, performance.now())
    this.#pump()
    return violation
  }

  detach(path: number, lost: boolean): void {
    this.#core.detach(path, lost, performance.now())
    this.#pump()
  }

  /** @returns what the peer did wrong, or null. */
  accept(path: number, frame: Frame): string | null {
    const violation = this.#core.receive(path, frame, performance.now())
    this.#pump()
    return violation
  }

  setWritable(path: number): void {
    this.#core.setWritable(path, true)
    this.#pump()
  }

  /** Tests every path. */
  probe(): void {
    this.#core.probe()
    this.#pump()
  }

  /** Ends it at once. */
  abort(reason: string): void {
    this.#core.abort(reason)
    this.#pump()
  }

  // ---- inside -----------------------------------------------------------------------------------------------------

  /** Does what the core wants done, and gives it what waits to be sent. Safe to call at any time. */
  #pump(): void {
    if (this.#pumping) return
    this.#pumping = true
    try {
      do {
        for (let output; (output = this.#core.poll(performance.now())) !== null;) this.#perform(output)
      } while (this.#feed())
    } finally {
      this.#pumping = false
    }
    this.#alarm.set(this.#core.wakeAt)
  }

  /** Hands the core what waits, as far as it has room. False if there was nothing to hand over. */
  #feed(): boolean {
    const fed = this.#queue.drain(
      () => this.#core.hasRoom,
      this.#state === 'open',
      (message) => this.#core.send(message),
    )
    if (this.#state === 'closing' && !this.#queue.hasUnsent && !this.#core.closing) {
      this.#core.close(this.#reason, performance.now())
      return true
    }
    return fed
  }

  #perform(output: CoreOutput): void {
    switch (output.type) {
      case 'send':
        this.#owner.send(output.path, output.bytes)
        if (!this.#owner.isWritable(output.path)) this.#core.setWritable(output.path, false)
        return
      case 'message':
        this.#inbox.push(output.message)
        return
      case 'drop':
        return this.#owner.drop(output.path, output.reason)
      case 'current':
        this.#current = output.path
        return this.#describe()
      case 'search':
        return this.#owner.search(this.#current)
      case 'end':
        return this.#settle(output.reason, output.lost)
    }
  }

  #settle(reason: string, lost: boolean): void {
    const closedHere = this.#state === 'closing'
    this.#state = 'closed'
    if (!closedHere) this.#reason = reason
    clearTimeout(this.#flushTimer)
    clearInterval(this.#outlookTimer)
    this.#inbox.end()
    this.#queue.end(closedError(this.peerId, this.#reason), closedHere)
    this.#resolveClosed(this.#owner.onEnd(this.#reason, !closedHere && !lost))
  }

  // ---- the way ----------------------------------------------------------------------------------------------------

  /** Looks why the path in use is the one, and goes on looking while that can change by itself. */
  #describe(): void {
    const path = this.#current === null ? null : this.#owner.describe(this.#current, this.#core.directLost)
    if (path === null) return
    const isFinal = path.reason === 'direct' || path.reason === 'relay-only'
    if (isFinal) {
      clearInterval(this.#outlookTimer)
      this.#outlookTimer = undefined
    } else {
      this.#outlookTimer ??= setInterval(() => this.#describe(), OUTLOOK_MS).unref()
    }
    const { transport, reason } = this.#path
    if (path.transport === transport && path.reason === reason) return
    this.#path = path
    // Not from within what a caller has just asked for.
    if (transport !== '') queueMicrotask(() => this.#onPathChange?.(path))
  }
}

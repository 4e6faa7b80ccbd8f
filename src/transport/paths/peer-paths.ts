import { equalBytes } from '../../base/bytes.ts'
import type { Connection, Path } from '../transport.ts'
import { within } from '../within.ts'
import type { Child } from './child-path.ts'
import { ChildPath } from './child-path.ts'
import {
  ATTACH,
  ATTACHED,
  BEGIN,
  encodeAttach,
  encodeBare,
  encodeBegin,
  encodeReceived,
  HELLO,
  PATHS_VERSION,
  REJECT,
} from './frames.ts'
import type { Frame } from './frames.ts'
import { connectionHash, connectionId } from './identity.ts'
import { MAX_PATH_VIOLATIONS, MAX_PATHS_PER_PEER, PATH_CLOSE_MS } from './limits.ts'
import { LogicalConnection } from './logical-connection.ts'

export interface PeerOwner<C extends Child> {
  readonly incarnation: Buffer
  /** Milliseconds for a path's handshake. */
  readonly handshakeMs: number
  onConnection(connection: LogicalConnection): void
  /** No path to the peer works, or only that of `besides` is left. */
  search(besides: C | null): void
  describe(peerId: string, child: C, directLost: boolean): Path
  /** A path's handshake is over, one way or the other. */
  onHandshakeEnd(path: number): void
  /** There are no paths to the peer any more, and no connection. */
  onIdle(peer: PeerPaths<C>): void
}

type AttachFrame = Extract<Frame, { type: typeof ATTACH }>

interface Entry<C extends Child> {
  path: ChildPath<C>
  /**
   * `hello`: nothing was heard; `leading`: we shall say BEGIN or ATTACH; `asked`: we said ATTACH; `following`: the peer is to
   * say BEGIN or ATTACH; `holding`: it said ATTACH, about a connection whose BEGIN may be on another path's way.
   */
  state: 'hello' | 'leading' | 'asked' | 'following' | 'holding' | 'attached'
  /** What it said then. */
  held: AttachFrame | null
  /** The connection that ATTACH was about, or that the path is attached to. */
  connection: LogicalConnection | null
  timer: NodeJS.Timeout | undefined
  hasRejected: boolean
}

/** The paths to one peer of a topic, from their HELLO on, and the connection that they carry. */
export class PeerPaths<C extends Child> {
  readonly peerId: string
  readonly #owner: PeerOwner<C>
  /** By path number, the oldest first. */
  readonly #entries = new Map<number, Entry<C>>()
  #connection: LogicalConnection | null = null
  /** Which of the peer's lives the connection is with, and whether the peer has answered on it. */
  #incarnation: Buffer | null = null
  #isConfirmed = false
  #violations = 0
  /** Connections that have begun with this life of the peer, by whoever leads. */
  #count = 0

  constructor(peerId: string, owner: PeerOwner<C>) {
    this.peerId = peerId
    this.#owner = owner
  }

  get connection(): LogicalConnection | null {
    return this.#connection
  }

  /** Gives up a path that is shaking hands. */
  giveUp(path: number): void {
    void this.#entries.get(path)?.path.end('too many handshakes')
  }

  /** Serves one more path; resolves when it has ended. */
  async serve(id: number, child: C, connection: Connection): Promise<void> {
    this.#makeRoom()
    const path: ChildPath<C> = new ChildPath(id, child, connection, {
      onFrame: (_path, frame) => this.#onFrame(entry, frame),
      onViolation: () => this.#onViolation(entry),
      onWritable: () => entry.connection?.setWritable(id),
      onEnd: (_path, lost) => this.#onPathEnd(entry, lost),
    })
    const timer = setTimeout(() => void path.end('no handshake in time'), this.#owner.handshakeMs)
    const entry: Entry<C> = { path, state: 'hello', held: null, connection: null, timer, hasRejected: false }
    this.#entries.set(id, entry)
    await path.run(this.#owner.incarnation)
  }

  /** Closes the connection, and every path. */
  async close(reason: string): Promise<void> {
    await this.#connection?.close(reason)
    await Promise.all([...this.#entries.values()].map(({ path }) => path.end(reason)))
  }

  // ---- handshakes -------------------------------------------------------------------------------------------------

  #onFrame(entry: Entry<C>, frame: Frame): string | null {
    switch (entry.state) {
      case 'attached':
        // Any word of the peer's says that it knows of the connection.
        if (!this.#isConfirmed) this.#confirm()
        return entry.connection?.accept(entry.path.id, frame) ?? null
      case 'hello':
        return frame.type === HELLO ? this.#onHello(entry, frame) : 'no HELLO'
      case 'asked':
        if (frame.type === ATTACHED) return this.#onAttached(entry, frame.received)
        return frame.type === REJECT ? this.#onReject(entry) : 'a frame out of turn'
      case 'following':
        if (frame.type === BEGIN) return this.#onBegin(entry, frame.count)
        return frame.type === ATTACH ? this.#onAttach(entry, frame) : 'a frame out of turn'
      case 'leading':
      case 'holding':
        return 'a frame out of turn'
    }
  }

  #onHello(entry: Entry<C>, { version, incarnation }: Extract<Frame, { type: typeof HELLO }>): string | null {
    if (version !== PATHS_VERSION) return 'another version of the protocol'
    const order = Buffer.compare(this.#owner.incarnation, incarnation)
    if (order === 0) return 'our own words'
    if (this.#incarnation !== null && !equalBytes(this.#incarnation, incarnation)) {
      // The peer was started anew, and knows nothing of what was before.
      this.#connection?.abort('the peer has begun anew')
      for (const other of this.#entries.values()) if (other !== entry) void other.path.end('begun anew')
      this.#violations = 0
      this.#count = 0
    }
    this.#incarnation = Buffer.from(incarnation)
    entry.state = order > 0 ? 'leading' : 'following'
    if (order > 0) this.#lead(entry)
    return null
  }

  #lead(entry: Entry<C>): void {
    const connection = this.#connection
    if (connection === null) {
      entry.path.send(encodeBegin(++this.#count))
      return this.#begin(entry, true)
    }
    // What it cannot know of yet it would have to reject.
    if (!this.#isConfirmed && !connection.isSuspect) return
    entry.state = 'asked'
    entry.connection = connection
    entry.path.send(encodeAttach(connection.id, connection.takenOver))
  }

  #leadWaiting(): void {
    for (const entry of this.#entries.values()) if (entry.state === 'leading') this.#lead(entry)
  }

  #confirm(): void {
    this.#isConfirmed = true
    this.#leadWaiting()
  }

  #onAttached(entry: Entry<C>, received: number): string | null {
    const { connection } = entry
    if (connection !== null && !connection.ended) return this.#attach(entry, connection, received)
    void entry.path.end('closed')
    return null
  }

  #onReject(entry: Entry<C>): null {
    // The peer has ended it, and its word was lost with the path.
    if (entry.connection === this.#connection) this.#connection?.abort('the peer has ended the connection')
    entry.state = 'leading'
    entry.connection = null
    this.#lead(entry)
    return null
  }

  #onBegin(entry: Entry<C>, count: number): null {
    if (count <= this.#count) {
      // Later ones were faster, on other paths.
      void entry.path.end('superseded')
      return null
    }
    this.#count = count
    this.#connection?.abort('the peer has ended the connection')
    this.#begin(entry, false)
    this.#attachHeld()
    return null
  }

  #onAttach(entry: Entry<C>, frame: AttachFrame): string | null {
    const { id, received } = frame
    const connection = this.#connection
    if (connection === null || !equalBytes(connection.id, id)) {
      if (this.#mayBegin) {
        entry.state = 'holding'
        entry.held = frame
        return null
      }
      if (entry.hasRejected) return 'another connection that there is not'
      entry.hasRejected = true
      entry.state = 'following'
      entry.path.send(encodeBare(REJECT))
      return null
    }
    entry.path.send(encodeReceived(ATTACHED, connection.takenOver))
    return this.#attach(entry, connection, received)
  }

  /** Whether a BEGIN may be on its way to us. */
  get #mayBegin(): boolean {
    let count = 0
    for (const { state } of this.#entries.values()) if (state === 'hello' || state === 'following') count++
    // Not counting the path that asks.
    return count > 1
  }

  #attachHeld(): void {
    for (const entry of this.#entries.values()) {
      const { held } = entry
      if (entry.state !== 'holding' || held === null) continue
      entry.state = 'following'
      entry.held = null
      const violation = this.#onAttach(entry, held)
      if (violation !== null) void entry.path.end(violation)
    }
  }

  #begin(entry: Entry<C>, initiator: boolean): void {
    const { handshakeHash } = entry.path.connection
    const identity = {
      peerId: this.peerId,
      initiator,
      handshakeHash: connectionHash(handshakeHash),
      id: connectionId(handshakeHash),
    }
    const connection: LogicalConnection = new LogicalConnection(identity, {
      send: (path, bytes) => this.#entries.get(path)?.path.send(bytes),
      isWritable: (path) => this.#entries.get(path)?.path.writable === true,
      drop: (path, reason) => void this.#entries.get(path)?.path.end(reason),
      describe: (path, directLost) => this.#describe(path, directLost),
      search: (path) => {
        this.#owner.search((path === null ? undefined : this.#entries.get(path)?.path.child) ?? null)
        this.#leadWaiting()
      },
      onEnd: (reason, byPeer) => this.#onConnectionEnd(connection, reason, byPeer),
    })
    this.#connection = connection
    this.#isConfirmed = !initiator
    this.#attach(entry, connection, 0)
    this.#owner.onConnection(connection)
  }

  #attach(entry: Entry<C>, connection: LogicalConnection, received: number): string | null {
    this.#endHandshake(entry)
    entry.state = 'attached'
    entry.connection = connection
    return connection.attach(entry.path.id, entry.path.child.rank, received)
  }

  #describe(id: number, directLost: boolean): Path | null {
    const entry = this.#entries.get(id)
    return entry === undefined ? null : this.#owner.describe(this.peerId, entry.path.child, directLost)
  }

  // ---- ends -------------------------------------------------------------------------------------------------------

  #makeRoom(): void {
    if (this.#entries.size < MAX_PATHS_PER_PEER) return
    const [shaking] = [...this.#entries.values()].filter(({ state }) => state !== 'attached')
    const id = shaking?.path.id ?? this.#connection?.dispensable ?? null
    if (id === null) return
    this.#connection?.detach(id, false)
    void this.#entries.get(id)?.path.end('too many paths')
    this.#entries.delete(id)
  }

  #onViolation(entry: Entry<C>): void {
    const { connection, path } = entry
    connection?.detach(path.id, true)
    if (++this.#violations >= MAX_PATH_VIOLATIONS) this.#connection?.abort('the peer broke the protocol')
  }

  #endHandshake(entry: Entry<C>): void {
    clearTimeout(entry.timer)
    this.#owner.onHandshakeEnd(entry.path.id)
  }

  #onPathEnd(entry: Entry<C>, lost: boolean): void {
    this.#endHandshake(entry)
    this.#entries.delete(entry.path.id)
    entry.connection?.detach(entry.path.id, lost)
    this.#attachHeld()
    this.#lookIdle()
  }

  async #onConnectionEnd(connection: LogicalConnection, reason: string, byPeer: boolean): Promise<void> {
    if (this.#connection === connection) this.#connection = null
    const paths = [...this.#entries.values()].filter((entry) => entry.connection === connection)
    this.#leadWaiting()
    this.#lookIdle()
    // Whoever closes also closes the paths, so that each side's transports know who it was.
    if (byPeer) await within(PATH_CLOSE_MS, Promise.all(paths.map(({ path }) => path.gone)))
    await Promise.all(paths.map(({ path }) => path.end(reason)))
  }

  #lookIdle(): void {
    if (this.#entries.size === 0 && this.#connection === null) this.#owner.onIdle(this)
  }
}

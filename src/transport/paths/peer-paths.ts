import { equalBytes } from '../../base/bytes.ts'
import { type Path, SUPERSEDED } from '../transport.ts'
import { within } from '../within.ts'
import type { Child, ChildPath } from './child-path.ts'
import { ATTACH, ATTACHED, BEGIN, encodeAttach, encodeBare, encodeBegin, encodeReceived, REJECT } from './frames.ts'
import type { Frame } from './frames.ts'
import { connectionHash, connectionId } from './identity.ts'
import { MAX_PATH_VIOLATIONS, PATH_CLOSE_MS, PATH_DEAD_MS } from './limits.ts'
import { LogicalConnection } from './logical-connection.ts'

export interface LifeOwner<C extends Child> {
  readonly peerId: string
  /** What our next BEGIN says: more each time. */
  nextCount(): number
  onConnection(connection: LogicalConnection): void
  onConnectionEnd(): void
  /** No path works, or only that of `besides` is left. */
  search(besides: C | null): void
  describe(child: C, directLost: boolean): Path
  /** Whether a path may still turn out to be one of these. */
  mayBring(): boolean
  /** The handshake of a path is over. */
  onHandshakeEnd(path: ChildPath<C>): void
}

type AttachFrame = Extract<Frame, { type: typeof ATTACH }>

interface Entry<C extends Child> {
  path: ChildPath<C>
  /**
   * `leading`: we shall say BEGIN or ATTACH; `asked`: we said ATTACH; `following`: the peer is to say BEGIN or ATTACH;
   * `holding`: it said ATTACH, about a connection whose BEGIN may be on another path's way.
   */
  state: 'leading' | 'asked' | 'following' | 'holding' | 'attached'
  /** What it said then. */
  held: AttachFrame | null
  /** The connection that ATTACH was about, or that the path is attached to. */
  connection: LogicalConnection | null
  hasRejected: boolean
}

/** The paths to one life of a peer, a process from its start to its end, and the connection that they carry. */
export class PeerPaths<C extends Child> {
  readonly #owner: LifeOwner<C>
  readonly #isLeader: boolean
  /** By path number, the oldest first. */
  readonly #entries = new Map<number, Entry<C>>()
  #connection: LogicalConnection | null = null
  /** Whether the peer has answered on the connection. */
  #isConfirmed = false
  /** The number of the peer's last BEGIN. */
  #count = 0
  #violations = 0
  /** Until when it must show that it is alive, because the peer has begun another life. */
  #challengedUntil = -Infinity

  constructor(isLeader: boolean, owner: LifeOwner<C>) {
    this.#isLeader = isLeader
    this.#owner = owner
  }

  get connection(): LogicalConnection | null {
    return this.#connection
  }

  /** Whether there is nothing of it any more. */
  get isOver(): boolean {
    return this.#entries.size === 0 && this.#connection === null
  }

  /** One more path, on which the peer has said HELLO. */
  add(path: ChildPath<C>): void {
    const state = this.#isLeader ? 'leading' : 'following'
    const entry: Entry<C> = { path, state, held: null, connection: null, hasRejected: false }
    this.#entries.set(path.id, entry)
    if (this.#isLeader) this.#lead(entry)
  }

  /** Ends the connection unless it still works: another process has the peer's key now, most likely its next life. */
  challenge(): void {
    const connection = this.#connection
    if (connection?.isSuspect === true) return this.end('the peer has begun anew')
    this.#challengedUntil = performance.now() + PATH_DEAD_MS
    connection?.probe()
  }

  /** Closes the connection, and every path. */
  async close(reason: string): Promise<void> {
    await this.#connection?.close(reason)
    await Promise.all([...this.#entries.values()].map(({ path }) => path.end(reason)))
  }

  /** Ends the connection, and every path, at once. */
  end(reason: string): void {
    this.#connection?.abort(reason)
    for (const { path } of this.#entries.values()) void path.end(reason)
  }

  // ---- of its paths -----------------------------------------------------------------------------------------------

  /** Returns what the peer did wrong, or null. */
  onFrame(path: ChildPath<C>, frame: Frame): string | null {
    const entry = this.#entries.get(path.id)
    if (entry === undefined) return null
    switch (entry.state) {
      case 'attached':
        // Any word of the peer's says that it knows of the connection.
        if (!this.#isConfirmed) this.#confirm()
        return entry.connection?.accept(path.id, frame) ?? null
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

  onWritable(path: ChildPath<C>): void {
    this.#entries.get(path.id)?.connection?.setWritable(path.id)
  }

  /** The peer has broken the rules on it. */
  onViolation(path: ChildPath<C>): void {
    this.#entries.get(path.id)?.connection?.detach(path.id, true)
    if (++this.#violations >= MAX_PATH_VIOLATIONS) this.#connection?.abort('the peer broke the protocol')
  }

  /** `lost`: neither side wanted it to end. */
  onEnd(path: ChildPath<C>, lost: boolean): void {
    const entry = this.#entries.get(path.id)
    this.#entries.delete(path.id)
    entry?.connection?.detach(path.id, lost)
    this.attachHeld()
  }

  // ---- handshakes -------------------------------------------------------------------------------------------------

  #lead(entry: Entry<C>): void {
    const connection = this.#connection
    if (connection === null) {
      entry.path.send(encodeBegin(this.#owner.nextCount()))
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
    const { connection } = entry
    // Before the connection ends, and its paths with it: the next one is to begin on this path.
    entry.state = 'leading'
    entry.connection = null
    // The peer has ended it, and its word was lost with the path.
    if (connection === this.#connection) connection?.abort('the peer has ended the connection')
    if (entry.state === 'leading') this.#lead(entry)
    return null
  }

  #onBegin(entry: Entry<C>, count: number): null {
    if (count <= this.#count) {
      // Later ones were faster, on other paths.
      void entry.path.end(SUPERSEDED)
      return null
    }
    this.#count = count
    this.#connection?.abort('the peer has ended the connection')
    this.#begin(entry, false)
    this.attachHeld()
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
    for (const { state } of this.#entries.values()) if (state === 'following') count++
    // Not counting the path that asks.
    return count > 1 || this.#owner.mayBring()
  }

  /** Looks again at what the peer said about a connection that had not begun. */
  attachHeld(): void {
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
      peerId: this.#owner.peerId,
      initiator,
      handshakeHash: connectionHash(handshakeHash),
      id: connectionId(handshakeHash),
    }
    const connection: LogicalConnection = new LogicalConnection(identity, {
      send: (path, bytes) => this.#entries.get(path)?.path.send(bytes),
      isWritable: (path) => this.#entries.get(path)?.path.writable === true,
      drop: (path, reason) => void this.#entries.get(path)?.path.end(reason),
      describe: (path, directLost) => this.#describe(path, directLost),
      search: (path) => this.#onSearch(path),
      onEnd: (reason, byPeer) => this.#onConnectionEnd(connection, reason, byPeer),
    })
    this.#connection = connection
    this.#isConfirmed = !initiator
    this.#attach(entry, connection, 0)
    this.#owner.onConnection(connection)
  }

  #onSearch(path: number | null): void {
    if (performance.now() < this.#challengedUntil) return this.end('the peer has begun anew')
    this.#owner.search((path === null ? undefined : this.#entries.get(path)?.path.child) ?? null)
    this.#leadWaiting()
  }

  #attach(entry: Entry<C>, connection: LogicalConnection, received: number): string | null {
    this.#owner.onHandshakeEnd(entry.path)
    entry.state = 'attached'
    entry.connection = connection
    return connection.attach(entry.path.id, entry.path.child.rank, received)
  }

  #describe(id: number, directLost: boolean): Path | null {
    const entry = this.#entries.get(id)
    return entry === undefined ? null : this.#owner.describe(entry.path.child, directLost)
  }

  /** The path that can best be done without, if there is one. */
  get dispensable(): ChildPath<C> | null {
    const id = this.#connection?.dispensable ?? null
    return id === null ? null : (this.#entries.get(id)?.path ?? null)
  }

  async #onConnectionEnd(connection: LogicalConnection, reason: string, byPeer: boolean): Promise<void> {
    if (this.#connection === connection) this.#connection = null
    const paths = [...this.#entries.values()].filter((entry) => entry.connection === connection)
    this.#leadWaiting()
    this.#owner.onConnectionEnd()
    // Whoever closes also closes the paths, so that each side's transports know who it was.
    if (byPeer) await within(PATH_CLOSE_MS, Promise.all(paths.map(({ path }) => path.gone)))
    await Promise.all(paths.map(({ path }) => path.end(reason)))
  }
}

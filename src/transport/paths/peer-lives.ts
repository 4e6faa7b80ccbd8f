import { toHex } from '../../base/bytes.ts'
import type { Connection, Path } from '../transport.ts'
import type { Child } from './child-path.ts'
import { ChildPath } from './child-path.ts'
import type { Frame } from './frames.ts'
import { HELLO, PATHS_VERSION } from './frames.ts'
import { MAX_LIVES_PER_PEER, MAX_PATHS_PER_PEER } from './limits.ts'
import type { LogicalConnection } from './logical-connection.ts'
import { PeerPaths } from './peer-paths.ts'

/** This life of ours, the same for all peers and topics. */
export interface Ourselves {
  /** Random bytes. */
  readonly incarnation: Buffer
  /** How many connections have begun with a BEGIN of ours. */
  begun: number
}

export interface PeerOwner<C extends Child> {
  readonly ourselves: Ourselves
  /** Milliseconds for a path's handshake. */
  readonly handshakeMs: number
  onConnection(connection: LogicalConnection): void
  /** No path to the peer works, or only that of `besides` is left. */
  search(besides: C | null): void
  describe(peerId: string, child: C, directLost: boolean): Path
  /** A path's handshake is over, one way or the other. */
  onHandshakeEnd(path: number): void
  /** There is nothing of the peer any more. */
  onIdle(peer: PeerLives<C>): void
}

interface Entry<C extends Child> {
  path: ChildPath<C>
  /** Null until the peer's HELLO. */
  life: PeerPaths<C> | null
  /** Runs until the handshake is over. */
  timer: NodeJS.Timeout | undefined
}

/**
 * All paths to one peer of a topic, sorted by what the peer's HELLO says: which life of it, which process, is at the other
 * end. Usually there is one; after a restart the earlier one is found out to be over; a copied key has two.
 */
export class PeerLives<C extends Child> {
  readonly peerId: string
  readonly #owner: PeerOwner<C>
  /** By path number, the oldest first. */
  readonly #entries = new Map<number, Entry<C>>()
  /** By incarnation, the oldest first. */
  readonly #lives = new Map<string, PeerPaths<C>>()

  constructor(peerId: string, owner: PeerOwner<C>) {
    this.peerId = peerId
    this.#owner = owner
  }

  get connections(): LogicalConnection[] {
    return [...this.#lives.values()].flatMap(({ connection }) => connection ?? [])
  }

  /** Gives up a path that is shaking hands. */
  giveUp(path: number): void {
    void this.#entries.get(path)?.path.end('too many handshakes')
  }

  /** Serves one more path; resolves when it has ended. */
  async serve(id: number, child: C, connection: Connection): Promise<void> {
    this.#makeRoom()
    const path: ChildPath<C> = new ChildPath(id, child, connection, {
      onFrame: (_path, frame) => (entry.life === null ? this.#onHello(entry, frame) : entry.life.onFrame(path, frame)),
      onViolation: () => entry.life?.onViolation(path),
      onWritable: () => entry.life?.onWritable(path),
      onEnd: (_path, lost) => this.#onEnd(entry, lost),
    })
    const timer = setTimeout(() => void path.end('no handshake in time'), this.#owner.handshakeMs)
    const entry: Entry<C> = { path, life: null, timer }
    this.#entries.set(id, entry)
    await path.run(this.#owner.ourselves.incarnation)
  }

  /** Closes every connection and every path. */
  async close(reason: string): Promise<void> {
    await Promise.all([...this.#lives.values()].map((life) => life.close(reason)))
    await Promise.all([...this.#entries.values()].map(({ path }) => path.end(reason)))
  }

  // ---- inside -----------------------------------------------------------------------------------------------------

  #onHello(entry: Entry<C>, frame: Frame): string | null {
    if (frame.type !== HELLO) return 'no HELLO'
    if (frame.version !== PATHS_VERSION) return 'another version of the protocol'
    const order = Buffer.compare(this.#owner.ourselves.incarnation, frame.incarnation)
    if (order === 0) return 'our own words'
    const life = this.#life(toHex(frame.incarnation), order > 0)
    entry.life = life
    life.add(entry.path)
    this.#attachHeld()
    return null
  }

  #life(incarnation: string, isLeader: boolean): PeerPaths<C> {
    const known = this.#lives.get(incarnation)
    if (known !== undefined) return known
    for (const other of this.#lives.values()) other.challenge()
    const [oldest] = this.#lives.values()
    if (this.#lives.size >= MAX_LIVES_PER_PEER) oldest?.end('too many of one peer')
    const life = new PeerPaths<C>(isLeader, {
      peerId: this.peerId,
      nextCount: () => ++this.#owner.ourselves.begun,
      onConnection: (connection) => this.#owner.onConnection(connection),
      onConnectionEnd: () => this.#lookIdle(),
      search: (besides) => this.#owner.search(besides),
      describe: (child, directLost) => this.#owner.describe(this.peerId, child, directLost),
      mayBring: () => [...this.#entries.values()].some((entry) => entry.life === null),
      onHandshakeEnd: (path) => this.#endHandshake(path.id),
    })
    this.#lives.set(incarnation, life)
    return life
  }

  #makeRoom(): void {
    if (this.#entries.size < MAX_PATHS_PER_PEER) return
    const shaking = [...this.#entries.values()].find(({ timer }) => timer !== undefined)
    const path = shaking?.path ?? [...this.#lives.values()].find((life) => life.dispensable !== null)?.dispensable
    if (path == null) return
    const entry = this.#entries.get(path.id)
    this.#entries.delete(path.id)
    void path.end('too many paths')
    entry?.life?.onEnd(path, false)
  }

  #endHandshake(id: number): void {
    const entry = this.#entries.get(id)
    if (entry === undefined) return
    clearTimeout(entry.timer)
    entry.timer = undefined
    this.#owner.onHandshakeEnd(id)
  }

  #onEnd(entry: Entry<C>, lost: boolean): void {
    clearTimeout(entry.timer)
    this.#owner.onHandshakeEnd(entry.path.id)
    this.#entries.delete(entry.path.id)
    entry.life?.onEnd(entry.path, lost)
    this.#attachHeld()
    this.#lookIdle()
  }

  /** Fewer paths can turn out to bring what others wait for. */
  #attachHeld(): void {
    for (const life of this.#lives.values()) life.attachHeld()
  }

  #lookIdle(): void {
    for (const [incarnation, life] of this.#lives) if (life.isOver) this.#lives.delete(incarnation)
    if (this.#entries.size === 0 && this.#lives.size === 0) this.#owner.onIdle(this)
  }
}

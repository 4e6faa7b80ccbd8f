import { DEFAULT_TIMEOUT_MS, NEWCOMER_GRACE_MS } from '../../base/limits.ts'
import type { Topic } from '../../topic/topic.ts'
import { ConnectionFeed } from '../connection-feed.ts'
import type { Connection, Outlook, Path, Transport } from '../transport.ts'
import type { Child } from './child-path.ts'
import { MAX_PATH_HANDSHAKES, PATH_HANDSHAKE_MS } from './limits.ts'
import type { LogicalConnection } from './logical-connection.ts'
import type { Ourselves } from './peer-lives.ts'
import { PeerLives } from './peer-lives.ts'

/** One of the transports that are combined, with all that it can. */
export interface ChildTransport extends Child {
  transport: Transport
  /** Whether we disconnect it. */
  owned: boolean
}

export interface TopicPathsOptions {
  signal: AbortSignal | undefined
  timeoutMs: number | undefined
  /** Told when a transport can't connect. Without it, that ends the iteration if there is no other transport. */
  onProblem: ((transport: string, error: unknown) => void) | undefined
  /** The iteration is ending. */
  onEnd(): void
}

/** One iteration over a topic's connections: those of every transport, joined by peer. */
export class TopicPaths {
  readonly feed: ConnectionFeed
  readonly #topic: Topic
  readonly #children: readonly ChildTransport[]
  readonly #ourselves: Ourselves
  readonly #peers = new Map<string, PeerLives<ChildTransport>>()
  /** Paths that are shaking hands, the oldest first: whose, and since when. */
  readonly #handshakes = new Map<number, { peer: PeerLives<ChildTransport>; since: number }>()
  readonly #abort = new AbortController()
  #iterations: Promise<unknown> = Promise.resolve()
  readonly #handshakeMs: number
  readonly #onProblem: TopicPathsOptions['onProblem']
  #lastPath = 0
  /** While set, no path is taken. */
  isSuspended = false

  constructor(topic: Topic, children: readonly ChildTransport[], ourselves: Ourselves, options: TopicPathsOptions) {
    this.#onProblem = options.onProblem
    this.#topic = topic
    this.#children = children
    this.#ourselves = ourselves
    this.#handshakeMs = Math.min(options.timeoutMs ?? DEFAULT_TIMEOUT_MS, PATH_HANDSHAKE_MS)
    this.feed = new ConnectionFeed(options.signal, async () => {
      options.onEnd()
      await this.#stop()
    })
  }

  /**
   * Begins, once the iteration before has ended.
   * @throws what the transports throw, if all do, nobody is told of it, and there was no iteration before.
   */
  start(before: Promise<unknown> | null): void {
    if (before === null) return this.#begin()
    this.#iterations = before.then(() => {
      try {
        this.#begin()
      } catch {
        void this.feed.end()
      }
      return this.#iterations
    })
  }

  #begin(): void {
    if (this.feed.ended) return
    const errors: unknown[] = []
    const iterations: Promise<void>[] = []
    for (const child of this.#children) {
      try {
        iterations.push(this.#iterate(child))
      } catch (error) {
        errors.push(error)
        this.#onProblem?.(child.name, error)
      }
    }
    this.#iterations = Promise.all(iterations)
    if (this.#onProblem === undefined && iterations.length === 0) throw errors[0]
  }

  /** Looks whether the paths work, and for better ones. */
  probe(): void {
    this.search(null)
    for (const peer of this.#peers.values()) for (const connection of peer.connections) connection.probe()
  }

  /** Makes the transports, but for this one, look for the topic's peers at once. */
  search(besides: ChildTransport | null): void {
    for (const child of this.#children) if (child !== besides) child.transport.refresh?.(this.#topic)
  }

  /** Closes every connection. */
  async closeAll(reason: string): Promise<void> {
    await Promise.all([...this.#peers.values()].map((peer) => peer.close(reason)))
  }

  /** Closes what is left, without waiting for the peers. */
  abort(): void {
    for (const peer of this.#peers.values()) {
      for (const connection of peer.connections) connection.abort('the transport was disconnected')
    }
    this.#abort.abort()
  }

  async #stop(): Promise<void> {
    await this.closeAll('')
    // Only now: what ends the transports' iterations must not overtake the farewells.
    this.#abort.abort()
    await this.#iterations
  }

  // ---- paths ------------------------------------------------------------------------------------------------------

  #iterate(child: ChildTransport): Promise<void> {
    const connections = child.transport.connect(this.#topic, { signal: this.#abort.signal })
    const iterator = connections[Symbol.asyncIterator]()
    return this.#takeAll(child, iterator)
  }

  async #takeAll(child: ChildTransport, iterator: AsyncIterator<Connection>): Promise<void> {
    const running = new Set<Promise<void>>()
    for (;;) {
      const result = await iterator.next().catch((error: unknown) => this.#onProblem?.(child.name, error))
      if (result === undefined || result.done === true) break
      const served: Promise<void> = this.#serve(child, result.value).finally(() => running.delete(served))
      running.add(served)
    }
    await Promise.all(running)
  }

  async #serve(child: ChildTransport, connection: Connection): Promise<void> {
    if (this.feed.ended || this.isSuspended || !this.#makeRoom()) return connection.close()
    const { peerId } = connection
    let peer = this.#peers.get(peerId)
    if (peer === undefined) {
      peer = this.#newPeer(peerId)
      this.#peers.set(peerId, peer)
    }
    const id = ++this.#lastPath
    this.#handshakes.set(id, { peer, since: performance.now() })
    await peer.serve(id, child, connection)
  }

  #newPeer(peerId: string): PeerLives<ChildTransport> {
    return new PeerLives(peerId, {
      ourselves: this.#ourselves,
      handshakeMs: this.#handshakeMs,
      onConnection: (connection: LogicalConnection) => this.feed.push(connection),
      search: (besides) => this.search(besides),
      describe: (id, child, directLost) => this.#describe(id, child, directLost),
      onHandshakeEnd: (path) => void this.#handshakes.delete(path),
      onIdle: (idle) => {
        if (this.#peers.get(peerId) === idle) this.#peers.delete(peerId)
      },
    })
  }

  /** Bounds the handshakes: whoever never finishes one keeps nobody out. False if all of them are young. */
  #makeRoom(): boolean {
    const [oldest] = this.#handshakes
    if (oldest === undefined || this.#handshakes.size < MAX_PATH_HANDSHAKES) return true
    const [path, { peer, since }] = oldest
    if (performance.now() - since < NEWCOMER_GRACE_MS) return false
    this.#handshakes.delete(path)
    peer.giveUp(path)
    return true
  }

  #describe(peerId: string, child: ChildTransport, directLost: boolean): Path {
    const { name, rank } = child
    if (rank < 0) return { transport: name, reason: 'direct' }
    const direct = this.#children.filter((other) => other.rank < 0)
    if (direct.length === 0) return { transport: name, reason: 'relay-only' }
    const outlook = this.#outlook(direct, peerId)
    return { transport: name, reason: directLost && outlook === 'pending' ? 'direct-lost' : outlook }
  }

  /** What the first transport that knows anything says. */
  #outlook(direct: readonly ChildTransport[], peerId: string): Outlook {
    for (const { transport } of direct) {
      const outlook = transport.outlook?.(peerId) ?? 'pending'
      if (outlook !== 'pending') return outlook
    }
    return 'pending'
  }
}

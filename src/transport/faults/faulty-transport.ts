import { toHex } from '../../base/bytes.ts'
import { PeerlogError } from '../../base/errors.ts'
import type { Topic } from '../../topic/topic.ts'
import { assertNoIteration, assertTopic, ConnectionFeed } from '../connection-feed.ts'
import type { Connection, Outlook, PeerInfo, Transport } from '../transport.ts'
import { within } from '../within.ts'
import type { FaultKind, Faults } from './faults.ts'
import { FaultyConnection } from './faulty-connection.ts'
import { Plan } from './plan.ts'

export interface FaultyTransportOptions {
  /** Whole number that all chance comes from. What happens to the n-th message of the m-th connection is the same for the same seed. */
  seed: number
  /** The faults to begin with; default none. */
  faults?: Partial<Faults>
  /** True for a transport whose messages may be lost one by one, come twice or in another order; default false. */
  datagrams?: boolean
}

/** A transport with faults between it and its peers. Wrap those of one peer or of all. */
export interface FaultyTransport extends Transport {
  readonly seed: number
  /** How often each fault has happened. */
  readonly counts: Readonly<Record<FaultKind, number>>
  /** What the wrapped transport did that no transport may do, in words; empty if all is well. */
  readonly breaches: readonly string[]
  /**
   * Changes some faults from now on; those that happen a number of times count from here.
   * @throws {PeerlogError} `INVALID_ARGUMENT`
   */
  set(faults: Partial<Faults>): void
  /** Ends every fault: what was held up goes on, and connections that lost or changed a message are closed. */
  heal(): void
  /** Loses the connections to the peer, or all, abruptly. They come back as the wrapped transport brings them. */
  cut(peerId?: string): void
}

/** Milliseconds that `disconnect` gives to what is still on its way. */
const GOODBYE_MS = 1000

/** @throws {PeerlogError} `INVALID_ARGUMENT` for a seed or faults that are not usable. */
export function faultyTransport(transport: Transport, options: FaultyTransportOptions): FaultyTransport {
  return new Faulty(transport, options)
}

interface TopicState {
  feed: ConnectionFeed | null
  connections: Set<FaultyConnection>
  /** The end of the wrapped transport's iteration, once ours has ended. */
  ending: Promise<void>
}

class Faulty implements FaultyTransport {
  readonly name: string
  readonly refresh?: (topic: Topic) => void
  readonly suspend?: () => Promise<void>
  readonly resume?: () => Promise<void>
  readonly outlook?: (peerId: string) => Outlook
  readonly #inner: Transport
  readonly #plan: Plan
  readonly #topics: Map<string, TopicState> = new Map()
  #connections = 0
  #disconnected: Promise<void> | null = null

  constructor(inner: Transport, { seed, faults = {}, datagrams = false }: FaultyTransportOptions) {
    if (!Number.isSafeInteger(seed)) {
      throw new PeerlogError('INVALID_ARGUMENT', `seed is ${String(seed)}`, { hint: 'Give a whole number' })
    }
    this.name = inner.name
    this.#inner = inner
    this.#plan = new Plan(seed, datagrams)
    this.#plan.change(faults)
    if (inner.refresh !== undefined) this.refresh = (topic) => inner.refresh?.(topic)
    if (inner.suspend !== undefined) this.suspend = () => inner.suspend?.() ?? Promise.resolve()
    if (inner.resume !== undefined) this.resume = () => inner.resume?.() ?? Promise.resolve()
    if (inner.outlook !== undefined) this.outlook = (peerId) => inner.outlook?.(peerId) ?? 'pending'
  }

  get seed(): number {
    return this.#plan.seed
  }

  get counts(): Readonly<Record<FaultKind, number>> {
    return this.#plan.counts
  }

  get breaches(): readonly string[] {
    return this.#plan.breaches
  }

  set(faults: Partial<Faults>): void {
    this.#plan.change(faults)
  }

  heal(): void {
    this.#plan.clear()
    for (const connection of this.#all()) {
      if (connection.harmed) connection.sever('healed')
      else connection.release()
    }
  }

  cut(peerId?: string): void {
    for (const connection of this.#all()) {
      if (peerId !== undefined && connection.peerId !== peerId) continue
      this.#plan.counts.cut++
      connection.sever('cut')
    }
  }

  announce(topic: Topic): Promise<void> {
    return this.#inner.announce(topic)
  }

  lookup(topic: Topic): Promise<PeerInfo[]> {
    return this.#inner.lookup(topic)
  }

  connect(topic: Topic, options: { signal?: AbortSignal } = {}): AsyncIterable<Connection> {
    assertTopic(topic)
    return { [Symbol.asyncIterator]: () => this.#iterate(topic, options.signal) }
  }

  disconnect(): Promise<void> {
    this.#disconnected ??= this.#shutDown()
    return this.#disconnected
  }

  #iterate(topic: Topic, signal: AbortSignal | undefined): ConnectionFeed {
    const state = this.#state(topic)
    assertNoIteration(state.feed)
    const stop = new AbortController()
    let reading: Promise<void> = Promise.resolve()
    const feed: ConnectionFeed = new ConnectionFeed(signal, () => {
      state.feed = null
      state.ending = this.#end(state, stop, reading)
      return state.ending
    })
    if (this.#disconnected !== null) void feed.end()
    if (feed.ended) return feed
    state.feed = feed
    reading = this.#read(topic, state, feed, stop.signal)
    return feed
  }

  async #read(topic: Topic, state: TopicState, feed: ConnectionFeed, signal: AbortSignal): Promise<void> {
    // The wrapped transport has one iteration per topic, too.
    await state.ending
    if (signal.aborted) return
    for await (const connection of this.#inner.connect(topic, { signal })) this.#take(connection, state, feed)
    // Not awaited: it waits for this.
    void feed.end()
  }

  #take(inner: Connection, state: TopicState, feed: ConnectionFeed): void {
    const connection = new FaultyConnection(inner, this.#plan, this.#connections++)
    state.connections.add(connection)
    void connection.ended.then(() => state.connections.delete(connection))
    feed.push(connection)
    if (this.#plan.takesConnection('twice')) feed.push(connection)
    if (this.#plan.takesConnection('storm')) connection.sever('lost')
  }

  /** What was sent is handed on first. */
  async #end(state: TopicState, stop: AbortController, reading: Promise<void>): Promise<void> {
    await Promise.all([...state.connections].map((connection) => connection.close()))
    stop.abort()
    await reading
  }

  async #shutDown(): Promise<void> {
    const feeds = [...this.#topics.values()].flatMap(({ feed }) => feed?.end() ?? [])
    await within(GOODBYE_MS, Promise.all(feeds))
    for (const connection of this.#all()) connection.sever('disconnected')
    await this.#inner.disconnect()
  }

  #all(): FaultyConnection[] {
    return [...this.#topics.values()].flatMap(({ connections }) => [...connections])
  }

  #state(topic: Topic): TopicState {
    const key = toHex(topic)
    let state = this.#topics.get(key)
    if (state === undefined) {
      state = { feed: null, connections: new Set(), ending: Promise.resolve() }
      this.#topics.set(key, state)
    }
    return state
  }
}

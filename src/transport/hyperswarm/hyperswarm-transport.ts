import type NoiseSecretStream from '@hyperswarm/secret-stream'
import { keyPair as newKeyPair } from 'hypercore-crypto'
import HyperDHT from 'hyperdht'
import Hyperswarm from 'hyperswarm'
import { asBuffer, equalBytes, toHex } from '../../base/bytes.ts'
import { PeerlogError } from '../../base/errors.ts'
import { DEFAULT_TIMEOUT_MS, MAX_INCOMING_PEERS, MAX_OUTGOING_PEERS } from '../../base/limits.ts'
import type { Topic } from '../../topic/topic.ts'
import type { Channel } from '../channel.ts'
import { assertNoIteration, assertTopic, ConnectionFeed } from '../connection-feed.ts'
import type { Connection, NoiseKeyPair, Outlook, PeerInfo, Transport } from '../transport.ts'
import { within } from '../within.ts'
import { Dials } from './dials.ts'
import { Link } from './link.ts'
import { Reachability } from './reachability.ts'
import { TopicSearch } from './topic-search.ts'

export interface HyperswarmOptions {
  /** DHT nodes to start from, instead of the public ones; with loopback addresses only, we stay on the loopback too. */
  bootstrap?: { host: string; port: number }[]
  /** The identity of this peer; default a new random one. */
  keyPair?: NoiseKeyPair
  /** Milliseconds for an announcement, and for a link to a peer to come to something; default 30 000. */
  timeoutMs?: number
  /** A HyperDHT node to use instead of one of our own. `disconnect` destroys it. */
  dht?: object
}

/** Milliseconds before Hyperswarm dials a lost peer again, by attempt; then the search finds it anew. */
const REDIAL_MS: [number, number, number, number] = [250, 1000, 4000, 60_000]
const REDIAL_JITTER_MS = 250
const PARALLEL_DIALS = 8
/** Milliseconds that `disconnect` gives to peers for acknowledging, and to the DHT for forgetting us. */
const GOODBYE_MS = 1000
const UNANNOUNCE_MS = 3000
const RETRY_ANNOUNCE_MS = 500

interface TopicState {
  topic: Topic
  announced: boolean
  feed: ConnectionFeed | null
  search: TopicSearch | null
  channels: Set<Channel>
}

/** Straight to the peers: found through a DHT, reached through NATs, encrypted with Noise. */
export function hyperswarmTransport(options: HyperswarmOptions = {}): Transport & { readonly publicKey: Uint8Array } {
  return new HyperswarmTransport(options)
}

class HyperswarmTransport implements Transport {
  readonly name = 'hyperswarm'
  readonly publicKey: Uint8Array
  readonly #options: HyperswarmOptions
  readonly #keyPair: NoiseKeyPair
  readonly #timeoutMs: number
  readonly #topics: Map<string, TopicState> = new Map()
  readonly #links: Set<Link> = new Set()
  readonly #dials = new Dials()
  readonly #stop = new AbortController()
  #swarm: Hyperswarm | null = null
  #reachability: Reachability | null = null
  #suspended: Promise<void> | null = null
  #disconnected: Promise<void> | null = null

  constructor(options: HyperswarmOptions) {
    this.#options = options
    const { publicKey, secretKey } = options.keyPair ?? newKeyPair()
    this.#keyPair = { publicKey: asBuffer(publicKey), secretKey: asBuffer(secretKey) }
    this.#timeoutMs = options.timeoutMs ?? DEFAULT_TIMEOUT_MS
    this.publicKey = publicKey
  }

  async announce(topic: Topic): Promise<void> {
    assertTopic(topic)
    this.#assertOpen()
    const state = this.#state(topic)
    state.announced = true
    const deadline = Date.now() + this.#timeoutMs
    for (;;) {
      let announced = false
      const telling = this.#search(state, { server: true }).then((done) => (announced = done))
      const inTime = await within(deadline - Date.now(), telling)
      this.#assertOpen()
      if (announced) return
      if (!inTime || Date.now() >= deadline) {
        throw this.#suspended === null ? unreachable(this.#timeoutMs) : suspendedError()
      }
      await this.#sleep(RETRY_ANNOUNCE_MS)
    }
  }

  async lookup(topic: Topic): Promise<PeerInfo[]> {
    assertTopic(topic)
    this.#assertOpen()
    if (this.#suspended !== null) throw suspendedError()
    const query = this.#open().dht.lookup(topic)
    const cancel = (): void => query.destroy()
    this.#stop.signal.addEventListener('abort', cancel)
    const timer = setTimeout(cancel, this.#timeoutMs)
    const found = new Map<string, PeerInfo>()
    try {
      for await (const reply of query) {
        for (const { publicKey } of reply.peers) {
          if (!equalBytes(publicKey, this.publicKey)) found.set(toHex(publicKey), this.#peerInfo(toHex(publicKey)))
        }
      }
    } catch (cause) {
      if (found.size === 0 && !this.#stop.signal.aborted) throw unreachable(this.#timeoutMs, cause)
    } finally {
      clearTimeout(timer)
      this.#stop.signal.removeEventListener('abort', cancel)
    }
    return [...found.values()]
  }

  connect(topic: Topic, options: { signal?: AbortSignal } = {}): AsyncIterable<Connection> {
    assertTopic(topic)
    return { [Symbol.asyncIterator]: () => this.#iterate(topic, options.signal) }
  }

  refresh(topic: Topic): void {
    assertTopic(topic)
    const swarm = this.#swarm
    const state = this.#topics.get(toHex(topic))
    if (swarm === null || state?.search == null || this.#suspended !== null || this.#stop.signal.aborted) return
    for (const link of this.#links) link.makeSure()
    // Dials those that are known, however often that has failed. Its own searches dial those that are found.
    for (const { publicKey, topics } of swarm.peers.values()) {
      if (!topics.some((known) => equalBytes(known, topic))) continue
      swarm.joinPeer(publicKey)
      swarm.leavePeer(publicKey)
    }
    swarm.server.refresh()
    void state.search.update()
  }

  suspend(): Promise<void> {
    this.#suspended ??= this.#fallSilent()
    return this.#suspended
  }

  async resume(): Promise<void> {
    const suspended = this.#suspended
    if (suspended === null) return
    await suspended
    if (this.#suspended !== suspended || this.#stop.signal.aborted) return
    await this.#swarm?.resume()
    this.#suspended = null
    this.#reachability?.resume()
    for (const state of this.#topics.values()) {
      if (state.search !== null) state.search.resume()
      else if (state.feed !== null || state.announced) {
        void this.#search(state, { client: state.feed !== null, server: state.announced })
      }
    }
  }

  outlook(peerId: string): Outlook {
    const [swarm, reachability] = [this.#swarm, this.#reachability]
    if (swarm === null || reachability === null || this.#suspended !== null) return 'pending'
    if (reachability.blocked) return 'udp-blocked'
    switch (this.#dials.outcomeOf(peerId)) {
      case 'failed':
        return 'holepunch-failed'
      case 'not-found':
        return 'not-found'
      case 'dialling':
        return 'pending'
      case undefined: {
        const searches = [...this.#topics.values()].filter(({ feed }) => feed !== null)
        const searched = searches.length > 0 && searches.every(({ search }) => search?.searched === true)
        return searched && !swarm.peers.has(peerId) ? 'not-found' : 'pending'
      }
    }
  }

  disconnect(): Promise<void> {
    this.#disconnected ??= this.#shutDown()
    return this.#disconnected
  }

  // ---- topics -----------------------------------------------------------------------------------------------------

  #iterate(topic: Topic, signal: AbortSignal | undefined): ConnectionFeed {
    const state = this.#state(topic)
    assertNoIteration(state.feed)
    const feed: ConnectionFeed = new ConnectionFeed(signal, () => this.#endFeed(state, feed))
    if (this.#stop.signal.aborted) void feed.end()
    if (feed.ended) return feed
    state.feed = feed
    void this.#search(state, { client: true })
    for (const link of this.#links) link.join(topic)
    return feed
  }

  async #endFeed(state: TopicState, feed: ConnectionFeed): Promise<void> {
    if (state.feed !== feed) return
    state.feed = null
    const leaving = [...this.#links].map((link) => link.leave(state.topic))
    if (state.announced) {
      void this.#search(state, { client: false })
    } else {
      void state.search?.stop()
      state.search = null
    }
    await Promise.all(leaving)
  }

  #state(topic: Topic): TopicState {
    const key = toHex(topic)
    let state = this.#topics.get(key)
    if (state === undefined) {
      state = { topic: Uint8Array.from(topic), announced: false, feed: null, search: null, channels: new Set() }
      this.#topics.set(key, state)
    }
    return state
  }

  #search(state: TopicState, flags: { client?: boolean; server?: boolean }): Promise<boolean> {
    if (this.#stop.signal.aborted) return Promise.resolve(false)
    if (state.search === null) {
      // `resume` makes up for it.
      if (this.#suspended !== null) return Promise.resolve(false)
      const swarm = this.#open()
      const isAnswered = (): boolean => this.#reachability?.answered === true
      state.search = new TopicSearch(swarm, state.topic, { client: false, server: false, ...flags }, isAnswered)
      state.search.setConnected(state.channels.size > 0)
    }
    return state.search.update(flags)
  }

  // ---- links ------------------------------------------------------------------------------------------------------

  #open(): Hyperswarm {
    if (this.#swarm !== null) return this.#swarm
    const { bootstrap } = this.#options
    const dht =
      (this.#options.dht as HyperDHT | undefined) ??
      new HyperDHT({
        keyPair: this.#keyPair,
        ...(bootstrap === undefined ? {} : { bootstrap }),
        ...(bootstrap?.every(isLoopback) === true ? { host: '127.0.0.1' } : {}),
      })
    dht.on('error', () => {})
    this.#dials.watch(dht)
    this.#reachability = new Reachability(dht, { onOpen: () => this.#onReachable() })
    this.#swarm = new Hyperswarm({
      dht,
      keyPair: this.#keyPair,
      maxPeers: MAX_OUTGOING_PEERS + MAX_INCOMING_PEERS,
      maxClientConnections: MAX_OUTGOING_PEERS,
      maxParallel: PARALLEL_DIALS,
      backoffs: REDIAL_MS,
      jitter: REDIAL_JITTER_MS,
    })
    this.#swarm.on('error', () => {})
    this.#swarm.on('connection', (stream) => this.#onStream(stream))
    return this.#swarm
  }

  /** UDP has been blocked and is open again. HyperDHT by itself would take minutes to tell anybody where we are. */
  #onReachable(): void {
    this.#dials.clear()
    this.#swarm?.dht.health.reset()
    this.#swarm?.server.refresh()
    for (const { search } of this.#topics.values()) search?.again()
  }

  #onStream(stream: NoiseSecretStream): void {
    // A peer that goes away shows up as ECONNRESET; unheard, it would end the process.
    stream.on('error', () => {})
    if (this.#stop.signal.aborted || this.#suspended !== null || this.#refuses(stream)) return stream.destroy()
    const link = new Link(stream, this.#timeoutMs, {
      onChannel: (topic, channel) => this.#onChannel(topic, channel),
      onChannelEnd: (topic, channel) => this.#onChannelEnd(topic, channel),
      onLinkEnd: () => this.#links.delete(link),
    })
    this.#links.add(link)
    this.#dials.forget(link.peerId)
    for (const state of this.#topics.values()) if (state.feed !== null) link.join(state.topic)
  }

  #refuses(stream: NoiseSecretStream): boolean {
    if (equalBytes(stream.remotePublicKey, this.publicKey)) return true
    if (stream.isInitiator) return false
    const incoming = [...this.#links].filter((link) => link.incoming && !link.ending)
    if (incoming.length < MAX_INCOMING_PEERS) return false
    // Whoever only holds a place keeps nobody out.
    const oldest = incoming.find((link) => link.idle)
    oldest?.destroy()
    return oldest === undefined
  }

  #onChannel(topic: Topic, channel: Channel): void {
    const state = this.#state(topic)
    if (state.feed === null) return void channel.close()
    state.channels.add(channel)
    state.search?.setConnected(true)
    state.feed.push(channel)
  }

  #onChannelEnd(topic: Topic, channel: Channel): void {
    const state = this.#state(topic)
    state.channels.delete(channel)
    state.search?.setConnected(state.channels.size > 0)
  }

  #peerInfo(id: string): PeerInfo {
    for (const link of this.#links) {
      if (link.peerId !== id) continue
      const { address } = link
      return address === undefined ? { id, connected: true } : { id, address, connected: true }
    }
    return { id, connected: false }
  }

  // ---- the end ----------------------------------------------------------------------------------------------------

  async #fallSilent(): Promise<void> {
    this.#reachability?.stop()
    for (const { search } of this.#topics.values()) search?.pause()
    const topics = [...this.#topics.values()].map(({ topic }) => topic)
    const leaving = [...this.#links].flatMap((link) => topics.map((topic) => link.leave(topic, 'suspended')))
    await within(GOODBYE_MS, Promise.all(leaving))
    await this.#endLinks()
    await this.#swarm?.suspend()
  }

  /** A link ends by itself as soon as the peer has acknowledged that its channels are closed. */
  async #endLinks(): Promise<void> {
    for (const link of this.#links) if (!link.busy) link.destroy()
    await within(GOODBYE_MS, Promise.all([...this.#links].map((link) => link.closed)))
    for (const link of this.#links) link.destroy()
  }

  async #shutDown(): Promise<void> {
    this.#stop.abort()
    this.#reachability?.stop()
    await this.#suspended
    const feeds = [...this.#topics.values()].flatMap((state) => state.feed?.end() ?? [])
    await within(GOODBYE_MS, Promise.all(feeds))
    await this.#endLinks()
    for (const state of this.#topics.values()) void state.search?.stop()
    const swarm = this.#swarm
    if (swarm === null) return
    const destroyed = swarm.destroy().catch(() => {})
    // Without a DHT node that answers there is nobody to take an announcement back from.
    const patience = swarm.dht.bootstrapped ? UNANNOUNCE_MS : 0
    if (await within(patience, destroyed)) return
    await swarm.dht.destroy({ force: true }).catch(() => {})
    await within(UNANNOUNCE_MS, destroyed)
  }

  #assertOpen(): void {
    if (this.#stop.signal.aborted) throw new PeerlogError('CLOSED', 'The transport has been disconnected')
  }

  #sleep(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        clearTimeout(timer)
        this.#stop.signal.removeEventListener('abort', done)
        resolve()
      }
      const timer = setTimeout(done, ms)
      this.#stop.signal.addEventListener('abort', done)
    })
  }
}

function isLoopback({ host }: { host: string }): boolean {
  return host === 'localhost' || host === '::1' || host.startsWith('127.')
}

function suspendedError(): PeerlogError {
  return new PeerlogError('TIMEOUT', 'The transport is suspended', { hint: 'Call resume() first' })
}

function unreachable(timeoutMs: number, cause?: unknown): PeerlogError {
  return new PeerlogError('TIMEOUT', `No DHT node answered within ${timeoutMs} ms`, {
    hint: 'UDP may be blocked here: use { mode: "relay", relayUrl }, or check `bootstrap`',
    cause,
  })
}

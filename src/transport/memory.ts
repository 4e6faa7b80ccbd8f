import { keyPair as newKeyPair, randomBytes } from 'hypercore-crypto'
import { toHex } from '../base/bytes.ts'
import { PeerlogError } from '../base/errors.ts'
import { RECONNECT_MIN_MS } from '../base/limits.ts'
import type { Topic } from '../topic/topic.ts'
import { Channel } from './channel.ts'
import type { ChannelLink } from './channel.ts'
import { assertNoIteration, assertTopic, ConnectionFeed } from './connection-feed.ts'
import type { Connection, NoiseKeyPair, PeerInfo, Transport } from './transport.ts'
import { within } from './within.ts'

const HANDSHAKE_HASH_BYTES = 64
/** Milliseconds that `disconnect` gives to peers for reading what was sent before. */
const GOODBYE_MS = 1000

/** Peers of one process, connected without a network but under the same rules: for tests, simulators and examples. */
export interface MemoryNetwork {
  createTransport(options?: { keyPair?: NoiseKeyPair }): Transport
}

export function memoryNetwork(): MemoryNetwork {
  const peers = new Set<MemoryTransport>()
  return { createTransport: (options = {}) => new MemoryTransport(peers, options.keyPair ?? newKeyPair()) }
}

interface TopicState {
  topic: Topic
  announced: boolean
  feed: ConnectionFeed | null
  /** By peer id. */
  channels: Map<string, Channel>
  /** Peers that were lost lately, by id: when to try them again. */
  waiting: Map<string, NodeJS.Timeout>
}

class MemoryTransport implements Transport {
  readonly name = 'memory'
  readonly #id: string
  readonly #peers: Set<MemoryTransport>
  readonly #topics: Map<string, TopicState> = new Map()
  #suspended = false
  #disconnected = false

  constructor(peers: Set<MemoryTransport>, keyPair: NoiseKeyPair) {
    this.#id = toHex(keyPair.publicKey)
    this.#peers = peers
    peers.add(this)
  }

  async announce(topic: Topic): Promise<void> {
    assertTopic(topic)
    if (this.#disconnected) throw new PeerlogError('CLOSED', 'The transport has been disconnected')
    this.#state(topic).announced = true
    this.#meet(topic)
  }

  async lookup(topic: Topic): Promise<PeerInfo[]> {
    assertTopic(topic)
    if (this.#disconnected) throw new PeerlogError('CLOSED', 'The transport has been disconnected')
    const found = new Map<string, PeerInfo>()
    for (const peer of this.#peers) {
      if (peer.#id === this.#id || peer.#suspended || !peer.#state(topic).announced) continue
      const connected = [...this.#topics.values()].some((state) => state.channels.has(peer.#id))
      found.set(peer.#id, { id: peer.#id, address: 'memory', connected })
    }
    return [...found.values()]
  }

  connect(topic: Topic, options: { signal?: AbortSignal } = {}): AsyncIterable<Connection> {
    assertTopic(topic)
    return { [Symbol.asyncIterator]: () => this.#iterate(topic, options.signal) }
  }

  refresh(topic: Topic): void {
    assertTopic(topic)
    const state = this.#state(topic)
    for (const timer of state.waiting.values()) clearTimeout(timer)
    state.waiting.clear()
    this.#meet(topic)
  }

  async suspend(): Promise<void> {
    this.#suspended = true
    const channels = [...this.#topics.values()].flatMap((state) => [...state.channels.values()])
    await within(GOODBYE_MS, Promise.all(channels.map((channel) => channel.close('suspended'))))
    for (const channel of channels) channel.abort()
  }

  async resume(): Promise<void> {
    if (!this.#suspended) return
    this.#suspended = false
    for (const { topic } of this.#topics.values()) this.refresh(topic)
  }

  async disconnect(): Promise<void> {
    this.#disconnected = true
    this.#peers.delete(this)
    const states = [...this.#topics.values()]
    for (const state of states) state.announced = false
    const channels = states.flatMap((state) => [...state.channels.values()])
    await within(GOODBYE_MS, Promise.all(states.flatMap((state) => state.feed?.end() ?? [])))
    for (const channel of channels) channel.abort()
  }

  #iterate(topic: Topic, signal: AbortSignal | undefined): ConnectionFeed {
    const state = this.#state(topic)
    assertNoIteration(state.feed)
    const feed: ConnectionFeed = new ConnectionFeed(signal, () => this.#endFeed(state, feed))
    if (this.#disconnected) void feed.end()
    if (feed.ended) return feed
    state.feed = feed
    this.#meet(topic)
    return feed
  }

  async #endFeed(state: TopicState, feed: ConnectionFeed): Promise<void> {
    if (state.feed !== feed) return
    state.feed = null
    for (const timer of state.waiting.values()) clearTimeout(timer)
    state.waiting.clear()
    await Promise.all([...state.channels.values()].map((channel) => channel.close()))
  }

  #state(topic: Topic): TopicState {
    const key = toHex(topic)
    let state = this.#topics.get(key)
    if (state === undefined) {
      state = {
        topic: Uint8Array.from(topic),
        announced: false,
        feed: null,
        channels: new Map(),
        waiting: new Map(),
      }
      this.#topics.set(key, state)
    }
    return state
  }

  /** Connects us to every peer of the topic that we may be connected to and are not. */
  #meet(topic: Topic): void {
    for (const peer of this.#peers) this.#meetPeer(topic, peer)
  }

  #meetPeer(topic: Topic, peer: MemoryTransport): void {
    const ours = this.#state(topic)
    const theirs = peer.#state(topic)
    if (this.#id === peer.#id || ours.feed === null || theirs.feed === null) return
    if (!ours.announced && !theirs.announced) return
    if (this.#suspended || peer.#suspended) return
    if (ours.channels.has(peer.#id) || theirs.channels.has(this.#id)) return
    if (ours.waiting.has(peer.#id) || theirs.waiting.has(this.#id)) return
    const handshakeHash = randomBytes(HANDSHAKE_HASH_BYTES)
    const wire = new Wire((side) => {
      if (side === 0) this.#onEnd(ours, peer)
      else peer.#onEnd(theirs, this)
    })
    const here = new Channel({ peerId: peer.#id, initiator: true, handshakeHash }, wire.side(0))
    const there = new Channel({ peerId: this.#id, initiator: false, handshakeHash }, wire.side(1))
    wire.attach(here, there)
    ours.channels.set(peer.#id, here)
    theirs.channels.set(this.#id, there)
    ours.feed.push(here)
    theirs.feed.push(there)
  }

  #onEnd(state: TopicState, peer: MemoryTransport): void {
    state.channels.delete(peer.#id)
    if (state.feed === null) return
    const timer = setTimeout(() => {
      state.waiting.delete(peer.#id)
      // It may have come back meanwhile, as another transport with the same identity.
      this.#meet(state.topic)
    }, RECONNECT_MIN_MS)
    state.waiting.set(peer.#id, timer)
  }
}

/** Carries what two channels say to each other, later and in order. */
class Wire {
  readonly #onEnd: (side: 0 | 1) => void
  readonly #ends: (Channel | null)[] = [null, null]
  readonly #inboxes: (() => void)[][] = [[], []]

  /** `onEnd` is told of each side's end once. */
  constructor(onEnd: (side: 0 | 1) => void) {
    this.#onEnd = onEnd
  }

  attach(first: Channel, second: Channel): void {
    this.#ends[0] = first
    this.#ends[1] = second
  }

  side(side: 0 | 1): ChannelLink {
    const other = side === 0 ? 1 : 0
    return {
      writable: true,
      sendData: (message) => {
        // A copy, as over any network: neither peer sees what the other does to the bytes.
        const bytes = Uint8Array.from(message)
        this.#deliver(other, (channel) => channel.onData(bytes))
      },
      sendCredit: (bytes) => this.#deliver(other, (channel) => channel.onCredit(bytes)),
      sendClose: (reason) => {
        this.#end(side)
        this.#deliver(other, (channel) => {
          channel.onClose(reason)
          this.#end(other)
        })
      },
    }
  }

  #deliver(to: 0 | 1, message: (channel: Channel) => void): void {
    const inbox = this.#inboxes[to] as (() => void)[]
    if (inbox.length === 0) setImmediate(() => this.#flush(to))
    inbox.push(() => {
      const channel = this.#ends[to]
      if (channel != null) message(channel)
    })
  }

  #flush(to: 0 | 1): void {
    for (const deliver of (this.#inboxes[to] as (() => void)[]).splice(0)) deliver()
  }

  #end(side: 0 | 1): void {
    if (this.#ends[side] === null) return
    this.#ends[side] = null
    this.#onEnd(side)
  }
}

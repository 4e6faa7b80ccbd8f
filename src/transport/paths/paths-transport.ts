import { setTimeout as sleep } from 'node:timers/promises'
import { randomBytes } from 'hypercore-crypto'
import { Backoff } from '../../base/backoff.ts'
import { toHex } from '../../base/bytes.ts'
import { PeerlogError } from '../../base/errors.ts'
import type { Topic } from '../../topic/topic.ts'
import { assertNoIteration, assertTopic, ConnectionFeed } from '../connection-feed.ts'
import type { DatagramChannel } from '../datagrams.ts'
import type { Connection, Outlook, PeerInfo, Transport } from '../transport.ts'
import { within } from '../within.ts'
import { INCARNATION_BYTES } from './frames.ts'
import { GOODBYE_MS, LOOKUP_PATIENCE_MS } from './limits.ts'
import type { Interfaces } from './network-watch.ts'
import { NetworkWatch } from './network-watch.ts'
import type { Ourselves } from './peer-lives.ts'
import type { ChildTransport } from './topic-paths.ts'
import { TopicPaths } from './topic-paths.ts'

export interface PathsOptions {
  /** What the combination is called; default the names of the transports. */
  name?: string
  /** Milliseconds for the handshake of a path. */
  timeoutMs?: number
  /**
   * Told whenever one of the transports can't announce or connect. Announcements are tried again for ever then; without it,
   * they fail when they have failed everywhere.
   */
  onProblem?: (transport: string, error: unknown) => void
  /** The network interfaces of this machine; default `os.networkInterfaces`. */
  interfaces?: () => Interfaces
  /** Milliseconds between two looks at them. */
  networkPollMs?: number
}

/** A transport, and whether the combination disconnects it. */
export interface PathsChild {
  transport: Transport
  owned: boolean
}

/**
 * Several transports as one, whose connections go over whichever way is best and outlive the loss of any. A single
 * transport is combined too: all peers of a database speak the same. Those named 'relay' are used where no other works.
 * A single transport that is a combination already, and is not owned, is returned as it is.
 */
export function combineTransports(children: readonly PathsChild[], options: PathsOptions = {}): Transport {
  const [sole] = children
  const isSole = children.length === 1 && sole?.transport instanceof PathsTransport
  if (isSole && !sole.owned) return sole.transport
  // Two of these layers, one over the other, would be understood by nobody else.
  const flat = children.flatMap(({ transport, owned }) =>
    transport instanceof PathsTransport
      ? transport.children.map((child) => ({ transport: child.transport, owned: owned && child.owned }))
      : [{ transport, owned }],
  )
  return new PathsTransport(flat, isSole ? { name: sole.transport.name, ...options } : options)
}

interface TopicState {
  topic: Topic
  current: TopicPaths | null
  /** The end of the iteration before. */
  before: Promise<unknown> | null
  announcements: Map<Transport, Announcement>
}

class PathsTransport implements Transport {
  readonly name: string
  readonly children: readonly ChildTransport[]
  readonly #options: PathsOptions
  readonly #ourselves: Ourselves = { incarnation: randomBytes(INCARNATION_BYTES), begun: 0 }
  readonly #topics: Map<string, TopicState> = new Map()
  readonly #stop = new AbortController()
  readonly #stopped: Promise<void> = new Promise((resolve) => {
    this.#stop.signal.addEventListener('abort', () => resolve(), { once: true })
  })
  #watch: NetworkWatch | null = null
  #isSuspended = false
  #disconnected: Promise<void> | null = null

  constructor(children: readonly PathsChild[], options: PathsOptions) {
    const names = children.map(({ transport }) => transport.name)
    this.name = options.name ?? [...new Set(names)].join('+')
    this.#options = options
    this.children = children.map(({ transport, owned }, i) => {
      const { name } = transport
      return { transport, owned, name, rank: name === 'relay' ? i : i - children.length }
    })
  }

  async announce(topic: Topic): Promise<void> {
    assertTopic(topic)
    this.#assertOpen()
    this.#watchNetwork()
    const { announcements } = this.#state(topic)
    for (const { transport, name } of this.children) {
      if (announcements.has(transport)) continue
      const onFailure = (error: unknown): void => this.#options.onProblem?.(name, error)
      announcements.set(transport, new Announcement(transport, topic, this.#stop.signal, onFailure))
    }
    for (;;) {
      const outcomes = [...announcements.values()].map(({ outcome }) => outcome)
      try {
        await Promise.race([Promise.any(outcomes), this.#stopped])
        return this.#assertOpen()
      } catch (error) {
        this.#assertOpen()
        if (this.#options.onProblem === undefined) throw firstOf(error)
      }
    }
  }

  async lookup(topic: Topic): Promise<PeerInfo[]> {
    assertTopic(topic)
    this.#assertOpen()
    const found: Map<string, PeerInfo> = new Map()
    const lookups = this.children.map(async ({ transport }) => {
      for (const peer of await transport.lookup(topic)) {
        const known = found.get(peer.id)
        found.set(peer.id, { ...peer, ...known, connected: peer.connected || known?.connected === true })
      }
    })
    try {
      await Promise.any(lookups)
    } catch (error) {
      throw firstOf(error)
    }
    // Where UDP is blocked, say, it takes long to find that out.
    await within(LOOKUP_PATIENCE_MS, Promise.allSettled(lookups))
    return [...found.values()]
  }

  connect(topic: Topic, options: { signal?: AbortSignal } = {}): AsyncIterable<Connection> {
    assertTopic(topic)
    return { [Symbol.asyncIterator]: () => this.#iterate(topic, options.signal) }
  }

  refresh(topic: Topic): void {
    this.#topics.get(toHex(topic))?.current?.search(null)
  }

  async suspend(): Promise<void> {
    if (this.#disconnected !== null) return
    this.#isSuspended = true
    const topics = this.#iterations()
    for (const paths of topics) paths.isSuspended = true
    await Promise.all(topics.map((paths) => paths.closeAll('suspended')))
    await Promise.all(this.#owned.map(async (transport) => transport.suspend?.()))
  }

  async resume(): Promise<void> {
    if (this.#disconnected !== null) return
    this.#isSuspended = false
    for (const paths of this.#iterations()) paths.isSuspended = false
    await Promise.all(this.#owned.map(async (transport) => transport.resume?.()))
  }

  datagrams(topic: Topic): DatagramChannel[] {
    return this.children.flatMap(({ transport }) => transport.datagrams?.(topic) ?? [])
  }

  outlook(peerId: string): Outlook {
    for (const { transport } of this.children) {
      const outlook = transport.outlook?.(peerId) ?? 'pending'
      if (outlook !== 'pending') return outlook
    }
    return 'pending'
  }

  disconnect(): Promise<void> {
    this.#disconnected ??= this.#shutDown()
    return this.#disconnected
  }

  // ---- topics -----------------------------------------------------------------------------------------------------

  #iterate(topic: Topic, signal: AbortSignal | undefined): ConnectionFeed {
    const state = this.#state(topic)
    assertNoIteration(state.current?.feed)
    const paths: TopicPaths = new TopicPaths(topic, this.children, this.#ourselves, {
      signal,
      timeoutMs: this.#options.timeoutMs,
      onProblem: this.#options.onProblem,
      onEnd: () => {
        if (state.current === paths) state.current = null
        state.before = paths.feed.end()
      },
    })
    if (this.#disconnected !== null) void paths.feed.end()
    if (paths.feed.ended) return paths.feed
    this.#watchNetwork()
    paths.isSuspended = this.#isSuspended
    state.current = paths
    try {
      paths.start(state.before)
    } catch (error) {
      void paths.feed.end()
      throw error
    }
    return paths.feed
  }

  #state(topic: Topic): TopicState {
    const key = toHex(topic)
    let state = this.#topics.get(key)
    if (state === undefined) {
      state = { topic: Uint8Array.from(topic), current: null, before: null, announcements: new Map() }
      this.#topics.set(key, state)
    }
    return state
  }

  #iterations(): TopicPaths[] {
    return [...this.#topics.values()].flatMap(({ current }) => current ?? [])
  }

  #watchNetwork(): void {
    if (this.#watch !== null || this.children.every(({ name }) => name === 'disabled')) return
    const { interfaces, networkPollMs } = this.#options
    this.#watch = new NetworkWatch(() => this.#onNetworkChange(), interfaces, networkPollMs)
  }

  #onNetworkChange(): void {
    if (this.#isSuspended) return
    for (const paths of this.#iterations()) paths.probe()
  }

  // ---- the end ----------------------------------------------------------------------------------------------------

  async #shutDown(): Promise<void> {
    this.#stop.abort()
    this.#watch?.stop()
    const topics = this.#iterations()
    const ended = Promise.all([...topics.map((paths) => paths.feed.end()), ...this.#endings()])
    await within(GOODBYE_MS, ended)
    for (const paths of topics) paths.abort()
    await Promise.all(this.#owned.map((transport) => transport.disconnect()))
    await within(GOODBYE_MS, ended)
  }

  #endings(): Promise<unknown>[] {
    return [...this.#topics.values()].flatMap(({ before }) => before ?? [])
  }

  get #owned(): Transport[] {
    return this.children.flatMap(({ transport, owned }) => (owned ? [transport] : []))
  }

  #assertOpen(): void {
    if (this.#disconnected !== null) throw new PeerlogError('CLOSED', 'The transport has been disconnected')
  }
}

/** Announces a topic on one transport, as often as it takes. */
class Announcement {
  readonly #announce: () => Promise<void>
  readonly #stop: AbortSignal
  readonly #onFailure: (error: unknown) => void
  readonly #backoff = new Backoff()
  #outcome: Promise<void>

  constructor(transport: Transport, topic: Topic, stop: AbortSignal, onFailure: (error: unknown) => void) {
    this.#announce = () => transport.announce(topic)
    this.#stop = stop
    this.#onFailure = onFailure
    this.#outcome = this.#attempt(0)
  }

  /** The success, or the next failure. */
  get outcome(): Promise<void> {
    return this.#outcome
  }

  #attempt(afterMs: number): Promise<void> {
    const outcome = (async () => {
      if (afterMs > 0) await sleep(afterMs, undefined, { signal: this.#stop })
      await this.#announce()
    })()
    outcome.catch((error: unknown) => {
      if (this.#stop.aborted) return
      this.#outcome = this.#attempt(this.#backoff.next())
      this.#onFailure(error)
    })
    return outcome
  }
}

function firstOf(error: unknown): unknown {
  return error instanceof AggregateError ? (error.errors[0] as unknown) : error
}

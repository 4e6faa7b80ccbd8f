import { encodeFrame } from 'peerlog-relay/frames'
import { Backoff } from '../../base/backoff.ts'
import { MAX_HANDSHAKES, MAX_INCOMING_PEERS, NEWCOMER_GRACE_MS } from '../../base/limits.ts'
import type { Topic } from '../../topic/topic.ts'
import { assertNoIteration, ConnectionFeed } from '../connection-feed.ts'
import type { NoiseKeyPair } from '../transport.ts'
import type { ChannelDuplex } from './channel-duplex.ts'
import {
  HANDSHAKE_SILENCE_MS,
  HEALTHY_MS,
  LONELY_REJOIN_MS,
  REFRESH_MS,
  REJOIN_MS,
  STUCK_HANDSHAKES_MS,
  SUCCESSOR_SILENCE_MS,
} from './limits.ts'
import { HandshakeSilence, type RelayConnection, establish } from './relay-connection.ts'
import type { RelaySocket } from './relay-socket.ts'
import { rendezvousOf, sealCard } from './rendezvous.ts'

export interface MembershipOptions {
  topic: Topic
  socket: RelaySocket
  keyPair: NoiseKeyPair
  timeoutMs: number
  random: () => number
  /** Nothing is wanted of the topic any more. */
  onIdle(): void
}

/** One run of connect(). */
interface Iteration {
  feed: ConnectionFeed
  /** With the time when they began, the oldest first. */
  handshakes: Map<ChannelDuplex, number>
  /** Runs while there are as many handshakes as may be. */
  crowded: NodeJS.Timeout | undefined
  connections: Set<RelayConnection>
  /** Those that took the place of an older one of the same peer. */
  successors: WeakSet<RelayConnection>
  /** Peers that came once more while they had a connection: perhaps by a new socket, before the old one was lost. */
  turnedAway: Set<string>
}

/** What we want of one topic, and the peers that we have there. */
export class Membership {
  readonly topic: Topic
  readonly rendezvous: Buffer
  /** By peer id. */
  readonly connections: Map<string, RelayConnection> = new Map()
  readonly #options: MembershipOptions
  readonly #backoff: Backoff
  #announced = false
  #iteration: Iteration | null = null
  #rejoin: NodeJS.Timeout | undefined
  #rejoinAt = Infinity
  #isLooking = false
  /** Milliseconds of silence that a handshake is allowed. */
  #silenceMs: number = HANDSHAKE_SILENCE_MS
  #refreshedAt = -Infinity
  #refresh: NodeJS.Timeout | undefined
  #inForce = false
  #onInForce: (() => void)[] = []
  /** What the relay said when it refused us last, for people. */
  refusal: string | undefined

  constructor(options: MembershipOptions) {
    this.topic = options.topic
    this.rendezvous = rendezvousOf(options.topic)
    this.#options = options
    this.#backoff = new Backoff({ random: options.random })
  }

  /** Resolves when the relay has confirmed it, this time or before. */
  announce(): Promise<void> {
    this.#announced = true
    if (this.#inForce) return Promise.resolve()
    return new Promise((resolve) => {
      this.#onInForce.push(resolve)
      this.join()
    })
  }

  iterate(signal: AbortSignal | undefined): ConnectionFeed {
    assertNoIteration(this.#iteration?.feed)
    const feed = new ConnectionFeed(signal, () => this.#end(iteration))
    const iteration: Iteration = {
      feed,
      handshakes: new Map(),
      crowded: undefined,
      connections: new Set(),
      successors: new WeakSet(),
      turnedAway: new Set(),
    }
    if (feed.ended) return feed
    this.#iteration = iteration
    this.#backoff.reset()
    this.join()
    return feed
  }

  /** Ends the iteration, if there is one, closes the connections and takes the announcement back. */
  async leave(): Promise<void> {
    this.#announced = false
    await this.#iteration?.feed.end()
    this.join()
  }

  /** Looks for peers at once, or as soon as that may be after the last time. */
  refresh(): void {
    if (this.#iteration === null || this.#refresh !== undefined) return
    this.#backoff.reset()
    const waitMs = this.#refreshedAt + REFRESH_MS - performance.now()
    if (waitMs <= 0) return this.#joinNow()
    this.#refresh = setTimeout(() => {
      this.#refresh = undefined
      this.#joinNow()
    }, waitMs)
  }

  /** Closes the connections, and wants the same as before. */
  async hangUp(reason: string): Promise<void> {
    clearTimeout(this.#refresh)
    this.#refresh = undefined
    const iteration = this.#iteration
    if (iteration === null) return
    for (const channel of iteration.handshakes.keys()) channel.destroy()
    iteration.handshakes.clear()
    await Promise.all([...iteration.connections].map((connection) => connection.close(reason)))
  }

  #joinNow(): void {
    this.#refreshedAt = performance.now()
    this.join()
  }

  /** Tells the relay what we want; to be called again after a reconnect, or for another pairing. */
  join(): void {
    const { socket, keyPair, random } = this.#options
    this.#stopRejoining()
    this.#isLooking = false
    if (socket.url === null) return
    const connect = this.#iteration?.feed.ended === false
    const { rendezvous } = this
    if (!connect && !this.#announced) return socket.send(encodeFrame({ kind: 'leave', rendezvous }))
    const card = sealCard(this.topic, keyPair.publicKey)
    socket.send(encodeFrame({ kind: 'join', rendezvous, announce: this.#announced, connect, card }))
    // Also when nothing happens: there may be peers that had no room for us, or not been told of us.
    if (connect) this.#joinAfter(REJOIN_MS * (0.75 + random() / 2))
  }

  onJoined(): void {
    this.refusal = undefined
    this.#inForce = true
    for (const resolve of this.#onInForce.splice(0)) resolve()
  }

  onRefused(text: string): void {
    this.refusal = text
    this.#joinAfter(this.#backoff.next())
  }

  /** The socket is lost, and the relay's memory of us with it. */
  onLost(): void {
    this.#inForce = false
    this.#isLooking = false
    this.#stopRejoining()
  }

  /** The relay has paired us. Returns false if the channel is not wanted. */
  onPeer(channel: ChannelDuplex, initiator: boolean): boolean {
    const iteration = this.#iteration
    if (iteration === null || iteration.feed.ended) return false
    if (iteration.connections.size >= MAX_INCOMING_PEERS) return false
    if (!this.#makeRoom(iteration)) return false
    void this.#meet(channel, initiator, iteration)
    return true
  }

  /** Bounds the handshakes: whoever never finishes one keeps nobody out. False if all of them are young. */
  #makeRoom(iteration: Iteration): boolean {
    const [oldest] = iteration.handshakes
    if (oldest === undefined || iteration.handshakes.size < MAX_HANDSHAKES) return true
    iteration.crowded ??= setTimeout(() => this.#dropStuck(iteration), STUCK_HANDSHAKES_MS)
    const [channel, since] = oldest
    if (performance.now() - since < NEWCOMER_GRACE_MS) return false
    iteration.handshakes.delete(channel)
    channel.destroy()
    return true
  }

  /** The relay pairs us with those that it has, at random: where few of them are of use, others must be tried soon. */
  #dropStuck(iteration: Iteration): void {
    iteration.crowded = undefined
    const before = performance.now() - STUCK_HANDSHAKES_MS / 2
    for (const [channel, since] of iteration.handshakes) {
      if (since > before) continue
      iteration.handshakes.delete(channel)
      channel.destroy()
    }
    this.#lookAgain()
  }

  /**
   * Asks for another pairing, later each time; many that fail together count once. Whoever has nobody is not kept
   * waiting for long: the relay pairs us at random, and most may be of no use.
   */
  #lookAgain(): void {
    if (this.#isLooking) return
    this.#isLooking = true
    const delayMs = this.#backoff.next()
    this.#joinAfter(this.connections.size === 0 ? Math.min(delayMs, LONELY_REJOIN_MS) : delayMs)
  }

  /** From the handshake to the end of the connection. */
  async #meet(channel: ChannelDuplex, initiator: boolean, iteration: Iteration): Promise<void> {
    const { keyPair, timeoutMs } = this.#options
    let lookAgain: boolean
    const since = performance.now()
    const silenceMs = this.#silenceMs
    iteration.handshakes.set(channel, since)
    try {
      const connection = await establish({ channel, initiator, topic: this.topic, keyPair, timeoutMs, silenceMs })
      iteration.handshakes.delete(channel)
      this.#silenceMs = HANDSHAKE_SILENCE_MS
      lookAgain = await this.#keep(connection, iteration, since)
    } catch (error) {
      // Those that fell silent together count once. Perhaps the way is slow, and not broken.
      if (error instanceof HandshakeSilence)
        this.#silenceMs = Math.max(this.#silenceMs, Math.min(2 * silenceMs, timeoutMs))
      // It was no peer of ours, or is gone again; or had to give way.
      lookAgain = iteration.handshakes.has(channel)
    }
    iteration.handshakes.delete(channel)
    if (lookAgain && this.#iteration === iteration) this.#lookAgain()
  }

  /** Resolves when the connection has ended; true if its peer is to be looked for. */
  async #keep(connection: RelayConnection, iteration: Iteration, begunAt: number): Promise<boolean> {
    const { peerId } = connection
    const older = this.connections.get(peerId)
    if (iteration.feed.ended || (older?.alive === true && !this.#isStale(older, iteration, begunAt))) {
      iteration.turnedAway.add(peerId)
      await connection.close()
      return false
    }
    if (older?.alive === true) {
      iteration.successors.add(connection)
      void older.close()
    }
    const since = performance.now()
    this.connections.set(peerId, connection)
    iteration.connections.add(connection)
    iteration.feed.push(connection)
    await connection.closed
    iteration.connections.delete(connection)
    if (this.connections.get(peerId) === connection) this.connections.delete(peerId)
    if (performance.now() - since >= HEALTHY_MS) this.#backoff.reset()
    return iteration.turnedAway.delete(peerId) || connection.isOursToRenew
  }

  /**
   * Whether a connection may give way to another of the same peer, whose handshake began then: the peer has come back
   * by another way while nobody has noticed yet that the old one leads nowhere. If two peers share a key, one such
   * change is all they get; the one that has come last is heard of every few seconds.
   */
  #isStale(older: RelayConnection, iteration: Iteration, begunAt: number): boolean {
    const isSuccessor = iteration.successors.has(older)
    return older.heardAt < (isSuccessor ? begunAt - SUCCESSOR_SILENCE_MS : begunAt)
  }

  async #end(iteration: Iteration): Promise<void> {
    if (this.#iteration === iteration) {
      this.#iteration = null
      clearTimeout(this.#refresh)
      this.#refresh = undefined
    }
    clearTimeout(iteration.crowded)
    for (const channel of iteration.handshakes.keys()) channel.destroy()
    await Promise.all([...iteration.connections].map((connection) => connection.close()))
    // Leaves the topic, unless it was announced or another iteration has begun; that one can now have these peers.
    this.join()
    if (this.#iteration === null && !this.#announced) this.#options.onIdle()
  }

  #joinAfter(ms: number): void {
    const at = performance.now() + ms
    if (at >= this.#rejoinAt || this.#options.socket.url === null) return
    clearTimeout(this.#rejoin)
    this.#rejoinAt = at
    this.#rejoin = setTimeout(() => this.join(), ms)
  }

  #stopRejoining(): void {
    clearTimeout(this.#rejoin)
    this.#rejoin = undefined
    this.#rejoinAt = Infinity
  }
}

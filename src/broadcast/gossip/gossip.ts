import { assert } from '../../base/errors.ts'
import { MAX_CLOCK_BACK_MS } from '../../base/limits.ts'
import type { EndReason, Violation } from '../end-reason.ts'
import type { ReplicaChange } from '../replica.ts'
import type { RunStatus } from '../receiver.ts'
import { Allowance } from './allowance.ts'
import type { Dropped } from './contacts.ts'
import { Contacts } from './contacts.ts'
import { Exchange } from './exchange.ts'
import { HeldPieces } from './held-pieces.ts'
import { ItemSet } from './item-set.ts'
import {
  GATHER_MS,
  MAX_DATAGRAM_BYTES,
  MAX_PUSHED_EVENTS,
  NEWS_MS,
  STORE_RETRY_MS,
  TIDY_MS,
  TOTAL_BURST_BYTES,
  TOTAL_BYTES_PER_SECOND,
  WANT_COST,
} from './limits.ts'
import type { Heartbeat, Message } from './messages.ts'
import { BYE, encodeWant } from './messages.ts'
import type { GossipOutput, GossipPeer } from './output.ts'
import { Pieces } from './pieces.ts'
import { Proofs } from './proofs.ts'
import type { Remote } from './remote.ts'
import type { GossipChange, GossipReplica, StoredItem } from './replica.ts'
import { Stage } from './stage.ts'
import type { Taken } from './taken.ts'

export interface GossipOptions {
  replica: GossipReplica
  /** 32 bytes that every member of the database derives alike. */
  key: Buffer
  /** Ours: hex of 32 bytes. */
  peerId: string
  /** So many unpredictable bytes. */
  random: (bytes: number) => Buffer
}

const MALFORMED: Violation = { reason: 'protocol-violation', detail: 'sent a datagram that is malformed' }
const NO_PROOF: Violation = { reason: 'protocol-violation', detail: 'sent a fork proof that proves nothing' }

/**
 * Replication over datagrams, as a state machine without IO: datagrams, changes of the replica and the time go in; `poll` gives out, one by
 * one, what is to be done. It needs no connection and no order, and any datagram may be lost, repeated or late.
 *
 * Members find each other by heartbeats, with the frontier root in them. While roots differ an `Exchange` with each peer
 * compares windows of time and sends what the other's Bloom filters lack; a `Stage` keeps what arrives until it can be
 * verified. See docs/PROTOCOL.md.
 */
export class Gossip {
  readonly #options: GossipOptions
  readonly #contacts: Contacts
  readonly #items: ItemSet
  readonly #pieces: Pieces
  readonly #held = new HeldPieces()
  readonly #stage: Stage
  readonly #proofs: Proofs
  readonly #total = new Allowance(TOTAL_BYTES_PER_SECOND, TOTAL_BURST_BYTES)
  readonly #effects: GossipOutput[] = []
  /** Who sent the proof that is being stored. */
  readonly #proofSenders: string[] = []
  #isIngesting = false
  #gatherAt = Infinity
  #tidyAt = Infinity
  #blockedUntil = 0
  /** Time of the last input or `poll`. */
  #now = 0
  #phase: 'idle' | 'running' | 'stopped' = 'idle'
  #turn = 0

  constructor(options: GossipOptions) {
    const { replica, random, key, peerId } = options
    this.#options = options
    this.#items = new ItemSet(replica)
    this.#pieces = new Pieces(replica)
    this.#stage = new Stage(replica, this.#held)
    this.#proofs = new Proofs(replica, this.#held)
    this.#contacts = new Contacts({
      key,
      peerId,
      random,
      state: () => ({ root: replica.frontierRoot(), items: this.#items.size }),
      newExchange: (address) => {
        const shared = { items: this.#items, pieces: this.#pieces, held: this.#held }
        return new Exchange({ ...shared, address, random })
      },
    })
  }

  /** What every datagram of this database begins with, after its first byte. */
  get tag(): Buffer {
    return this.#contacts.tag
  }

  /** Datagrams that were not acted upon. */
  get dropped(): Readonly<Dropped> {
    return this.#contacts.dropped
  }

  /** Bytes of pieces that wait, and how many are known that can't be stored. */
  get waiting(): { bytes: number; logs: number; refused: number } {
    return { bytes: this.#stage.bytes + this.#proofs.bytes, ...this.#stage.sizes }
  }

  /** Addresses that have yet to echo their cookie. */
  get strangers(): number {
    return this.#contacts.strangers
  }

  peers(): GossipPeer[] {
    return [...this.#contacts.remotes.values()]
      .filter(({ isSpare }) => !isSpare)
      .map(({ peerId, address, inSync, rtt }) => ({ peerId, address, inSync, rtt }))
  }

  /** Rounds of filters that were sent to the peers, all together. */
  get rounds(): number {
    let rounds = 0
    for (const { exchange } of this.#contacts.remotes.values()) rounds += exchange.rounds
    return rounds
  }

  // ---- inputs ---------------------------------------------------------------------------------------------------

  start(now: number): void {
    assert(this.#phase === 'idle', 'gossip starts once')
    this.#phase = 'running'
    this.#now = now
    this.#tidyAt = now + TIDY_MS
    this.#contacts.start(now)
  }

  /** A datagram, any bytes whatever, and where it came from. */
  receive(bytes: Buffer, address: string, now: number): void {
    if (this.#phase !== 'running') return
    this.#advance(now)
    const received = this.#contacts.receive(bytes, address, now)
    if (received === null) return
    const { remote, message, isNew } = received
    if (isNew && !this.#isElsewhere(remote)) this.#effects.push({ type: 'appeared', peerId: remote.peerId, address })
    if (message === null) return this.#blame(address, MALFORMED)
    if (message.type === 'bye') return this.#remove(remote, 'closing')
    this.#onMessage(remote, message, now)
  }

  /** The replica has stored events, whoever sent them, or has found logs to be forked. */
  changed({ runs, forks }: GossipChange, now: number): void {
    if (this.#phase !== 'running') return
    if (forks.length > 0) this.#forked(now)
    this.#stored(runs, now)
  }

  #stored(changes: readonly ReplicaChange[], now: number): void {
    this.#advance(now)
    this.#stage.grown(new Set(changes.map(({ log }) => log.hex)), now)
    this.#gather(now)
    const wasWhole = this.#items.isWhole || changes.length === 0
    const own: StoredItem[] = []
    for (let fresh = this.#items.step(); fresh.length > 0; fresh = this.#items.isWhole ? [] : this.#items.step()) {
      own.push(...fresh.filter(({ author }) => author === this.#options.replica.author))
      if (own.length > MAX_PUSHED_EVENTS) break
    }
    const isLocal = changes.some(({ local }) => local)
    if (isLocal && !wasWhole && own.length <= MAX_PUSHED_EVENTS) this.#push(own, now)
    this.#compareRoots(now)
    this.#contacts.announce(now, NEWS_MS)
  }

  #forked(now: number): void {
    this.#advance(now)
    this.#items.forked()
    this.#compareRoots(now)
    this.#contacts.announce(now, NEWS_MS)
  }

  /** What became of the runs of the `ingest` output. */
  ingested(statuses: readonly RunStatus[], now: number): void {
    if (this.#phase !== 'running') return
    this.#isIngesting = false
    for (const { sender, violation } of this.#stage.ingested(statuses, now)) this.#blame(sender, violation)
    this.#gather(now)
  }

  /** The runs could not be looked at: they are given out again later. */
  ingestFailed(now: number): void {
    this.#isIngesting = false
    this.#stage.ingestFailed()
    this.#gatherAt = now + STORE_RETRY_MS
  }

  /** What became of the oldest `ingest-proof`; null: it was not kept, for want of room. */
  proofIngested(valid: boolean | null): void {
    const sender = this.#proofSenders.shift()
    if (valid === false && sender !== undefined) this.#blame(sender, NO_PROOF)
  }

  /** Time has passed; see `wakeAt`. */
  wake(now: number): void {
    if (this.#phase !== 'running') return
    this.#advance(now)
    if (now < this.#tidyAt) return
    this.#tidyAt = now + TIDY_MS
    this.#stage.wake(now)
    this.#proofs.wake(now)
    for (const remote of this.#contacts.silent(now)) this.#remove(remote, 'silence')
  }

  /** Says goodbye to everybody; what `poll` gives out after that is to be sent still. */
  stop(): void {
    if (this.#phase !== 'running') return
    this.#effects.length = 0
    for (const remote of this.#contacts.remotes.values()) {
      this.#effects.push({ type: 'send', bytes: this.#contacts.seal(remote, BYE), to: remote.address })
      this.#remove(remote, 'closing')
    }
    this.#phase = 'stopped'
    this.#contacts.stop()
  }

  /** A clock that was set back takes all deadlines with it: peers are met anew. */
  #advance(now: number): void {
    if (now < this.#now - MAX_CLOCK_BACK_MS) {
      for (const remote of this.#contacts.remotes.values()) this.#remove(remote, 'silence')
      this.#contacts.start(now)
      this.#tidyAt = now
    }
    this.#now = now
  }

  // ---- outputs --------------------------------------------------------------------------------------------------

  /** The next thing to do, or null for now. Call it after every input. */
  poll(now: number): GossipOutput | null {
    const effect = this.#effects.shift()
    if (effect !== undefined) return effect
    if (this.#phase !== 'running') return null
    this.#now = now
    if (!this.#items.isWhole) {
      this.#items.step()
      if (this.#items.isWhole) this.#compareRoots(now)
    }
    const runs = this.#runs(now)
    if (runs !== null) return runs
    const heartbeat = this.#contacts.next(now)
    if (heartbeat !== null) return { type: 'send', ...heartbeat }
    return this.#items.isWhole ? this.#nextOfPeers(now) : null
  }

  #runs(now: number): GossipOutput | null {
    if (this.#isIngesting || now < this.#gatherAt) return null
    this.#gatherAt = Infinity
    if (!this.#stage.isReady) return null
    const runs = this.#stage.nextRuns()
    if (runs.length === 0) return null
    this.#isIngesting = true
    return { type: 'ingest', runs }
  }

  #nextOfPeers(now: number): GossipOutput | null {
    this.#blockedUntil = 0
    const remotes = [...this.#contacts.remotes.values()]
    let blocked = Infinity
    for (let i = 0; i < remotes.length; i++) {
      const remote = remotes[(this.#turn + i) % remotes.length] as Remote
      const wait = Math.max(this.#total.wait(MAX_DATAGRAM_BYTES, now), remote.budget.wait(MAX_DATAGRAM_BYTES, now))
      if (wait > 0) {
        if (remote.exchange.wakeAt(remote.rtt) <= now) blocked = Math.min(blocked, now + wait)
        continue
      }
      const body = remote.exchange.next(remote.rtt, now)
      if (body === null) continue
      this.#turn += i + 1
      const bytes = this.#contacts.seal(remote, body)
      this.#total.spend(bytes.length, now)
      remote.budget.spend(bytes.length, now)
      return { type: 'send', bytes, to: remote.address }
    }
    this.#blockedUntil = blocked === Infinity ? 0 : blocked
    const asked = this.#stage.nextWant(now)
    const remote = asked === null ? undefined : this.#contacts.remotes.get(asked.sender)
    if (asked === null || remote === undefined) return null
    return { type: 'send', bytes: this.#contacts.seal(remote, encodeWant(asked.want)), to: remote.address }
  }

  /** When to call `wake` and `poll` next, in milliseconds; infinity for never. */
  get wakeAt(): number {
    if (this.#phase !== 'running') return this.#effects.length > 0 ? this.#now : Infinity
    if (!this.#items.isWhole) return this.#now + 1
    let at = Math.min(this.#contacts.wakeAt, this.#tidyAt, this.#isIngesting ? Infinity : this.#gatherAt)
    for (const { exchange, rtt } of this.#contacts.remotes.values()) {
      at = Math.min(at, Math.max(exchange.wakeAt(rtt), this.#blockedUntil, this.#now + 1))
    }
    return at
  }

  // ---- messages -------------------------------------------------------------------------------------------------

  #onMessage(remote: Remote, message: Exclude<Message, { type: 'bye' }>, now: number): void {
    switch (message.type) {
      case 'heartbeat':
        return this.#onHeartbeat(remote, message, now)
      case 'events':
        return this.#onTaken(remote, this.#stage.takeEvents(message, remote.address, now), now)
      case 'part':
        return this.#onTaken(
          remote,
          message.event === null
            ? this.#proofs.take(message, remote.address, now)
            : this.#stage.takePart(message, remote.address, now),
          now,
        )
      case 'peaks':
        this.#stage.takePeaks(message, remote.address)
        return this.#gather(now)
      case 'digest':
      case 'filter':
      case 'want':
        // Whoever asks more often is not answered: it may ask again.
        if (!remote.asking.take(message.type === 'want' ? WANT_COST : 1, now) || !this.#items.isWhole) return
        if (message.type === 'digest') remote.exchange.onDigest(message.ranges)
        else if (message.type === 'filter') remote.exchange.onFilter(message)
        else remote.exchange.onWant(this.#pieces.peaks(message))
    }
  }

  #onHeartbeat(remote: Remote, { root }: Heartbeat, now: number): void {
    const isNews = remote.root?.equals(root) !== true
    if (isNews) remote.root = Buffer.from(root)
    this.#compareRoot(remote, isNews ? 'theirs' : 'none', now)
  }

  #compareRoots(now: number): void {
    for (const remote of this.#contacts.remotes.values()) this.#compareRoot(remote, 'ours', now)
  }

  #compareRoot(remote: Remote, news: 'ours' | 'theirs' | 'none', now: number): void {
    if (remote.root === null) return
    const { peerId, address } = remote
    if (!remote.root.equals(this.#options.replica.frontierRoot())) {
      remote.inSync = false
      remote.exchange.different(news, remote.rtt, now)
      return
    }
    remote.exchange.equal()
    if (!remote.inSync && !remote.isSpare) this.#effects.push({ type: 'in-sync', peerId, address })
    remote.inSync = true
  }

  #onTaken(remote: Remote, { useful, violation }: Taken, now: number): void {
    if (violation !== null) return this.#blame(remote.address, violation)
    if (useful.length > 0) {
      remote.usefulAt = now
      remote.exchange.progressed(useful, now)
      this.#gather(now)
    }
    const proof = this.#proofs.next()
    if (proof === null) return
    this.#proofSenders.push(proof.sender)
    this.#effects.push({ type: 'ingest-proof', proof: proof.bytes })
  }

  #gather(now: number): void {
    if (this.#gatherAt === Infinity && this.#stage.isReady) this.#gatherAt = now + GATHER_MS
  }

  #push(items: readonly StoredItem[], now: number): void {
    const pieces = items.flatMap(({ time, id }) => this.#pieces.event(time, id) ?? [])
    for (const remote of this.#contacts.remotes.values()) if (!remote.isSpare) remote.exchange.push(pieces, now)
  }

  #blame(address: string, { reason, detail }: Violation): void {
    const remote = this.#contacts.remotes.get(address)
    if (remote === undefined) return
    const { peerId } = remote
    this.#effects.push({ type: 'violation', peerId, address, reason, detail })
    this.#contacts.bans.add(address, this.#now)
    this.#remove(remote, reason)
  }

  #remove(remote: Remote, reason: EndReason): void {
    const { peerId, address } = remote
    this.#contacts.remove(remote)
    this.#stage.leave(address)
    this.#proofs.leave(address)
    if (!this.#isElsewhere(remote)) this.#effects.push({ type: 'gone', peerId, address, reason })
  }

  /** True if the peer is known at another address too. */
  #isElsewhere({ peerId, address }: Remote): boolean {
    for (const other of this.#contacts.remotes.values()) {
      if (other.peerId === peerId && other.address !== address) return true
    }
    return false
  }
}

import { randomBytes } from 'node:crypto'
import { PeerlogError } from '../base/errors.ts'
import type { Run } from '../event/run.ts'
import type { Topic } from '../topic/topic.ts'
import type { DatagramChannel } from '../transport/datagrams.ts'
import type { Transport } from '../transport/transport.ts'
import { Gossip } from './gossip/gossip.ts'
import type { GossipOutput } from './gossip/output.ts'
import type { DatagramIdentity, PeerStatus, ReplicaStore, StoreCommit } from './replication-options.ts'
import type { Witness } from './own-log-guard.ts'
import type { SyncEvent } from './sync-event.ts'

export interface DatagramsOptions {
  topic: Topic
  transports: readonly Transport[]
  store: ReplicaStore
  identity: DatagramIdentity
  now: () => number
  publish: (event: SyncEvent) => void
  problem: (source: string, error: unknown) => void
  /** True if there is a session with the peer. */
  isConnected: (peerId: string) => boolean
  /** Runs have been held back for their clocks. */
  onHeld: (runs: readonly Run[]) => void
  /** A link has got on as far as it could. */
  pumped: () => void
}

/** The replication of one database over those of its transports that carry datagrams. */
export class Datagrams {
  readonly #options: DatagramsOptions
  #links: DatagramLink[] = []

  constructor(options: DatagramsOptions) {
    this.#options = options
  }

  start(): void {
    const { transports, topic, problem } = this.#options
    for (const channel of transports.flatMap((transport) => transport.datagrams?.(topic) ?? [])) {
      try {
        this.#links.push(new DatagramLink(channel, this.#options))
      } catch (error) {
        problem(channel.name, error)
      }
    }
  }

  /** Says goodbye to everybody. */
  stop(): void {
    for (const link of this.#links.splice(0)) link.stop()
  }

  changed(commit: StoreCommit): void {
    for (const link of this.#links) link.changed(commit)
  }

  isConnected(peerId: string): boolean {
    return this.#links.some((link) => link.peers().some((peer) => peer.peerId === peerId))
  }

  /** What its peers can say of our own log: the same as we, once both hold the same. */
  witnesses(): Witness[] {
    const { store } = this.#options
    return this.peers().map(({ inSync }) => ({
      admitted: true,
      account: (author) => (inSync ? { length: store.log(author)?.mmr.length ?? 0, owes: false } : null),
    }))
  }

  peers(): PeerStatus[] {
    return this.#links.flatMap((link) => link.peers())
  }
}

/** Runs one gossip core over one channel: receives, sends, keeps its timer. */
class DatagramLink {
  readonly #channel: DatagramChannel
  readonly #options: DatagramsOptions
  readonly #gossip: Gossip
  readonly #close: () => void
  #pumping = false
  #timer: NodeJS.Timeout | undefined
  #stopped = false

  constructor(channel: DatagramChannel, options: DatagramsOptions) {
    const { store: replica, identity, problem } = options
    this.#channel = channel
    this.#options = options
    this.#gossip = new Gossip({ replica, ...identity, random: (bytes) => randomBytes(bytes) })
    const reader = {
      tag: this.#gossip.tag,
      receive: (bytes: Buffer, address: string) => this.#receive(bytes, address),
      heard: () => this.#gossip.peers().map(({ peerId, address }) => ({ id: peerId, address, connected: true })),
    }
    this.#close = channel.open(reader, (error) => problem(channel.name, error))
    this.#gossip.start(options.now())
    // The socket is not open yet: what is sent now would be lost.
    this.#timer = setTimeout(() => this.#wake(), 1)
  }

  peers(): PeerStatus[] {
    const peers = new Map(this.#gossip.peers().map((peer) => [peer.peerId, peer]))
    const { name: transport } = this.#channel
    return [...peers.values()].map(({ peerId, inSync }) => {
      return { peerId, transport, reason: 'datagrams', inSync, differences: null }
    })
  }

  changed(commit: StoreCommit): void {
    this.#gossip.changed(commit, this.#options.now())
    this.#pump()
  }

  stop(): void {
    this.#gossip.stop()
    this.#pump()
    this.#stopped = true
    clearTimeout(this.#timer)
    this.#close()
  }

  #receive(bytes: Buffer, address: string): void {
    if (this.#stopped) return
    this.#gossip.receive(bytes, address, this.#options.now())
    this.#pump()
  }

  #wake(): void {
    this.#gossip.wake(this.#options.now())
    this.#pump()
  }

  #pump(): void {
    if (this.#pumping || this.#stopped) return
    this.#pumping = true
    try {
      for (let output = this.#next(); output !== null; output = this.#next()) this.#perform(output)
    } finally {
      this.#pumping = false
    }
    this.#options.pumped()
    clearTimeout(this.#timer)
    const { wakeAt } = this.#gossip
    if (wakeAt === Infinity) return
    this.#timer = setTimeout(() => this.#wake(), Math.max(1, Math.ceil(wakeAt - this.#options.now())))
  }

  #next(): GossipOutput | null {
    return this.#gossip.poll(this.#options.now())
  }

  #perform(output: GossipOutput): void {
    const { publish, isConnected } = this.#options
    switch (output.type) {
      case 'send':
        return this.#channel.send(output.bytes, output.to)
      case 'ingest':
      case 'ingest-proof':
        return this.#ingest(output)
      case 'appeared': {
        const { peerId } = output
        if (isConnected(peerId)) return
        return publish({ type: 'PeerConnected', peerId, transport: this.#channel.name, reason: 'datagrams' })
      }
      case 'gone': {
        const { peerId, reason } = output
        if (isConnected(peerId)) return
        return publish({ type: 'PeerDisconnected', peerId, reason })
      }
      case 'in-sync':
        return publish({ type: 'InSync', peerId: output.peerId })
      case 'violation': {
        const { peerId, reason, detail } = output
        return publish({ type: 'PeerRefused', peerId, reason, detail, byPeer: false })
      }
    }
  }

  #ingest(output: Extract<GossipOutput, { type: 'ingest' | 'ingest-proof' }>): void {
    const { store, problem, now, onHeld } = this.#options
    try {
      if (output.type === 'ingest-proof') {
        this.#gossip.proofIngested(store.ingestForkProof(output.proof))
        return
      }
      const statuses = store.ingest(output.runs)
      this.#gossip.ingested(statuses, now())
      onHeld(output.runs.filter((_, i) => statuses[i] === 'held'))
    } catch (error) {
      if (error instanceof PeerlogError && error.code === 'CLOSED') return
      // The file can't be written (a full disk, say). What was not stored is asked for again.
      problem('store', error)
      this.#gossip.ingestFailed(now())
    }
  }
}

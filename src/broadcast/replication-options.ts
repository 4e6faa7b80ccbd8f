import type { Run } from '../event/run.ts'
import type { Topic } from '../topic/topic.ts'
import type { PathReason, Transport } from '../transport/transport.ts'
import type { Differences } from './differences.ts'
import type { GossipReplica } from './gossip/replica.ts'
import type { RunStatus } from './receiver.ts'
import type { Mark, ReplicaChange, ReplicaLog } from './replica.ts'
import type { SyncEvent, SyncEventType } from './sync-event.ts'

/** A replica that can also be written to: what `EventStore` is. */
export interface ReplicaStore extends GossipReplica {
  /** Does beforehand, a step at a time, the part of `ingest` that changes nothing. */
  opening(runs: readonly Run[]): Iterable<void>
  /** Does work that is due and would hold up a later `ingest`; false if there is none. */
  settle(): boolean
  ingest(runs: readonly Run[]): RunStatus[]
  ingestForkProof(proof: Buffer): boolean | null
  /** Stores what was held back and is due; returns when the next is, or null. */
  releaseHeld(): number | null
  readonly marks: {
    /** Frontiers that the peer and we have both had, the newest first. */
    of(peerId: string): readonly Mark[]
    remember(peerId: string, mark: Mark): void
  }
  onCommit(listener: (commit: StoreCommit) => void): () => void
}

export interface StoreCommit {
  runs: readonly (ReplicaChange & { readonly ids: readonly Buffer[] })[]
  forks: readonly ReplicaLog[]
}

/** What tells members of a database from others, and us from other members, where there is no handshake. */
export interface DatagramIdentity {
  /** 32 bytes that every member derives alike. */
  key: Buffer
  /** Ours: hex of the Noise static public key. */
  peerId: string
}

export interface ReplicationOptions {
  store: ReplicaStore
  topic: Topic
  /** 32 bytes that every peer of the database derives alike. */
  admissionKey: Buffer
  transports: readonly Transport[]
  /** Who we are in datagrams, for transports that carry them. */
  datagrams?: DatagramIdentity
  /** Milliseconds since 1970. */
  now?: () => number
}

/** A peer we have a session with. */
export interface PeerStatus {
  peerId: string
  /** Name of the transport that messages go over now. */
  transport: string
  /** Why it is that one. */
  reason: PathReason
  /** True while neither side lacks anything of the other's. */
  inSync: boolean
  /** How far apart both were when they met, before anything was sent; null until they have compared. */
  differences: Differences | null
}

export interface Publisher {
  publish(event: SyncEvent): void
  hears(type: SyncEventType): boolean
}

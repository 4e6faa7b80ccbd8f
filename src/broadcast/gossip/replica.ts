import type { Replica, ReplicaChange, ReplicaLog } from '../replica.ts'

/** What a transaction has changed, as far as gossip is concerned. */
export interface GossipChange {
  readonly runs: readonly ReplicaChange[]
  readonly forks: readonly ReplicaLog[]
}

/** A stored event, as far as two replicas compare it. */
export interface StoredItem {
  readonly position: number
  /** The event's clock: milliseconds since 1970. */
  readonly time: number
  readonly id: Buffer
  /** Hex. */
  readonly author: string
}

/** What gossip reads of the database besides what sessions do. */
export interface GossipReplica extends Replica {
  readonly items: {
    /** Readable events after a position, in the order of arrival, and the position up to which these are all. */
    after(position: number, limit: number): { items: readonly StoredItem[]; upTo: number }
    /** The bytes of the event with that id, or null. */
    bytes(id: Buffer): Buffer | null
  }
}

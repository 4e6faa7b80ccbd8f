import type { PathReason } from '../transport/transport.ts'
import type { EndReason } from './end-reason.ts'

/** What a `SyncBroadcaster` tells. Ids, authors and peers are lower-case hexadecimal. */
export type SyncEvent =
  /** A peer has proved that it knows the database. `transport` and `reason`: the way that messages go, and why that one. */
  | { type: 'PeerConnected'; peerId: string; transport?: string; reason?: PathReason }
  /** Messages go another way now, or the same for another reason; the connection goes on. */
  | { type: 'PathChanged'; peerId: string; transport: string; reason: PathReason }
  /** The last connection to the peer has ended. */
  | { type: 'PeerDisconnected'; peerId: string; reason?: EndReason | 'connection-lost' }
  /** An event was stored, written here or received. */
  | { type: 'NodeUpsert'; id: string }
  /** An event was pruned or has expired. */
  | { type: 'NodeDelete'; id: string }
  /** A peer was turned away, or turned us away (`byPeer`), and why. */
  | { type: 'PeerRefused'; peerId: string; reason: EndReason; detail: string; byPeer: boolean }
  /** Events received from the peer on this connection, and how many it has announced that are still missing. */
  | { type: 'Progress'; peerId: string; received: number; remaining: number }
  /** We and the peer hold the same, as far as both have said. */
  | { type: 'InSync'; peerId: string }
  /**
   * The peer holds so many logs further than we do, but not from where ours end, because its own begin in the middle:
   * another peer has to give us what is between.
   */
  | { type: 'Unavailable'; peerId: string; logs: number }
  /** An author has signed two contradicting histories; its log is frozen, and the proof is kept. */
  | { type: 'ForkDetected'; author: string }
  /** An author's clock is ahead of ours: its newest events are kept aside until then, in milliseconds since 1970. */
  | { type: 'Held'; author: string; until: number }
  /** Something outside went wrong and is being tried again: `source` names the transport, or is 'store'. */
  | { type: 'Problem'; source: string; message: string }

export type SyncEventType = SyncEvent['type']

/** The event of a type. */
export type SyncEventOf<T extends SyncEventType> = Extract<SyncEvent, { type: T }>

/** Stands in a subscription where events are missing because its reader was too slow. */
export interface Missed {
  type: 'Missed'
  /** How many events. */
  count: number
}

import type { Run } from '../../event/run.ts'
import type { EndReason } from '../end-reason.ts'

/** What is to be done; see `Gossip.poll`. */
export type GossipOutput =
  /** Send the datagram to an address; or to 'all', that is everybody who may be found: on the local network and at known addresses. */
  | { type: 'send'; bytes: Buffer; to: string }
  /** Verify and store the runs, and call `ingested` with what became of each before anything else. */
  | { type: 'ingest'; runs: Run[] }
  /** The same of a proof that an author forked; then `proofIngested`. */
  | { type: 'ingest-proof'; proof: Buffer }
  /** A member has proved to be at an address, the first of it. */
  | { type: 'appeared'; peerId: string; address: string }
  /** It has not been heard of for too long, has said goodbye, or was turned away. */
  | { type: 'gone'; peerId: string; address: string; reason: EndReason }
  /** We and the peer hold the same. */
  | { type: 'in-sync'; peerId: string; address: string }
  /** The peer broke the rules, and is turned away for a while. */
  | { type: 'violation'; peerId: string; address: string; reason: EndReason; detail: string }

/** A peer that is heard of. */
export interface GossipPeer {
  peerId: string
  address: string
  inSync: boolean
  /** Milliseconds. */
  rtt: number
}

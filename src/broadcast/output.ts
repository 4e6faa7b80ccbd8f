import type { Run } from '../event/run.ts'
import type { EndReason } from './end-reason.ts'
import type { Mark } from './replica.ts'

/** What the shell has to do, one at a time and in order. */
export type Output =
  | { type: 'send'; bytes: Buffer }
  /** Verify and store the runs in one transaction, then call `ingested` with what became of each. */
  | { type: 'ingest'; runs: Run[] }
  /** Check and store a fork proof, then call `proofIngested`. */
  | { type: 'ingest-proof'; proof: Buffer }
  | { type: 'admitted' }
  | { type: 'progress'; received: number; remaining: number }
  | { type: 'in-sync' }
  /** The peer holds logs further than we do, but not from where ours end. */
  | { type: 'unavailable'; logs: number }
  /** We and the peer have both had this frontier: to be remembered for the next meeting. */
  | { type: 'mark'; mark: Mark }
  /**
   * Send the farewell, if there is one and it still can be sent, and close the connection. `byPeer`: the peer said so;
   * otherwise it is our decision, and `detail` says what it did.
   */
  | { type: 'end'; reason: EndReason; detail: string; byPeer: boolean; farewell: Buffer | null }

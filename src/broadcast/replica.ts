import type { Run } from '../event/run.ts'

/** A log as a session sees it. */
export interface ReplicaLog {
  readonly author: Buffer
  /** The author in hexadecimal. */
  readonly hex: string
  readonly mmr: { readonly length: number }
  readonly root: Buffer
  readonly fork: Buffer | null
}

/** What a session reads of the database it replicates. Writing is an output of the session, not done by it. */
export interface Replica {
  /** All logs by ascending author key. */
  logs(): readonly ReplicaLog[]
  log(author: string): ReplicaLog | undefined
  frontierRoot(): Buffer
  /** Events from a seq to a signed head, about `maxBytes`; null when there is nothing. */
  readRun(author: string, from: number, maxBytes: number, withPeaks: boolean): Run | null
  /** Milliseconds since 1970 until which the author's next events are held back, or null. */
  heldUntil(author: string): number | null
  /** True while logs of further authors are taken. */
  readonly hasRoom: boolean
}

/** Shares the work of pulling among the sessions of one replica, so that no log is pulled from two peers at once. */
export interface Claims {
  /** Milliseconds for which another session is given time to pull this log; 0: it is this one's turn. */
  claim(author: string, by: object, now: number): number
  /** So many bytes of the log have been stored that came by this session. */
  progress(author: string, by: object, bytes: number, now: number): void
  release(author: string, by: object): void
}

/** A change of the replica. */
export interface ReplicaChange {
  readonly run: Run
  readonly log: ReplicaLog
  /** Written by this replica's own author. */
  readonly local: boolean
}

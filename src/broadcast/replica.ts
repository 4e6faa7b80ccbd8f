import type { Beginning } from '../event/beginning.ts'
import type { Run } from '../event/run.ts'

/** A log as a session sees it. */
export interface ReplicaLog {
  readonly author: Buffer
  /** The author in hexadecimal. */
  readonly hex: string
  readonly mmr: { readonly length: number }
  /** First seq that is held. */
  readonly start: number
  readonly root: Buffer
  readonly fork: Buffer | null
}

/** A frontier that we and a peer have both had. */
export interface Mark {
  /** First bytes of the frontier root. */
  readonly root: Buffer
  /** Of our newest event then. */
  readonly position: number
}

/** What a session reads of the database it replicates. Writing is an output of the session, not done by it. */
export interface Replica {
  /** Hex of the author that this replica writes as. */
  readonly author: string
  /** All logs by ascending author key. */
  logs(): readonly ReplicaLog[]
  log(author: string): ReplicaLog | undefined
  frontierRoot(): Buffer
  /** Position of the newest event. */
  readonly position: number
  /** Logs that have grown since our newest event was at that position. */
  logsSince(position: number): readonly ReplicaLog[]
  /** Length of a log when our newest event was at that position. */
  lengthAt(author: string, position: number): number
  /** Null: all logs are wanted whole. */
  readonly beginning: Beginning | null
  /** Seq of the last event before a time (ms since 1970), or the log's start. */
  seqBefore(author: string, time: number): number
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

/** How often the sessions of one replica may speak, all of them together being bounded. */
export interface Pace {
  /** Milliseconds between two announcements of lengths by one session. */
  readonly announceMs: number
  /** Share of the peers that are pushed what others have written, as long as they have not said what they want. */
  readonly eagerShare: number
}

/** A change of the replica. */
export interface ReplicaChange {
  readonly run: Run
  readonly log: ReplicaLog
  /** Written by this replica's own author. */
  readonly local: boolean
}

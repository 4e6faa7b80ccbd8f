/** A frontier that we and a peer have both had. */
export interface StoredMark {
  /** First bytes of the frontier root. */
  root: Buffer
  /** Of our newest event then. */
  position: number
}

/** Frontiers that we and each peer, by its id, have both had. */
export interface PeerMarks {
  /** The newest first. */
  of(peerId: string): StoredMark[]
  remember(peerId: string, mark: StoredMark): void
}

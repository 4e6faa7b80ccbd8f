/** What became of a received run. */
export type IngestStatus =
  /** Verified and durable. */
  | 'stored'
  /** Everything in it was here. */
  | 'duplicate'
  /** Something before it is missing. */
  | 'gap'
  /** Verified, but its clock is ahead of ours: kept aside until then. */
  | 'held'
  /** It does not continue what we hold; its peaks would tell who is wrong. */
  | 'unverified'
  /** The sender lied: no author signed this. */
  | 'invalid'
  /** The author signed two contradicting histories; the log is frozen from now on. */
  | 'forked'
  /** The log has been frozen before. */
  | 'frozen'
  /** There are as many logs, or proofs of forks, as may be: nothing of it was kept. */
  | 'no-room'

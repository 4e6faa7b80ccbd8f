/** One immutable entry of a log, as it is handed to the user. */
export interface Event<T = unknown> {
  /** Hex of the BLAKE2b-256 of the event's bytes. */
  id: string
  /** Hex of the Ed25519 public key whose log this is. */
  author: string
  /** Place in the author's log, from 0. */
  seq: number
  /** Order of arrival in this replica, from 1: a cursor for `read({ after })`. Differs between replicas. */
  position: number
  /** When the author wrote it: milliseconds since 1970, by the author's hybrid logical clock. */
  timestamp: number
  subject: string
  type?: string
  data: T
  /** True if this replica's own author wrote it. */
  local: boolean
}

/** An order in which events are only added at the end: by arrival, or each after all that it links to. */
export type FollowableOrder = 'arrival' | 'causal'

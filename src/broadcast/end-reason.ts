/** Why a session ended. In GOODBYE it stands as its place in this list, which only grows at its end. */
export const END_REASONS = [
  /** One side closed its database or transport. */
  'closing',
  /** No proof of knowing the database and its secret. */
  'not-admitted',
  'other-version',
  /** Bytes that are no message, or a message out of turn. */
  'protocol-violation',
  /** Events that no author has signed. */
  'invalid-events',
  /** More than a named limit allows. */
  'flood',
  /** Announced events did not come, although the peer was alive. */
  'stalled',
  /** Nothing was heard for too long. */
  'silence',
] as const

export type EndReason = (typeof END_REASONS)[number]

/** Reasons that say the peer misbehaved, not that the network did. */
export function isOffence(reason: EndReason): boolean {
  return reason !== 'closing' && reason !== 'silence'
}

/** What a peer did, and under which reason its session ends for it. */
export interface Violation {
  reason: EndReason
  detail: string
}

/** No violation: we end the session for reasons of our own. */
export const CLOSING: Violation = { reason: 'closing', detail: '' }

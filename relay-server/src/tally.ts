/** Why somebody was turned away, or one of its requests was. Label values of `peerlog_relay_refusals_total`. */
export const REFUSAL_REASONS = [
  'address-connections',
  'address-full',
  'address-rate',
  'bad-request',
  'draining',
  'full',
  'origin',
  'plain-http',
  'slow-handshake',
  'subprotocol',
  'tls',
  'token-expired',
  'token-invalid',
  'token-missing',
  'topic-forbidden',
  'topic-limit',
] as const
export type RefusalReason = (typeof REFUSAL_REASONS)[number]

/** Why a client is no longer served. Label values of `peerlog_relay_closes_total`. */
export const CLOSE_REASONS = [
  'closing',
  'draining',
  'idle',
  'left',
  'lost',
  'no-pong',
  'not-reading',
  'oversize',
  'policy',
  'protocol-error',
  'slow-handshake',
  'token-expired',
] as const
export type CloseReason = (typeof CLOSE_REASONS)[number]

/** What the relay has counted since it started. */
export class Tally {
  /** Clients' messages and their bytes. */
  receivedFrames = 0
  receivedBytes = 0
  sentFrames = 0
  sentBytes = 0
  readonly refusals: Record<RefusalReason, number> = zeros(REFUSAL_REASONS)
  readonly closes: Record<CloseReason, number> = zeros(CLOSE_REASONS)
}

function zeros<K extends string>(names: readonly K[]): Record<K, number> {
  return Object.fromEntries(names.map((name) => [name, 0])) as Record<K, number>
}

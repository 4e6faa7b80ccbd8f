/**
 * WebSocket close codes of the relay and the reason that each counts as:
 *
 * | code | meaning                                                     |
 * |------|-------------------------------------------------------------|
 * | 1001 | the relay is closing                                        |
 * | 1002 | malformed frame, wrong direction or unknown channel         |
 * | 1003 | text                                                        |
 * | 1008 | window or credit violated, or no frame in time              |
 * | 1009 | frame too large                                             |
 * | 1012 | the relay is draining: another will take the client          |
 * | 4401 | the token has expired                                       |
 * | 4408 | no frame for as long as the operator allows                 |
 */
import type { CloseReason } from './tally.ts'

const REASONS: Record<number, CloseReason> = {
  1001: 'closing',
  1002: 'protocol-error',
  1003: 'protocol-error',
  1008: 'policy',
  1009: 'oversize',
  1012: 'draining',
  4401: 'token-expired',
  4408: 'idle',
}

/** Those that a client is to blame for. */
export const VIOLATIONS: ReadonlySet<CloseReason> = new Set<CloseReason>([
  'not-reading',
  'oversize',
  'policy',
  'protocol-error',
  'slow-handshake',
  'token-expired',
])

/** Of a close of our own. */
export function closeReasonOf(code: number): CloseReason {
  return REASONS[code] ?? 'policy'
}

/** Of an error of the socket. */
export function failureReasonOf(error: Error & { code?: string }): CloseReason {
  if (error.code === 'WS_ERR_UNSUPPORTED_MESSAGE_LENGTH') return 'oversize'
  return error.code?.startsWith('WS_ERR_') === true || error instanceof RangeError ? 'protocol-error' : 'lost'
}

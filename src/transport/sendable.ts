import { PeerlogError } from '../base/errors.ts'
import { MAX_MESSAGE_BYTES } from '../base/limits.ts'

/** Why no connection sends this, or null. */
export function refusalOf(message: Uint8Array): Error | null {
  if (!(message instanceof Uint8Array)) return new TypeError('A message is a Uint8Array')
  if (message.length === 0) return new PeerlogError('INVALID_ARGUMENT', 'A message must have at least one byte')
  if (message.length <= MAX_MESSAGE_BYTES) return null
  return new PeerlogError('MESSAGE_TOO_LARGE', `A message of ${message.length} bytes exceeds ${MAX_MESSAGE_BYTES}`)
}

export function closedError(peerId: string, reason: string): PeerlogError {
  const why = reason === '' ? '' : `: ${reason}`
  return new PeerlogError('CLOSED', `The connection to ${peerId.slice(0, 8)}… is closed${why}`)
}

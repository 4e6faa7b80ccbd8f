import { timingSafeEqual } from 'node:crypto'
import { hash } from '../base/hash.ts'

const DOMAIN = Buffer.from('peerlog 1 admission proof\0', 'utf8')

/**
 * Proof that its sender knows the database (and its secret), bound to this very connection and to the sender's side of
 * it: a recorded, relayed or mirrored proof is worth nothing elsewhere.
 */
export function admissionProof(admissionKey: Buffer, handshakeHash: Uint8Array, byInitiator: boolean): Buffer {
  return hash([DOMAIN, Uint8Array.of(byInitiator ? 1 : 0), handshakeHash], admissionKey)
}

export function checkAdmission(
  proof: Buffer,
  admissionKey: Buffer,
  handshakeHash: Uint8Array,
  byInitiator: boolean,
): boolean {
  return timingSafeEqual(proof, admissionProof(admissionKey, handshakeHash, byInitiator))
}

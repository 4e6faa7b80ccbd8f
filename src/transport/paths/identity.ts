import sodium from 'sodium-universal'
import { hash } from '../../base/hash.ts'
import { CONNECTION_ID_BYTES } from './frames.ts'

const ID_DOMAIN = Buffer.from('peerlog paths id 1', 'utf8')
const HASH_DOMAIN = Buffer.from('peerlog paths hash 1', 'utf8')
const HANDSHAKE_HASH_BYTES = 64

/** The name of the connection that began on the path with this handshake hash. */
export function connectionId(pathHash: Uint8Array): Buffer {
  return hash([ID_DOMAIN, pathHash]).subarray(0, CONNECTION_ID_BYTES)
}

/** The handshake hash of the connection that began on the path with this one. */
export function connectionHash(pathHash: Uint8Array): Buffer {
  const out = Buffer.allocUnsafeSlow(HANDSHAKE_HASH_BYTES)
  sodium.crypto_generichash_batch(out, [HASH_DOMAIN, pathHash])
  return out
}

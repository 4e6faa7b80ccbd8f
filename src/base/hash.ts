import sodium from 'sodium-universal'

export const HASH_BYTES = 32

/** BLAKE2b-256 of the parts, one after the other; keyed when a key is given (16–64 bytes). */
export function hash(parts: Uint8Array | Uint8Array[], key?: Uint8Array): Buffer {
  const out = Buffer.allocUnsafe(HASH_BYTES)
  if (Array.isArray(parts)) sodium.crypto_generichash_batch(out, parts, key)
  else sodium.crypto_generichash(out, parts, key)
  return out
}

import sodium from 'sodium-universal'
import { hash } from '../../base/hash.ts'
import { MAX_DATAGRAM_BYTES } from './limits.ts'

/**
 * A datagram: sealed under a key that only members of the database can derive, so that nobody else reads or forges one.
 *
 *   version  u8        1
 *   tag      8 bytes   which database it is of, for those who know its key: the start of H(key, "peerlog 1 datagram tag\0")
 *   nonce    24 bytes  random
 *   sealed   the rest  XChaCha20-Poly1305 of the message, with version ‖ tag as associated data
 *
 * It has at most 1232 bytes.
 */
export const DATAGRAM_VERSION = 1
export const TAG_BYTES = 8
const NONCE_BYTES = 24
const SEAL_BYTES = 16
const CLEAR_BYTES: number = 1 + TAG_BYTES
/** Bytes of a datagram besides its message. */
export const ENVELOPE_BYTES: number = CLEAR_BYTES + NONCE_BYTES + SEAL_BYTES

const TAG_DOMAIN = Buffer.from('peerlog 1 datagram tag\0', 'utf8')

/** What the datagrams of a database begin with after the version. */
export function datagramTag(key: Buffer): Buffer {
  return hash([TAG_DOMAIN], key).subarray(0, TAG_BYTES)
}

/** The tag of a datagram; null for bytes that are none. Says nothing of who sent it. */
export function tagOf(datagram: Buffer): Buffer | null {
  if (datagram.length < ENVELOPE_BYTES || datagram.length > MAX_DATAGRAM_BYTES) return null
  return datagram[0] === DATAGRAM_VERSION ? datagram.subarray(1, CLEAR_BYTES) : null
}

/** Seals and opens the datagrams of one database. */
export class Envelope {
  readonly tag: Buffer
  readonly #key: Buffer
  readonly #random: (bytes: number) => Buffer

  constructor(key: Buffer, random: (bytes: number) => Buffer) {
    this.tag = datagramTag(key)
    this.#key = key
    this.#random = random
  }

  seal(message: Buffer): Buffer {
    const datagram = Buffer.allocUnsafe(message.length + ENVELOPE_BYTES)
    datagram[0] = DATAGRAM_VERSION
    datagram.set(this.tag, 1)
    const nonce = this.#random(NONCE_BYTES)
    datagram.set(nonce, CLEAR_BYTES)
    const sealed = datagram.subarray(CLEAR_BYTES + NONCE_BYTES)
    const clear = datagram.subarray(0, CLEAR_BYTES)
    sodium.crypto_aead_xchacha20poly1305_ietf_encrypt(sealed, message, clear, null, nonce, this.#key)
    return datagram
  }

  /** The message, or null if no member of the database has sealed it. */
  open(datagram: Buffer): Buffer | null {
    if (tagOf(datagram)?.equals(this.tag) !== true) return null
    const message = Buffer.allocUnsafe(datagram.length - ENVELOPE_BYTES)
    const nonce = datagram.subarray(CLEAR_BYTES, CLEAR_BYTES + NONCE_BYTES)
    const sealed = datagram.subarray(CLEAR_BYTES + NONCE_BYTES)
    const clear = datagram.subarray(0, CLEAR_BYTES)
    try {
      sodium.crypto_aead_xchacha20poly1305_ietf_decrypt(message, null, sealed, clear, nonce, this.#key)
      return message
    } catch {
      return null
    }
  }
}

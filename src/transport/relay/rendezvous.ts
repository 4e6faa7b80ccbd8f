import { randomBytes } from 'node:crypto'
import sodium from 'sodium-universal'
import { hash } from '../../base/hash.ts'
import type { Topic } from '../../topic/topic.ts'

const RENDEZVOUS = Buffer.from('peerlog relay rendezvous 1')
const CARD = Buffer.from('peerlog relay card 1')
const BINDING = Buffer.from('peerlog relay bind 1')
const KEY_BYTES = 32
const NONCE_BYTES = 24
const TAG_BYTES = 16

/** What the relay knows a topic by. Hashed again, so that the relay cannot use it to join the swarm. */
export function rendezvousOf(topic: Topic): Buffer {
  return hash([RENDEZVOUS, topic])
}

/** Our public key, readable by whoever knows the topic: nonce ‖ ciphertext. */
export function sealCard(topic: Topic, publicKey: Uint8Array): Buffer {
  const card = Buffer.allocUnsafe(NONCE_BYTES + KEY_BYTES + TAG_BYTES)
  const nonce = randomBytes(NONCE_BYTES)
  nonce.copy(card)
  const ciphertext = card.subarray(NONCE_BYTES)
  const key = hash([CARD, topic])
  sodium.crypto_aead_xchacha20poly1305_ietf_encrypt(ciphertext, publicKey, rendezvousOf(topic), null, nonce, key)
  return card
}

/** The public key in a card, or null if nobody who knows the topic wrote it. */
export function openCard(topic: Topic, card: Uint8Array): Buffer | null {
  if (card.length !== NONCE_BYTES + KEY_BYTES + TAG_BYTES) return null
  const publicKey = Buffer.allocUnsafe(KEY_BYTES)
  const nonce = card.subarray(0, NONCE_BYTES)
  const ciphertext = card.subarray(NONCE_BYTES)
  const key = hash([CARD, topic])
  try {
    sodium.crypto_aead_xchacha20poly1305_ietf_decrypt(publicKey, null, ciphertext, rendezvousOf(topic), nonce, key)
    return publicKey
  } catch {
    return null
  }
}

/** The first message each way: it proves that both ends mean the same topic on this very handshake. */
export function bindingOf(topic: Topic, handshakeHash: Uint8Array): Buffer {
  return hash([BINDING, topic, handshakeHash])
}

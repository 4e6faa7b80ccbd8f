import blake2b from 'blake2b'
import { PeerlogError } from '../base/errors.ts'
import { MAX_DATABASE_ID_BYTES } from '../base/limits.ts'

/** 32 bytes that the peers of one database meet on. */
export type Topic = Uint8Array

export const TOPIC_BYTES = 32
const KEY_BYTES = 32

/**
 * The topic of a database: BLAKE2b-256 (RFC 7693) of the UTF-8 id, without salt or personalisation. With a key it is
 * keyed BLAKE2b-256, which only those who hold the key can compute.
 *
 * @param key 32 bytes, derived from the database's secret.
 * @throws TypeError for an id that is not a string or a key that is not bytes; {PeerlogError} `INVALID_ARGUMENT` for an
 * id that is empty, too long or not well-formed Unicode, or a key of another size.
 */
export function deriveTopic(databaseId: string, key?: Uint8Array): Topic {
  const id = databaseIdBytes(databaseId)
  if (key === undefined) return new Uint8Array(blake2b(TOPIC_BYTES).update(id).digest())
  if (!(key instanceof Uint8Array)) {
    throw new TypeError(`the topic's secret must be a Uint8Array of ${KEY_BYTES} bytes, not ${typeOf(key)}`)
  }
  if (key.length !== KEY_BYTES) {
    throw new PeerlogError('INVALID_ARGUMENT', `the topic's secret has ${key.length} bytes`, {
      hint: `Pass exactly ${KEY_BYTES} bytes; a passphrase is turned into such a key by open({ secret })`,
    })
  }
  return new Uint8Array(blake2b(TOPIC_BYTES, key).update(id).digest())
}

/** The id's UTF-8 bytes, once it has been found usable. */
export function databaseIdBytes(databaseId: string): Buffer {
  if (typeof databaseId !== 'string') {
    throw new TypeError(`databaseId must be a string, not ${typeOf(databaseId)}`)
  }
  if (databaseId === '') {
    throw new PeerlogError('INVALID_ARGUMENT', 'databaseId is empty', {
      hint: "Name what is shared, for instance 'my-notes'",
    })
  }
  if (!databaseId.isWellFormed()) {
    throw new PeerlogError('INVALID_ARGUMENT', 'databaseId has a lone surrogate, so it is not well-formed Unicode', {
      hint: 'Encode binary ids as hexadecimal',
    })
  }
  const bytes = Buffer.from(databaseId, 'utf8')
  if (bytes.length > MAX_DATABASE_ID_BYTES) {
    throw new PeerlogError('INVALID_ARGUMENT', `databaseId has ${bytes.length} bytes`, {
      hint: `Use at most ${MAX_DATABASE_ID_BYTES} bytes, for instance a hash of the longer name`,
    })
  }
  return bytes
}

function typeOf(value: unknown): string {
  return value === null ? 'null' : typeof value
}

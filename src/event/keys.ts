import sodium from 'sodium-universal'
import { PeerlogError } from '../base/errors.ts'
import { hash } from '../base/hash.ts'
import { databaseIdBytes } from '../topic/topic.ts'

/**
 * Everything that a database's id and secret are turned into. The keys are independent of each other: handing out one
 * (say, admission to a peer that shall keep what it cannot read) says nothing of the others.
 */
export interface DatabaseKeys {
  /** 32 bytes that stand for the database in signatures. Never sent. */
  readonly tag: Buffer
  /** Key of the topic; null without a secret. */
  readonly topic: Buffer | null
  /** Key of the proof with which peers are admitted. */
  readonly admission: Buffer
  /** Key that datagrams between members are sealed with. */
  readonly datagrams: Buffer
  /** Key of the events' seals; null without a secret. */
  readonly seal: Buffer | null
}

const SECRET_BYTES = 32
/** Argon2id (RFC 9106): passes over the memory, and its bytes. */
const ARGON2_PASSES = 3
const ARGON2_MEMORY_BYTES = 64 * 1024 * 1024

/**
 * @param secret a passphrase, stretched with Argon2id under a salt of the database; or 32 random bytes, used as they are.
 */
export async function deriveDatabaseKeys(databaseId: string, secret?: string | Uint8Array): Promise<DatabaseKeys> {
  const id = databaseIdBytes(databaseId)
  const tag = hash([label('database'), id])
  if (secret === undefined) {
    const [admission, datagrams] = [hash([label('admission'), id]), hash([label('datagrams'), id])]
    return { tag, topic: null, admission, datagrams, seal: null }
  }
  const root = typeof secret === 'string' ? await stretch(secret, tag) : checkSecret(secret)
  const derive = (purpose: string): Buffer => hash([label(purpose), tag], root)
  const [admission, datagrams] = [derive('admission'), derive('datagrams')]
  return { tag, topic: derive('topic'), admission, datagrams, seal: derive('seal') }
}

function label(purpose: string): Buffer {
  return Buffer.from(`peerlog 1 ${purpose}\0`, 'utf8')
}

async function stretch(passphrase: string, tag: Buffer): Promise<Buffer> {
  if (passphrase === '') {
    throw new PeerlogError('INVALID_ARGUMENT', 'the secret is empty', {
      hint: 'Leave it out for a database without a secret, or choose a passphrase of several words',
    })
  }
  if (!passphrase.isWellFormed()) {
    throw new PeerlogError('INVALID_ARGUMENT', 'the secret has a lone surrogate, so it is not well-formed Unicode', {
      hint: `Pass ${SECRET_BYTES} random bytes as a Uint8Array instead`,
    })
  }
  // The same passphrase must give the same bytes on every keyboard.
  const password = Buffer.from(passphrase.normalize('NFC'), 'utf8')
  const salt = hash([label('argon2id'), tag]).subarray(0, sodium.crypto_pwhash_SALTBYTES)
  const root = Buffer.alloc(SECRET_BYTES)
  await sodium.crypto_pwhash_async(
    root,
    password,
    salt,
    ARGON2_PASSES,
    ARGON2_MEMORY_BYTES,
    sodium.crypto_pwhash_ALG_ARGON2ID13,
  )
  return root
}

function checkSecret(secret: Uint8Array): Uint8Array {
  if (!(secret instanceof Uint8Array)) {
    throw new TypeError(`the secret must be a string or a Uint8Array, not ${typeof secret}`)
  }
  if (secret.length !== SECRET_BYTES) {
    throw new PeerlogError('INVALID_ARGUMENT', `the secret has ${secret.length} bytes`, {
      hint: `Pass exactly ${SECRET_BYTES} random bytes, or a passphrase as a string`,
    })
  }
  return secret
}

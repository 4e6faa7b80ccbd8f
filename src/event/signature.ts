import sodium from 'sodium-universal'

/**
 * Signature suites. The byte stands before every signature, so that logs signed with another suite (Falcon-512, say)
 * can live beside these.
 */
export const SUITE_ED25519 = 1

export interface AuthorKeyPair {
  /** 32 bytes; names the log. */
  readonly publicKey: Buffer
  /** 64 bytes. */
  readonly secretKey: Buffer
}

export interface Signature {
  suite: number
  bytes: Buffer
}

/** Bytes of a suite's signatures, or null for a suite we don't know. */
export function signatureBytes(suite: number): number | null {
  return suite === SUITE_ED25519 ? 64 : null
}

export function authorKeyPair(seed: Uint8Array): AuthorKeyPair {
  const publicKey = Buffer.allocUnsafeSlow(32)
  const secretKey = Buffer.allocUnsafeSlow(64)
  sodium.crypto_sign_seed_keypair(publicKey, secretKey, seed)
  return { publicKey, secretKey }
}

/** An author's statement: my log of this database has this length and this MMR root. */
export interface HeadStatement {
  databaseTag: Uint8Array
  author: Uint8Array
  length: number
  root: Uint8Array
}

const DOMAIN = Buffer.from('peerlog 1 head\0', 'utf8')

function statementBytes(suite: number, head: HeadStatement): Buffer {
  const length = Buffer.alloc(8)
  length.writeBigUInt64BE(BigInt(head.length))
  return Buffer.concat([DOMAIN, Uint8Array.of(suite), head.databaseTag, head.author, length, head.root])
}

export function signHead(head: HeadStatement, keyPair: AuthorKeyPair): Signature {
  const bytes = Buffer.allocUnsafe(64)
  sodium.crypto_sign_detached(bytes, statementBytes(SUITE_ED25519, head), keyPair.secretKey)
  return { suite: SUITE_ED25519, bytes }
}

export function verifyHead(head: HeadStatement, signature: Signature): boolean {
  if (signature.bytes.length !== signatureBytes(signature.suite)) return false
  return sodium.crypto_sign_verify_detached(signature.bytes, statementBytes(signature.suite, head), head.author)
}

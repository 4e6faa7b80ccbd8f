/**
 * Tokens let clients in and say which topics they may use: JSON Web Tokens (RFC 7519) signed with HMAC-SHA-256.
 *
 * | claim    | meaning                                                                        |
 * |----------|--------------------------------------------------------------------------------|
 * | `exp`    | required: second since 1970 at which it ends, and connections opened with it    |
 * | `topics` | required: rendezvous in hex (64 digits), or `*` for all; 1–64 of them           |
 * | `sub`    | optional: who it was given to, for the log                                      |
 * | `nbf`    | optional: second since 1970 before which it is not valid                        |
 *
 * The key is the UTF-8 text of a secret. Tokens come as `Authorization: Bearer TOKEN`, or as a second WebSocket
 * subprotocol `peerlog-token.TOKEN` from browsers, which can set no header.
 */
import type { IncomingHttpHeaders } from 'node:http'
import { SignJWT, errors, jwtVerify } from 'jose'
import { RENDEZVOUS_BYTES } from './frames.ts'
import { MAX_LOGGED_CHARACTERS, MAX_TOKEN_SECRETS, MAX_TOKEN_TOPICS, MIN_TOKEN_SECRET_BYTES } from './limits.ts'
import type { RefusalReason } from './tally.ts'

const ALGORITHM = 'HS256'
const ALL_TOPICS = '*'
const TOKEN_SUBPROTOCOL = 'peerlog-token.'
const RENDEZVOUS_HEX = new RegExp(`^[0-9a-f]{${RENDEZVOUS_BYTES * 2}}$`)

/** What a token allows. */
export interface Grant {
  /** Milliseconds since 1970. */
  expiresAt: number
  /** Whether JOIN and LOOKUP of the rendezvous are allowed. */
  allows(rendezvous: Uint8Array): boolean
  subject: string | undefined
}

export type TokenRefusal = Extract<RefusalReason, `token-${string}`>

/** Checks tokens against several secrets, so that one can follow another. */
export class TokenGate {
  #secrets: Uint8Array[]

  /** @throws {RangeError} if there is none, too many, or one is too short. */
  constructor(secrets: readonly string[]) {
    this.#secrets = checkSecrets(secrets)
  }

  /** Later tokens are checked against these; connections that are open go on. @throws {RangeError} */
  replace(secrets: readonly string[]): void {
    this.#secrets = checkSecrets(secrets)
  }

  async check(headers: IncomingHttpHeaders): Promise<Grant | TokenRefusal> {
    const token = presented(headers)
    if (token === undefined) return 'token-missing'
    let refusal: TokenRefusal = 'token-invalid'
    for (const secret of this.#secrets) {
      try {
        const { payload } = await jwtVerify(token, secret, { algorithms: [ALGORITHM] })
        const topics = topicsOf(payload.topics)
        if (topics === null || payload.exp === undefined) return 'token-invalid'
        return {
          expiresAt: payload.exp * 1000,
          allows: (rendezvous) => topics === ALL_TOPICS || topics.has(Buffer.from(rendezvous).toString('hex')),
          subject: payload.sub?.slice(0, MAX_LOGGED_CHARACTERS),
        }
      } catch (error) {
        // The signature is checked first, so that this secret is the right one.
        if (error instanceof errors.JWTExpired) refusal = 'token-expired'
      }
    }
    return refusal
  }
}

export interface TokenContent {
  /** Rendezvous in hex, or `*`. */
  topics: readonly string[]
  /** Milliseconds since 1970. */
  expiresAt: number
  subject?: string | undefined
}

/** @throws {RangeError} if it is one that no relay would take. */
export async function signToken(secret: string, { topics, expiresAt, subject }: TokenContent): Promise<string> {
  const [key] = checkSecrets([secret]) as [Uint8Array]
  if (topicsOf([...topics]) === null) {
    throw new RangeError(
      `a token is for 1 to ${MAX_TOKEN_TOPICS} topics, each a rendezvous of ${RENDEZVOUS_BYTES * 2} hex digits (lower case), or for *`,
    )
  }
  const jwt = new SignJWT({ topics }).setProtectedHeader({ alg: ALGORITHM }).setIssuedAt()
  if (subject !== undefined) jwt.setSubject(subject)
  return jwt.setExpirationTime(Math.floor(expiresAt / 1000)).sign(key)
}

function presented(headers: IncomingHttpHeaders): string | undefined {
  const [, bearer] = /^bearer +(\S+)$/i.exec(headers.authorization ?? '') ?? []
  if (bearer !== undefined) return bearer
  const offered = headers['sec-websocket-protocol']?.split(',').map((name) => name.trim()) ?? []
  return offered.find((name) => name.startsWith(TOKEN_SUBPROTOCOL))?.slice(TOKEN_SUBPROTOCOL.length)
}

function topicsOf(claim: unknown): Set<string> | typeof ALL_TOPICS | null {
  if (!Array.isArray(claim) || claim.length === 0 || claim.length > MAX_TOKEN_TOPICS) return null
  const good = claim.every((topic) => topic === ALL_TOPICS || (typeof topic === 'string' && RENDEZVOUS_HEX.test(topic)))
  if (!good) return null
  return claim.includes(ALL_TOPICS) ? ALL_TOPICS : new Set(claim as string[])
}

function checkSecrets(secrets: readonly string[]): Uint8Array[] {
  if (secrets.length === 0 || secrets.length > MAX_TOKEN_SECRETS) {
    throw new RangeError(`there must be 1 to ${MAX_TOKEN_SECRETS} token secrets, not ${secrets.length}`)
  }
  return secrets.map((secret) => {
    const bytes = Buffer.from(secret)
    if (bytes.length >= MIN_TOKEN_SECRET_BYTES) return bytes
    throw new RangeError(
      `a token secret needs ${MIN_TOKEN_SECRET_BYTES} bytes or more: openssl rand -base64 48 makes one`,
    )
  })
}

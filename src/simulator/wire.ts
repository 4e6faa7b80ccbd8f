import { Envelope } from '../broadcast/gossip/envelope.ts'
import { decodeHeader, encodeMessage } from '../broadcast/gossip/messages.ts'
import type { Chance } from './chance.ts'

/** By the first byte of a datagram's message. */
const KINDS = ['', 'heartbeat', 'digest', 'filter', 'piece', 'part', 'want', 'peaks', 'bye']
const PIECES: readonly string[] = ['piece', 'part']
/** Part of a liar's pieces that are altered. */
const LIES = 0.5

/** Reads sealed datagrams with the key that all members have, and alters them for liars. */
export class Wire {
  readonly #key: Buffer
  readonly #envelope: Envelope

  constructor(key: Buffer) {
    this.#key = key
    this.#envelope = new Envelope(key, (bytes) => Buffer.alloc(bytes))
  }

  kind(datagram: Buffer): string {
    const message = this.#envelope.open(datagram)
    const body = message === null ? null : decodeHeader(message)?.body
    return KINDS[body?.[0] ?? 0] || 'unknown'
  }

  /** What a liar sends instead: events whose last bytes, which are data, are not those that their author signed. */
  altered(datagram: Buffer, chance: Chance): Buffer {
    if (!PIECES.includes(this.kind(datagram)) || !chance.happens(LIES)) return datagram
    const decoded = decodeHeader(this.#envelope.open(datagram) as Buffer)
    if (decoded === null) return datagram
    const body = Buffer.from(decoded.body)
    const last = body.length - 1
    body[last] = (body[last] as number) ^ (1 << chance.below(3))
    const envelope = new Envelope(this.#key, (bytes) => {
      const nonce = Buffer.alloc(bytes)
      chance.fill(nonce)
      return nonce
    })
    return envelope.seal(encodeMessage(decoded.header, body))
  }
}

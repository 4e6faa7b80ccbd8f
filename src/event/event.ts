import sodium from 'sodium-universal'
import { Reader, varintBytes, writeVarint } from '../base/codec.ts'
import { PeerlogError } from '../base/errors.ts'
import { MAX_EVENT_BYTES, MAX_LINKS, MAX_SUBJECT_BYTES, MAX_TYPE_BYTES } from '../base/limits.ts'
import type { Timestamp } from './clock.ts'
import { subjectFault } from './subject.ts'

/**
 * Event bytes, version 1. Integers are big-endian; varints are LEB128 in their shortest form.
 *
 *   header   version  u8        1
 *            flags    u8        bit 0: sealed; the others 0
 *            author   32 bytes  Ed25519 public key
 *            seq      varint    position in the author's log, from 0
 *   then, unsealed:  body
 *   or, sealed:      nonce 24 bytes ‖ XChaCha20-Poly1305(body), with the header as associated data
 *
 *   body     time     u48       milliseconds since 1970 ┐ hybrid logical clock
 *            tick     u16                               ┘
 *            format   u8        of the data: 0 JSON text in UTF-8, 1 bytes
 *            subject  varint length ‖ UTF-8
 *            type     varint length ‖ UTF-8; length 0: none
 *            links    varint n ‖ n × (author 32 ‖ seq varint ‖ time u48 ‖ tick u16), authors strictly ascending
 *            data     the rest
 *
 * The event's id is BLAKE2b-256 of all of it. Every field has one encoding, so encode(decode(bytes)) gives the bytes.
 */
export const EVENT_VERSION = 1
const FLAG_SEALED = 1
const AUTHOR_BYTES = 32
const NONCE_BYTES = 24
const SEAL_TAG_BYTES = 16
const FORMAT_JSON = 0
const FORMAT_BYTES = 1
const LINK_MIN_BYTES = AUTHOR_BYTES + 1 + 8

export interface EventHeader {
  author: Buffer
  seq: number
  sealed: boolean
  /** Bytes of the header: what follows is the body, sealed or not. */
  headerBytes: number
}

/** The head of another author's log that the author had seen. */
export interface Link extends Timestamp {
  author: Buffer
  seq: number
}

export interface EventBody extends Timestamp {
  subject: string
  /** Empty: none. */
  type: string
  links: Link[]
  json: boolean
  data: Buffer
}

/** Why bytes are not an event, or not one that we can read. */
export type EventFault =
  | 'TOO_LARGE'
  | 'UNKNOWN_VERSION'
  | 'MALFORMED_HEADER'
  | 'NOT_SEALED'
  | 'CANNOT_UNSEAL'
  | 'MALFORMED_BODY'
  | 'INVALID_SUBJECT'
  | 'CLOCK_NOT_AFTER_LINK'

/** Fills the array with unpredictable bytes. */
export type RandomFill = (into: Uint8Array) => void

/**
 * @param sealKey 32 bytes, or null for an event that anyone can read.
 * @throws {PeerlogError} `EVENT_TOO_LARGE`. Everything else is the caller's to check before.
 */
export function encodeEvent(
  author: Uint8Array,
  seq: number,
  body: EventBody,
  sealKey: Uint8Array | null,
  randomFill: RandomFill,
): Buffer {
  const bytes = Buffer.allocUnsafe(encodedBytes(seq, body, sealKey !== null))
  writeEvent(bytes, 0, author, seq, body, sealKey !== null)
  if (sealKey !== null) sealEvent(bytes, sealKey, randomFill)
  return bytes
}

/**
 * Bytes of the event.
 *
 * @throws {PeerlogError} `EVENT_TOO_LARGE`.
 */
export function encodedBytes(seq: number, body: EventBody, sealed: boolean): number {
  const { subject, type, links, data } = body
  const overhead = 2 + AUTHOR_BYTES + varintBytes(seq) + (sealed ? NONCE_BYTES + SEAL_TAG_BYTES : 0)
  const bytes = overhead + 9 + textBytes(subject) + textBytes(type) + linksBytes(links) + data.length
  if (bytes <= MAX_EVENT_BYTES) return bytes
  throw new PeerlogError('EVENT_TOO_LARGE', `the event would have ${bytes} bytes`, {
    hint: `An event holds at most ${MAX_EVENT_BYTES} bytes; split the data or store it elsewhere and append its name`,
  })
}

/** Writes an event, all of it or, if it is to be sealed, all but the nonce and the seal, for which it leaves room. */
export function writeEvent(
  into: Buffer,
  offset: number,
  author: Uint8Array,
  seq: number,
  body: EventBody,
  sealed: boolean,
): void {
  into[offset] = EVENT_VERSION
  into[offset + 1] = sealed ? FLAG_SEALED : 0
  into.set(author, offset + 2)
  const at = writeVarint(into, offset + 2 + AUTHOR_BYTES, seq)
  writeBody(into, sealed ? at + NONCE_BYTES : at, body)
}

/** Seals in place what `writeEvent` has left to be sealed. */
export function sealEvent(event: Buffer, sealKey: Uint8Array, randomFill: RandomFill): void {
  let headerBytes = 2 + AUTHOR_BYTES
  while ((event[headerBytes++] as number) >= 0x80);
  randomFill(NONCE)
  event.set(NONCE, headerBytes)
  const bodyAt = headerBytes + NONCE_BYTES
  // In place: the cipher may write where it reads.
  const sealed = event.subarray(bodyAt)
  const plain = event.subarray(bodyAt, event.length - SEAL_TAG_BYTES)
  const header = event.subarray(0, headerBytes)
  sodium.crypto_aead_xchacha20poly1305_ietf_encrypt(sealed, plain, header, null, NONCE, sealKey)
}

// Scratch space: sealing is synchronous and never re-entered.
const NONCE = Buffer.alloc(NONCE_BYTES)

function textBytes(text: string): number {
  const bytes = Buffer.byteLength(text, 'utf8')
  return varintBytes(bytes) + bytes
}

function linksBytes(links: Link[]): number {
  let bytes = varintBytes(links.length)
  for (const link of links) bytes += LINK_MIN_BYTES - 1 + varintBytes(link.seq)
  return bytes
}

function writeBody(into: Buffer, offset: number, body: EventBody): void {
  let at = writeTimestamp(into, offset, body)
  into[at++] = body.json ? FORMAT_JSON : FORMAT_BYTES
  at = writeText(into, at, body.subject)
  at = writeText(into, at, body.type)
  at = writeVarint(into, at, body.links.length)
  for (const link of body.links) {
    into.set(link.author, at)
    at = writeVarint(into, at + AUTHOR_BYTES, link.seq)
    at = writeTimestamp(into, at, link)
  }
  into.set(body.data, at)
}

function writeText(into: Buffer, offset: number, text: string): number {
  const at = writeVarint(into, offset, Buffer.byteLength(text, 'utf8'))
  return text === '' ? at : at + into.write(text, at, 'utf8')
}

function writeTimestamp(into: Buffer, offset: number, { time, tick }: Timestamp): number {
  into.writeUIntBE(time, offset, 6)
  return into.writeUInt16BE(tick, offset + 6)
}

/** The clear part of an event. Any bytes give a header or a fault, never an exception. */
export function decodeEventHeader(bytes: Buffer): EventHeader | EventFault {
  if (bytes.length > MAX_EVENT_BYTES) return 'TOO_LARGE'
  const reader = new Reader(bytes)
  const version = reader.u8()
  const flags = reader.u8()
  const author = reader.bytes(AUTHOR_BYTES)
  const seq = reader.varint()
  if (!reader.ok) return 'MALFORMED_HEADER'
  if (version !== EVENT_VERSION) return 'UNKNOWN_VERSION'
  if (flags > FLAG_SEALED) return 'MALFORMED_HEADER'
  return { author, seq, sealed: flags === FLAG_SEALED, headerBytes: reader.offset }
}

/**
 * The clear part of an event of this author at this place in its log; null for any other bytes. It says what
 * `decodeEventHeader` would: every field has one encoding, so the bytes are compared with what they must be.
 */
export function eventHeaderAt(bytes: Buffer, author: Buffer, seq: number): EventHeader | null {
  const flags = bytes[1] as number
  if (bytes.length > MAX_EVENT_BYTES || bytes[0] !== EVENT_VERSION || flags > FLAG_SEALED) return null
  for (let i = 0; i < AUTHOR_BYTES; i++) if (bytes[2 + i] !== author[i]) return null
  let headerBytes = 2 + AUTHOR_BYTES
  let rest = seq
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) {
    if (bytes[headerBytes++] !== (rest % 0x80) + 0x80) return null
  }
  if (bytes[headerBytes++] !== rest) return null
  return { author, seq, sealed: flags === FLAG_SEALED, headerBytes }
}

/**
 * What an event says. Any bytes give a body or a fault, never an exception, and the same one on every replica that
 * holds the key. Where the event was not sealed, `data` and links are views into its bytes.
 *
 * @param sealKey the database's; with one, an event that is not sealed is refused: a peer without the key could have made it.
 */
export function decodeEventBody(
  bytes: Buffer,
  header: EventHeader,
  sealKey: Uint8Array | null,
): EventBody | EventFault {
  if (!header.sealed) {
    return sealKey === null ? decodeBody(bytes.subarray(header.headerBytes)) : 'NOT_SEALED'
  }
  const sealed = bytes.length - header.headerBytes - NONCE_BYTES
  if (sealKey === null || sealed < SEAL_TAG_BYTES) return 'CANNOT_UNSEAL'
  const body = Buffer.allocUnsafe(sealed - SEAL_TAG_BYTES)
  const bodyAt = header.headerBytes + NONCE_BYTES
  const clear = bytes.subarray(0, header.headerBytes)
  const nonce = bytes.subarray(header.headerBytes, bodyAt)
  try {
    sodium.crypto_aead_xchacha20poly1305_ietf_decrypt(body, null, bytes.subarray(bodyAt), clear, nonce, sealKey)
  } catch {
    return 'CANNOT_UNSEAL'
  }
  return decodeBody(body)
}

function decodeBody(bytes: Buffer): EventBody | EventFault {
  const reader = new Reader(bytes)
  const time = reader.u48()
  const tick = reader.u16()
  const format = reader.u8()
  const subject = reader.text(MAX_SUBJECT_BYTES)
  const type = reader.text(MAX_TYPE_BYTES)
  const links = readLinks(reader)
  const data = reader.rest()
  if (!reader.ok || format > FORMAT_BYTES) return 'MALFORMED_BODY'
  if (subjectFault(subject) !== null) return 'INVALID_SUBJECT'
  for (const link of links) {
    if (link.time > time || (link.time === time && link.tick >= tick)) return 'CLOCK_NOT_AFTER_LINK'
  }
  return { time, tick, subject, type, links, json: format === FORMAT_JSON, data }
}

function readLinks(reader: Reader): Link[] {
  const count = reader.varint()
  const links: Link[] = []
  if (count > MAX_LINKS) reader.fail()
  for (let i = 0; i < count && reader.ok; i++) {
    const author = reader.bytes(AUTHOR_BYTES)
    const seq = reader.varint()
    const time = reader.u48()
    const tick = reader.u16()
    const previous = links.at(-1)
    if (previous !== undefined && Buffer.compare(previous.author, author) >= 0) reader.fail()
    links.push({ author, seq, time, tick })
  }
  return links
}

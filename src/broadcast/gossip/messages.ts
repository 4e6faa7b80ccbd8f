import { Reader, varintBytes, Writer } from '../../base/codec.ts'
import { MAX_EVENT_BYTES, MAX_FORK_PROOF_BYTES, MAX_LOG_LENGTH } from '../../base/limits.ts'
import { peaksBytes } from '../../event/mmr.ts'
import type { Signature } from '../../event/signature.ts'
import { signatureBytes } from '../../event/signature.ts'
import { BloomFilter } from '../../reconcile/bloom/bloom-filter.ts'
import { ENVELOPE_BYTES } from './envelope.ts'
import { MAX_DATAGRAM_BYTES, MAX_DIGEST_RANGES, MAX_WHOLE_EVENT_BYTES, PART_BYTES } from './limits.ts'
import type { Place, Span } from './place.ts'
import { comparePlaces, readPlace, writePlace } from './place.ts'

/**
 * What is sealed in a datagram. Integers and varints as everywhere (see `base/codec.ts`); a _place_ as in `place.ts`.
 *
 *   sender   32 bytes  the peer's id
 *   epoch    8 bytes   random, new with every start
 *   counter  u48       of the datagrams of this epoch: ascending
 *   echo     8 bytes   the cookie that the receiver gave to the sender's address; zeros before it gave one
 *   type     u8
 *   body     by type, to the end:
 *
 *   1 HEARTBEAT  root 32 ‖ items varint ‖ time u48 ‖ heard u48 ‖ delay u16 ‖ cookie 8
 *                  frontier root and number of items; by the sender's clock in milliseconds; the time of the receiver's
 *                  newest heartbeat and how long ago that came (0xffff: none); for the receiver's address, or zeros
 *   2 DIGEST     from place ‖ ranges: (to place ‖ 0), or (to place ‖ 1 ‖ items varint ‖ fingerprint 16)
 *                  each range begins where the one before ends; those with 0 are left out
 *   3 FILTER     from place ‖ to place ‖ items varint ‖ fingerprint 16 ‖ filter
 *                  what the sender has stored there, and a Bloom filter of that and of what it need not be sent
 *   4 EVENTS     author 32 ‖ length varint ‖ suite u8 ‖ signature ‖ events: (seq varint ‖ time u48 ‖ bytes varint ‖ event)
 *                  of one log below its signed length; each seq but the first as the difference to the one before, less 1
 *   5 PART       kind u8 ‖ author 32 ‖ id 32 ‖ total varint ‖ index varint
 *                  ‖ if kind is 0: (seq varint ‖ time u48 ‖ length varint ‖ suite u8 ‖ signature) ‖ bytes
 *                  960 bytes (the last: what is left) of an event (0) or of a proof that the author forked (1)
 *   6 WANT       author 32 ‖ kind u8 ‖ value varint: the peaks at a seq (0), at the last event before a time (1), or so many events
 *                  before the end (2)
 *   7 PEAKS      author 32 ‖ seq varint ‖ peaks 32 for every set bit of seq
 *   8 BYE        nothing
 */
export type Message = Heartbeat | Digest | FilterMessage | EventsMessage | Part | Want | Peaks | { type: 'bye' }

export interface Heartbeat {
  type: 'heartbeat'
  root: Buffer
  items: number
  time: number
  /** Of our newest heartbeat; null if the sender had none. */
  heard: number | null
  delay: number
  cookie: Buffer
}

export interface DigestRange extends Span {
  items: number
  fingerprint: Buffer
}

export interface Digest {
  type: 'digest'
  ranges: DigestRange[]
}

export interface FilterMessage extends DigestRange {
  type: 'filter'
  filter: BloomFilter
}

export interface SignedHead {
  length: number
  signature: Signature
}

export interface PieceEvent {
  seq: number
  /** The event's clock, as the sender says. */
  time: number
  bytes: Buffer
}

export interface EventsMessage {
  type: 'events'
  author: Buffer
  head: SignedHead
  events: PieceEvent[]
}

export interface Part {
  type: 'part'
  author: Buffer
  /** Hash of the whole. */
  id: Buffer
  total: number
  index: number
  bytes: Buffer
  /** Of which event; null if it is a proof. */
  event: { seq: number; time: number; head: SignedHead } | null
}

export type WantKind = 'seq' | 'time' | 'last'

export interface Want {
  type: 'want'
  author: Buffer
  kind: WantKind
  value: number
}

export interface Peaks {
  type: 'peaks'
  author: Buffer
  seq: number
  peaks: Buffer
}

export interface Header {
  sender: Buffer
  epoch: Buffer
  counter: number
  echo: Buffer
}

export const EPOCH_BYTES = 8
export const COOKIE_BYTES = 8
export const NO_COOKIE: Buffer = Buffer.alloc(COOKIE_BYTES)
const FINGERPRINT_BYTES = 16
const HEADER_BYTES = 32 + EPOCH_BYTES + 6 + COOKIE_BYTES
/** Bytes of a message's type and body. */
export const MAX_BODY_BYTES: number = MAX_DATAGRAM_BYTES - ENVELOPE_BYTES - HEADER_BYTES
const NO_DELAY = 0xffff
/** The longest delay that is told. */
export const MAX_DELAY_MS: number = NO_DELAY - 1
const WANT_KINDS: readonly WantKind[] = ['seq', 'time', 'last']

const TYPES = { heartbeat: 1, digest: 2, filter: 3, events: 4, part: 5, want: 6, peaks: 7, bye: 8 } as const

// ---- writing ----------------------------------------------------------------------------------------------------

export function encodeMessage({ sender, epoch, counter, echo }: Header, body: Buffer): Buffer {
  const bytes = Buffer.allocUnsafe(HEADER_BYTES + body.length)
  bytes.set(sender, 0)
  bytes.set(epoch, 32)
  bytes.writeUIntBE(counter, 32 + EPOCH_BYTES, 6)
  bytes.set(echo, 32 + EPOCH_BYTES + 6)
  bytes.set(body, HEADER_BYTES)
  return bytes
}

function u48(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(6)
  bytes.writeUIntBE(value, 0, 6)
  return bytes
}

export function encodeHeartbeat({ root, items, time, heard, delay, cookie }: Omit<Heartbeat, 'type'>): Buffer {
  const told = heard === null ? NO_DELAY : Math.min(delay, MAX_DELAY_MS)
  return new Writer()
    .u8(TYPES.heartbeat)
    .bytes(root)
    .varint(items)
    .bytes(u48(time))
    .bytes(u48(heard ?? 0))
    .bytes(Uint8Array.of(told >> 8, told & 0xff))
    .bytes(cookie)
    .finish()
}

/** As many of the ranges, which ascend, as fit a datagram. */
export function encodeDigest(ranges: readonly DigestRange[]): Buffer {
  const writer = new Writer().u8(TYPES.digest)
  let at: Place | null = null
  for (const { from, to, items, fingerprint } of ranges) {
    if (at === null) writePlace(writer, from)
    const gap = at !== null && comparePlaces(at, from) < 0
    const entry = new Writer()
    if (gap) {
      writePlace(entry, from)
      entry.u8(0)
    }
    writePlace(entry, to)
    entry.u8(1).varint(items).bytes(fingerprint)
    if (writer.length + entry.length > MAX_BODY_BYTES) break
    writer.bytes(entry.finish())
    at = to
  }
  return writer.finish()
}

/** Bytes that a filter of a span may have. */
export function roomForFilter({ from, to, items }: Omit<DigestRange, 'fingerprint'>): number {
  const places = 14 + from.prefix.length + to.prefix.length
  return MAX_BODY_BYTES - 1 - places - varintBytes(items) - FINGERPRINT_BYTES
}

export function encodeFilter({ from, to, items, fingerprint, filter }: Omit<FilterMessage, 'type'>): Buffer {
  const writer = new Writer().u8(TYPES.filter)
  writePlace(writer, from)
  writePlace(writer, to)
  return writer.varint(items).bytes(fingerprint).bytes(filter.encode()).finish()
}

function writeHead(writer: Writer, { length, signature }: SignedHead): Writer {
  return writer.varint(length).u8(signature.suite).bytes(signature.bytes)
}

/** How many of the events, which ascend, fit one datagram; each fits by itself. */
export function eventsThatFit(head: SignedHead, events: readonly PieceEvent[]): number {
  let bytes = 1 + 32 + varintBytes(head.length) + 1 + head.signature.bytes.length
  for (const [i, event] of events.entries()) {
    bytes += varintBytes(event.seq) + 6 + varintBytes(event.bytes.length) + event.bytes.length
    if (bytes > MAX_BODY_BYTES) return Math.max(1, i)
  }
  return events.length
}

export function encodeEvents({ author, head, events }: Omit<EventsMessage, 'type'>): Buffer {
  const writer = writeHead(new Writer().u8(TYPES.events).bytes(author), head)
  let next = 0
  for (const { seq, time, bytes } of events) {
    writer
      .varint(seq - next)
      .bytes(u48(time))
      .varint(bytes.length)
      .bytes(bytes)
    next = seq + 1
  }
  return writer.finish()
}

/** Parts that so many bytes take. */
export function partsOf(total: number): number {
  return Math.ceil(total / PART_BYTES)
}

export function encodePart({ author, id, total, index, bytes, event }: Omit<Part, 'type'>): Buffer {
  const writer = new Writer()
    .u8(TYPES.part)
    .u8(event === null ? 1 : 0)
    .bytes(author)
    .bytes(id)
  writer.varint(total).varint(index)
  if (event !== null) writeHead(writer.varint(event.seq).bytes(u48(event.time)), event.head)
  return writer.bytes(bytes).finish()
}

export function encodeWant({ author, kind, value }: Omit<Want, 'type'>): Buffer {
  return new Writer().u8(TYPES.want).bytes(author).u8(WANT_KINDS.indexOf(kind)).varint(value).finish()
}

export function encodePeaks({ author, seq, peaks }: Omit<Peaks, 'type'>): Buffer {
  return new Writer().u8(TYPES.peaks).bytes(author).varint(seq).bytes(peaks).finish()
}

export const BYE: Buffer = Buffer.of(TYPES.bye)

// ---- reading ----------------------------------------------------------------------------------------------------

/** Who sent it, and where its body begins; null if there is no whole header. Views. */
export function decodeHeader(bytes: Buffer): { header: Header; body: Buffer } | null {
  if (bytes.length <= HEADER_BYTES) return null
  const reader = new Reader(bytes)
  const header = {
    sender: reader.bytes(32),
    epoch: reader.bytes(EPOCH_BYTES),
    counter: reader.u48(),
    echo: reader.bytes(COOKIE_BYTES),
  }
  return { header, body: reader.rest() }
}

/** Null for bytes that are no message. What is in it are views. */
export function decodeBody(bytes: Buffer): Message | null {
  const reader = new Reader(bytes)
  const message = readBody(reader.u8(), reader)
  return message !== null && reader.finished ? message : null
}

function readBody(type: number, reader: Reader): Message | null {
  switch (type) {
    case TYPES.heartbeat:
      return readHeartbeat(reader)
    case TYPES.digest:
      return readDigest(reader)
    case TYPES.filter:
      return readFilter(reader)
    case TYPES.events:
      return readEvents(reader)
    case TYPES.part:
      return readPart(reader)
    case TYPES.want: {
      const author = reader.bytes(32)
      const kind = WANT_KINDS[reader.u8()]
      return kind === undefined ? null : { type: 'want', author, kind, value: reader.varint() }
    }
    case TYPES.peaks: {
      const author = reader.bytes(32)
      const seq = reader.varint()
      if (seq > MAX_LOG_LENGTH) return null
      return { type: 'peaks', author, seq, peaks: reader.bytes(peaksBytes(seq)) }
    }
    case TYPES.bye:
      return { type: 'bye' }
    default:
      return null
  }
}

function readHeartbeat(reader: Reader): Heartbeat | null {
  const root = reader.bytes(32)
  const items = reader.varint()
  const time = reader.u48()
  const heard = reader.u48()
  const delay = reader.u16()
  const none = delay === NO_DELAY
  if (none && heard !== 0) return null
  const cookie = reader.bytes(COOKIE_BYTES)
  return { type: 'heartbeat', root, items, time, heard: none ? null : heard, delay: none ? 0 : delay, cookie }
}

function readDigest(reader: Reader): Digest | null {
  const ranges: DigestRange[] = []
  let from = readPlace(reader)
  for (let i = 0; reader.remaining > 0; i++) {
    const to = readPlace(reader)
    const mode = reader.u8()
    if (!reader.ok || mode > 1 || i === MAX_DIGEST_RANGES || comparePlaces(from, to) >= 0) return null
    if (mode === 1) ranges.push({ from, to, items: reader.varint(), fingerprint: reader.bytes(FINGERPRINT_BYTES) })
    from = to
  }
  return ranges.length === 0 ? null : { type: 'digest', ranges }
}

function readFilter(reader: Reader): FilterMessage | null {
  const from = readPlace(reader)
  const to = readPlace(reader)
  const items = reader.varint()
  const fingerprint = reader.bytes(FINGERPRINT_BYTES)
  const filter = BloomFilter.decode(reader.rest())
  if (!reader.ok || filter === null || comparePlaces(from, to) >= 0) return null
  return { type: 'filter', from, to, items, fingerprint, filter }
}

function readHead(reader: Reader): SignedHead | null {
  const length = reader.varint()
  const suite = reader.u8()
  const size = signatureBytes(suite)
  if (size === null || length > MAX_LOG_LENGTH) return null
  return { length, signature: { suite, bytes: reader.bytes(size) } }
}

function readEvents(reader: Reader): EventsMessage | null {
  const author = reader.bytes(32)
  const head = readHead(reader)
  const events: PieceEvent[] = []
  if (head === null) return null
  for (let next = 0; reader.remaining > 0;) {
    const seq = next + reader.varint()
    const time = reader.u48()
    const length = reader.varint()
    if (length === 0 || length > MAX_WHOLE_EVENT_BYTES || seq >= head.length) return null
    events.push({ seq, time, bytes: reader.bytes(length) })
    next = seq + 1
  }
  return events.length === 0 ? null : { type: 'events', author, head, events }
}

function readPart(reader: Reader): Part | null {
  const kind = reader.u8()
  const author = reader.bytes(32)
  const id = reader.bytes(32)
  const total = reader.varint()
  const index = reader.varint()
  if (kind > 1 || total === 0 || total > (kind === 0 ? MAX_EVENT_BYTES : MAX_FORK_PROOF_BYTES)) return null
  if (kind === 0 && total <= MAX_WHOLE_EVENT_BYTES) return null
  const parts = partsOf(total)
  if (index >= parts) return null
  let event: Part['event'] = null
  if (kind === 0) {
    const seq = reader.varint()
    const time = reader.u48()
    const head = readHead(reader)
    if (head === null || seq >= head.length) return null
    event = { seq, time, head }
  }
  const bytes = reader.rest()
  if (bytes.length !== (index < parts - 1 ? PART_BYTES : total - index * PART_BYTES)) return null
  return { type: 'part', author, id, total, index, bytes, event }
}

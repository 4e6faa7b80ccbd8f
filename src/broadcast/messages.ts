import { Reader, Writer } from '../base/codec.ts'
import {
  HEAD_RANGES_BYTES,
  MAX_FORK_PROOF_BYTES,
  MAX_HEADS_PER_MESSAGE,
  MAX_LOG_LENGTH,
  MAX_MARKS,
  MAX_RANGES_PER_REQUEST,
  MAX_REASON_BYTES,
  MAX_RUN_BYTES,
  MAX_RUNS_PER_FRAME,
} from '../base/limits.ts'
import type { Run } from '../event/run.ts'
import { encodedRunBytes, readRun, writeRun } from '../event/run.ts'

/**
 * Messages of a session, protocol version 3. The first byte says which; the rest must fit exactly.
 *
 *    1  HELLO    version u8 ‖ proof 32 bytes
 *    2  GOODBYE  code u8 ‖ reason (varint length ‖ UTF-8, at most 256 bytes)
 *    3  ROOT     frontier root 32 bytes ‖ features varint ‖ varint n ‖ n × mark 16 ‖ logs varint: how many I hold
 *    4  HEADS    kind u8 (0: more follow, 1: the last, 2: news) ‖ varint n
 *                ‖ n × (author 32 ‖ length varint ‖ start varint ‖ tag 8)
 *    5  REQUEST  varint n ‖ n × (author 32 ‖ from varint ‖ want u8 (0: events, 1: events with peaks, 2: fork proof,
 *                3: events with peaks, from the time `from` on))
 *    6  FRAME    runs, one after the other
 *    7  ACK      varint n: that many more frames are stored
 *    8  FORK     fork proof
 *    9  PING
 *   10  LAZY     only announce to me what you forward
 *   11  EAGER    push to me what you forward
 *   12  MARK     mark 16: the frontier that I have now
 *   13  RANGE    a message of range reconciliation (Negentropy V1) over heads
 *   14  TELL     kind u8 (0: more follow, 1: the last) ‖ varint n ‖ n × author prefix 16: tell me these heads
 *
 * A mark is the first 16 bytes of a frontier root. Features are bits; there are none yet, and unknown ones are ignored.
 * A head's tag is the first 8 bytes of its MMR root, or eight bytes ff for a forked log.
 */
export const PROTOCOL_VERSION = 3

const HELLO = 1
const GOODBYE = 2
const ROOT = 3
const HEADS = 4
const REQUEST = 5
const FRAME = 6
const ACK = 7
const FORK = 8
const PING = 9
const LAZY = 10
const EAGER = 11
const MARK = 12
const RANGE = 13
const TELL = 14

const NO_FEATURES = 0

export const TAG_BYTES = 8
export const MARK_BYTES = 16
/** Bytes of an author's key by which TELL names it. */
export const AUTHOR_PREFIX_BYTES = 16
export const FORKED_TAG: Buffer = Buffer.alloc(TAG_BYTES, 0xff)

export interface Head {
  author: Buffer
  length: number
  /** First seq that the sender holds. */
  start: number
  tag: Buffer
}

export type HeadsKind = 'more' | 'last' | 'news'
const HEADS_KINDS: readonly HeadsKind[] = ['more', 'last', 'news']

export type Want = 'events' | 'peaks' | 'proof' | 'since'
const WANTS: readonly Want[] = ['events', 'peaks', 'proof', 'since']

export interface RangeRequest {
  author: Buffer
  /** A seq; with `since` milliseconds since 1970. */
  from: number
  want: Want
}

export type Message =
  | { type: 'hello'; version: number; proof: Buffer }
  | { type: 'goodbye'; code: number; reason: string }
  | { type: 'root'; root: Buffer; marks: Buffer[]; logs: number }
  | { type: 'heads'; kind: HeadsKind; heads: Head[] }
  | { type: 'request'; ranges: RangeRequest[] }
  | { type: 'frame'; runs: Run[] }
  | { type: 'ack'; frames: number }
  | { type: 'fork'; proof: Buffer }
  | { type: 'ping' }
  | { type: 'lazy' }
  | { type: 'eager' }
  | { type: 'mark'; mark: Buffer }
  | { type: 'range'; bytes: Buffer }
  | { type: 'tell'; isLast: boolean; prefixes: Buffer[] }

export function encodeHello(proof: Buffer): Buffer {
  return Buffer.concat([Uint8Array.of(HELLO, PROTOCOL_VERSION), proof])
}

export function encodeGoodbye(code: number, reason: string): Buffer {
  return new Writer().u8(GOODBYE).u8(code).text(reason).finish()
}

/**
 * @param marks frontiers that we and the peer have both had, the newest first.
 * @param logs number of logs that we hold.
 */
export function encodeRoot(root: Buffer, marks: readonly Buffer[] = [], logs = 0): Buffer {
  const writer = new Writer().u8(ROOT).bytes(root).varint(NO_FEATURES).varint(marks.length)
  for (const mark of marks) writer.bytes(mark)
  return writer.varint(logs).finish()
}

export function encodeHeads(kind: HeadsKind, heads: readonly Head[]): Buffer {
  const writer = new Writer().u8(HEADS).u8(HEADS_KINDS.indexOf(kind)).varint(heads.length)
  for (const { author, length, start, tag } of heads) writer.bytes(author).varint(length).varint(start).bytes(tag)
  return writer.finish()
}

export function encodeRequest(ranges: readonly RangeRequest[]): Buffer {
  const writer = new Writer().u8(REQUEST).varint(ranges.length)
  for (const { author, from, want } of ranges) writer.bytes(author).varint(from).u8(WANTS.indexOf(want))
  return writer.finish()
}

export function encodeFrame(runs: readonly Run[]): Buffer {
  const bytes = Buffer.allocUnsafe(runs.reduce((sum, run) => sum + encodedRunBytes(run), 1))
  bytes[0] = FRAME
  runs.reduce((offset, run) => writeRun(bytes, offset, run), 1)
  return bytes
}

export function encodeAck(frames: number): Buffer {
  return new Writer().u8(ACK).varint(frames).finish()
}

export function encodeFork(proof: Buffer): Buffer {
  return Buffer.concat([Uint8Array.of(FORK), proof])
}

export function encodeMark(mark: Buffer): Buffer {
  return Buffer.concat([Uint8Array.of(MARK), mark])
}

export function encodeRange(bytes: Uint8Array): Buffer {
  return Buffer.concat([Uint8Array.of(RANGE), bytes])
}

export function encodeTell(isLast: boolean, prefixes: readonly Buffer[]): Buffer {
  const writer = new Writer()
    .u8(TELL)
    .u8(isLast ? 1 : 0)
    .varint(prefixes.length)
  for (const prefix of prefixes) writer.bytes(prefix)
  return writer.finish()
}

export const PING_MESSAGE: Buffer = Buffer.of(PING)
export const LAZY_MESSAGE: Buffer = Buffer.of(LAZY)
export const EAGER_MESSAGE: Buffer = Buffer.of(EAGER)

/** The message, its parts as views into the bytes; null for anything that is not one. Never throws. */
export function decodeMessage(bytes: Buffer): Message | null {
  const reader = new Reader(bytes)
  const message = readMessage(reader)
  return reader.finished ? message : null
}

function readMessage(reader: Reader): Message | null {
  switch (reader.u8()) {
    case HELLO:
      return { type: 'hello', version: reader.u8(), proof: reader.bytes(32) }
    case GOODBYE:
      return { type: 'goodbye', code: reader.u8(), reason: reader.text(MAX_REASON_BYTES) }
    case ROOT:
      return readRoot(reader)
    case HEADS:
      return readHeads(reader)
    case REQUEST:
      return readRequest(reader)
    case FRAME:
      return readFrame(reader)
    case ACK:
      return { type: 'ack', frames: reader.varint() }
    case FORK:
      if (reader.remaining > MAX_FORK_PROOF_BYTES) reader.fail()
      return { type: 'fork', proof: reader.rest() }
    case PING:
      return { type: 'ping' }
    case LAZY:
      return { type: 'lazy' }
    case EAGER:
      return { type: 'eager' }
    case MARK:
      return { type: 'mark', mark: reader.bytes(MARK_BYTES) }
    case RANGE:
      if (reader.remaining > HEAD_RANGES_BYTES) reader.fail()
      return { type: 'range', bytes: reader.rest() }
    case TELL:
      return readTell(reader)
    default:
      reader.fail()
      return null
  }
}

function readRoot(reader: Reader): Message {
  const root = reader.bytes(32)
  reader.varint()
  const count = reader.varint()
  if (count > MAX_MARKS) reader.fail()
  const marks: Buffer[] = []
  for (let i = 0; i < count && reader.ok; i++) marks.push(reader.bytes(MARK_BYTES))
  return { type: 'root', root, marks, logs: reader.varint() }
}

function readTell(reader: Reader): Message {
  const kind = reader.u8()
  const count = reader.varint()
  if (kind > 1 || count > MAX_HEADS_PER_MESSAGE) reader.fail()
  const prefixes: Buffer[] = []
  for (let i = 0; i < count && reader.ok; i++) prefixes.push(reader.bytes(AUTHOR_PREFIX_BYTES))
  return { type: 'tell', isLast: kind === 1, prefixes }
}

function readHeads(reader: Reader): Message {
  const kind = HEADS_KINDS[reader.u8()]
  if (kind === undefined) reader.fail()
  const count = reader.varint()
  if (count > MAX_HEADS_PER_MESSAGE) reader.fail()
  const heads: Head[] = []
  for (let i = 0; i < count && reader.ok; i++) {
    const [author, length, start] = [reader.bytes(32), reader.varint(), reader.varint()]
    const head = { author, length, start, tag: reader.bytes(TAG_BYTES) }
    // Only a fork can be known of a log of which nothing is held.
    if (length > MAX_LOG_LENGTH || (start >= length && !(start === 0 && head.tag.equals(FORKED_TAG)))) reader.fail()
    heads.push(head)
  }
  return { type: 'heads', kind: kind ?? 'more', heads }
}

function readRequest(reader: Reader): Message {
  const count = reader.varint()
  if (count > MAX_RANGES_PER_REQUEST) reader.fail()
  const ranges: RangeRequest[] = []
  for (let i = 0; i < count && reader.ok; i++) {
    const author = reader.bytes(32)
    const from = reader.varint()
    const want = WANTS[reader.u8()]
    if (want === undefined || from > MAX_LOG_LENGTH) reader.fail()
    ranges.push({ author, from, want: want ?? 'events' })
  }
  return { type: 'request', ranges }
}

function readFrame(reader: Reader): Message {
  const runs: Run[] = []
  while (reader.ok && reader.remaining > 0) {
    const run = readRun(reader)
    if (run.events.reduce((sum, event) => sum + event.length, 0) > MAX_RUN_BYTES) reader.fail()
    if (runs.push(run) > MAX_RUNS_PER_FRAME) reader.fail()
  }
  if (runs.length === 0) reader.fail()
  return { type: 'frame', runs }
}

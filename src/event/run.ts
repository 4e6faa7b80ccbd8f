import { Reader, varintBytes, writeVarint } from '../base/codec.ts'
import { hash } from '../base/hash.ts'
import { MAX_EVENT_BYTES, MAX_LOG_LENGTH, MAX_RUN_EVENTS } from '../base/limits.ts'
import type { EventHeader } from './event.ts'
import { eventHeaderAt } from './event.ts'
import type { OpenedEvent } from './opened.ts'
import { Mmr, peaksBytes } from './mmr.ts'
import type { Signature } from './signature.ts'
import { signatureBytes, verifyHead } from './signature.ts'

/**
 * A run: consecutive events of one author that end at a signed head. It is what peers send each other.
 *
 *   author     32 bytes
 *   from       varint    seq of the first event
 *   flags      u8        bit 0: peaks follow; the others 0
 *   peaks      32 bytes for every set bit of `from`: the MMR before the first event, tallest peak first
 *   count      varint    number of events; 0 only with peaks: then the head of length `from` is what is sent
 *   suite      u8        1: Ed25519
 *   signature  64 bytes  of the head of length from + count
 *   events     count × (varint length ‖ event bytes)
 */
export interface Run {
  author: Buffer
  from: number
  /** The MMR's peaks at `from`, when the receiver asked for them. */
  peaks: Buffer | null
  signature: Signature
  events: Buffer[]
  /** What is known of the events already, one for each; see `openRuns`. */
  opened?: readonly OpenedEvent[]
}

const FLAG_PEAKS = 1

/** Bytes that a run takes on the wire, without its events and peaks: an upper bound. */
export const RUN_OVERHEAD_BYTES: number = 32 + 8 + 1 + 3 + 1 + 64

export function encodedRunBytes(run: Run): number {
  let bytes = 32 + varintBytes(run.from) + 1 + (run.peaks?.length ?? 0) + varintBytes(run.events.length)
  bytes += 1 + run.signature.bytes.length
  for (const event of run.events) bytes += varintBytes(event.length) + event.length
  return bytes
}

/** The run without its first events. `peaks`: those before what is left. */
export function runFrom(run: Run, from: number, peaks: Buffer | null): Run {
  const skipped = from - run.from
  const rest: Run = { ...run, from, peaks, events: run.events.slice(skipped) }
  if (run.opened !== undefined) rest.opened = run.opened.slice(skipped)
  return rest
}

/** Writes the run and returns the offset after it. */
export function writeRun(into: Buffer, offset: number, run: Run): number {
  into.set(run.author, offset)
  let at = writeVarint(into, offset + 32, run.from)
  into[at++] = run.peaks === null ? 0 : FLAG_PEAKS
  if (run.peaks !== null) {
    into.set(run.peaks, at)
    at += run.peaks.length
  }
  at = writeVarint(into, at, run.events.length)
  into[at++] = run.signature.suite
  into.set(run.signature.bytes, at)
  at += run.signature.bytes.length
  for (const event of run.events) {
    at = writeVarint(into, at, event.length)
    into.set(event, at)
    at += event.length
  }
  return at
}

/** The next run, as views into the reader's bytes; on malformed bytes the reader's `ok` is false afterwards. */
export function readRun(reader: Reader): Run {
  const author = reader.bytes(32)
  const from = reader.varint()
  const flags = reader.u8()
  if (flags > FLAG_PEAKS) reader.fail()
  const peaks = flags === FLAG_PEAKS ? reader.bytes(peaksBytes(from)) : null
  const count = reader.varint()
  if (count > MAX_RUN_EVENTS || (count === 0 && peaks === null)) reader.fail()
  if (from + count > MAX_LOG_LENGTH) reader.fail()
  const suite = reader.u8()
  const size = signatureBytes(suite)
  if (size === null) reader.fail()
  const signature = { suite, bytes: reader.bytes(size ?? 0) }
  const events: Buffer[] = []
  for (let i = 0; i < count && reader.ok; i++) {
    const length = reader.varint()
    if (length > MAX_EVENT_BYTES) reader.fail()
    events.push(reader.bytes(length))
  }
  return { author, from, peaks, signature, events }
}

export type RunFault =
  /** An event is not one of this author's log at this place. */
  | 'WRONG_EVENT'
  /** The signature does not cover what precedes it. */
  | 'WRONG_SIGNATURE'

export interface VerifiedRun {
  headers: EventHeader[]
  /** The events' ids. */
  ids: Buffer[]
  /** The log's MMR after the run. */
  mmr: Mmr
}

/**
 * Checks that every event belongs where the run says, and that the author signed the log that results.
 *
 * @param before the log's MMR at `run.from`; it is not changed.
 */
export function verifyRun(run: Run, before: Mmr, databaseTag: Uint8Array): VerifiedRun | RunFault {
  if (before.length !== run.from) return 'WRONG_EVENT'
  const headers: EventHeader[] = []
  const ids: Buffer[] = []
  const mmr = before.clone()
  for (const [i, bytes] of run.events.entries()) {
    const opened = run.opened?.[i]
    const header = opened?.header ?? eventHeaderAt(bytes, run.author, mmr.length)
    if (header?.seq !== mmr.length) return 'WRONG_EVENT'
    const id = opened?.id ?? hash(bytes)
    headers.push(header)
    ids.push(id)
    mmr.append(id)
  }
  const head = { databaseTag, author: run.author, length: mmr.length, root: mmr.root() }
  return verifyHead(head, run.signature) ? { headers, ids, mmr } : 'WRONG_SIGNATURE'
}

import { toHex } from '../base/bytes.ts'
import { PeerlogError } from '../base/errors.ts'
import { HASH_BYTES } from '../base/hash.ts'
import {
  CHUNK_BYTES,
  CHUNK_EVENTS,
  MAX_EVENT_BYTES,
  MAX_LINKS,
  MAX_SEGMENT_BYTES,
  MAX_SEGMENT_EVENTS,
  SEALING_THREAD_MIN_EVENTS,
} from '../base/limits.ts'
import type { HybridClock } from '../event/clock.ts'
import type { EncodedData } from '../event/data.ts'
import type { EventBody, Link, RandomFill } from '../event/event.ts'
import { encodedBytes, writeEvent } from '../event/event.ts'
import type { DatabaseKeys } from '../event/keys.ts'
import type { Mmr } from '../event/mmr.ts'
import type { Run } from '../event/run.ts'
import type { AuthorKeyPair } from '../event/signature.ts'
import { signHead } from '../event/signature.ts'
import type { Log } from './log.ts'
import type { Chunk } from './sealing/chunk.ts'
import { sealedParts } from './sealing/sealed-parts.ts'
import type { SealingThread } from './sealing/sealing-thread.ts'

/** An event that is to be appended. */
export interface NewEvent {
  subject: string
  /** Empty: none. */
  type: string
  data: unknown
  encoded: EncodedData
}

/** Some of the events under one signature, ready to be stored. */
export interface Piece {
  /** Seq of the first. */
  from: number
  events: Buffer[]
  ids: Buffer[]
  bodies: EventBody[]
  /** With the last piece: the segment that it completes. */
  segment: Segment | null
}

/** Events under one signature. */
export interface Segment {
  run: Run
  ids: Buffer[]
  after: Mmr
  /** MMR root that was signed. */
  root: Buffer
}

/** Events that are encoded and sealed together, all of the same segment. */
interface Part {
  from: number
  bodies: EventBody[]
  lengths: Uint32Array
  endsSegment: boolean
}

/** Bytes of header, seal, clock and length prefixes that an event has at most beside subject, type, links and data. */
const EVENT_OVERHEAD_BYTES = 128

/** Bytes of an event without its links: an upper bound, the same whatever the log's length. */
function largestSize({ subject, type, encoded }: NewEvent): number {
  return (
    EVENT_OVERHEAD_BYTES + Buffer.byteLength(subject, 'utf8') + Buffer.byteLength(type, 'utf8') + encoded.bytes.length
  )
}

/** @throws {PeerlogError} `EVENT_TOO_LARGE`. */
export function checkEventSize(event: NewEvent): void {
  const bytes = largestSize(event)
  if (bytes <= MAX_EVENT_BYTES) return
  throw new PeerlogError('EVENT_TOO_LARGE', `the event may have ${bytes} bytes`, {
    hint: `An event holds at most ${MAX_EVENT_BYTES} bytes; split the data or store it elsewhere and append its name`,
  })
}

/** The log that this replica writes: encodes, seals, hashes and signs new events, and links them to what it has seen. */
export class OwnLog {
  readonly keyPair: AuthorKeyPair
  readonly hex: string
  readonly #keys: DatabaseKeys
  readonly #clock: HybridClock
  readonly #thread: SealingThread | null
  readonly #random: RandomFill | undefined
  /** Heads of other logs since our last event, in the order of their arrival. */
  readonly #seen = new Map<string, Omit<Link, 'author'>>()

  /**
   * @param thread null: everything is sealed in this one.
   * @param random what nonces are made of, in this thread; by default the operating system's.
   */
  constructor(
    keyPair: AuthorKeyPair,
    keys: DatabaseKeys,
    clock: HybridClock,
    thread: SealingThread | null,
    random?: RandomFill,
  ) {
    this.keyPair = keyPair
    this.hex = toHex(keyPair.publicKey)
    this.#keys = keys
    this.#clock = clock
    this.#thread = thread
    this.#random = random
  }

  /** Takes note of another author's new head. It is to be here with all of its causes: who links it makes them causes too. */
  see({ author, seq, time, tick }: Link): void {
    const hex = toHex(author)
    if (hex === this.hex) return
    this.#seen.delete(hex)
    this.#seen.set(hex, { seq, time, tick })
  }

  /** Forgets the heads that the stored events have linked. */
  linked(links: readonly Link[]): void {
    for (const link of links) {
      const hex = toHex(link.author)
      if (this.#seen.get(hex)?.seq === link.seq) this.#seen.delete(hex)
    }
  }

  /** The next links, as many as fit beside the event. */
  nextLinks(event: NewEvent): Link[] {
    if (this.#seen.size === 0) return []
    const room = MAX_EVENT_BYTES - largestSize(event)
    const links: Link[] = []
    for (const [hex, head] of this.#seen) {
      if (links.length === MAX_LINKS || (links.length + 1) * 48 > room) break
      links.push({ author: Buffer.from(hex, 'hex'), ...head })
    }
    return links.sort((a, b) => Buffer.compare(a.author, b.author))
  }

  /** Pieces of segments that continue the log. Nothing is changed here until they are stored. */
  *pieces(log: Log, items: readonly NewEvent[], links: Link[]): Generator<Piece> {
    const { author } = log
    const { seal } = this.#keys
    const thread = items.length >= SEALING_THREAD_MIN_EVENTS && this.#thread?.ready === true ? this.#thread : null
    // What is handed to the other thread takes its memory along, which no other buffer may share.
    const allocate = thread === null ? Buffer.allocUnsafe : Buffer.allocUnsafeSlow
    const encode = (part: Part): Chunk => encodeChunk(author, part, seal !== null, allocate)
    let run: { from: number; events: Buffer[]; ids: Buffer[] } = { from: log.mmr.length, events: [], ids: [] }
    const parts = this.#parts(log.mmr.length, items, links)
    for (const { part, bytes, ids, mmr } of sealedParts(parts, encode, log.mmr, seal, thread, this.#random)) {
      const piece: Piece = { from: part.from, events: [], ids: [], bodies: part.bodies, segment: null }
      let at = 0
      for (const [i, length] of part.lengths.entries()) {
        piece.events.push(bytes.subarray(at, (at += length)))
        piece.ids.push(ids.subarray(i * HASH_BYTES, (i + 1) * HASH_BYTES))
      }
      run.events.push(...piece.events)
      run.ids.push(...piece.ids)
      if (part.endsSegment) {
        piece.segment = this.#sign(author, run.from, run.events, run.ids, mmr.clone())
        run = { from: mmr.length, events: [], ids: [] }
      }
      yield piece
    }
  }

  #sign(author: Buffer, from: number, events: Buffer[], ids: Buffer[], after: Mmr): Segment {
    const root = after.root()
    const signature = signHead({ databaseTag: this.#keys.tag, author, length: after.length, root }, this.keyPair)
    return { run: { author, from, peaks: null, signature, events }, ids, after, root }
  }

  /** The next events of the log with their clocks, divided into segments and what is sealed together. */
  *#parts(start: number, items: readonly NewEvent[], links: Link[]): Generator<Part, undefined> {
    const sealed = this.#keys.seal !== null
    let segmentEvents = 0
    let segmentBytes = 0
    for (let done = 0; done < items.length;) {
      const from = start + done
      const bodies: EventBody[] = []
      const lengths: number[] = []
      let endsSegment = false
      for (let bytes = 0; bodies.length < CHUNK_EVENTS && bytes < CHUNK_BYTES && !endsSegment;) {
        const { subject, type, encoded } = items[done] as NewEvent
        const { time, tick } = this.#clock.next()
        const body: EventBody = {
          time,
          tick,
          subject,
          type,
          links: done === 0 ? links : NO_LINKS,
          json: encoded.json,
          data: encoded.bytes,
        }
        const length = encodedBytes(start + done, body, sealed)
        bodies.push(body)
        lengths.push(length)
        bytes += length
        segmentBytes += length
        const next = items[++done]
        endsSegment =
          next === undefined ||
          ++segmentEvents === MAX_SEGMENT_EVENTS ||
          segmentBytes + next.encoded.bytes.length > MAX_SEGMENT_BYTES
      }
      yield { from, bodies, lengths: Uint32Array.from(lengths), endsSegment }
      if (endsSegment) segmentEvents = segmentBytes = 0
    }
    return undefined
  }
}

const NO_LINKS: Link[] = []

function encodeChunk(
  author: Buffer,
  { from, bodies, lengths }: Part,
  sealed: boolean,
  allocate: (bytes: number) => Buffer,
): Chunk {
  const bytes = allocate(lengths.reduce((sum, length) => sum + length, 0))
  let at = 0
  for (const [i, body] of bodies.entries()) {
    writeEvent(bytes, at, author, from + i, body, sealed)
    at += lengths[i] as number
  }
  return { bytes, lengths }
}

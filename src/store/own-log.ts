import { randomFillSync } from 'node:crypto'
import { toHex } from '../base/bytes.ts'
import { PeerlogError } from '../base/errors.ts'
import { hash } from '../base/hash.ts'
import { MAX_EVENT_BYTES, MAX_LINKS, MAX_SEGMENT_BYTES, MAX_SEGMENT_EVENTS } from '../base/limits.ts'
import type { HybridClock } from '../event/clock.ts'
import type { EncodedData } from '../event/data.ts'
import type { EventBody, Link } from '../event/event.ts'
import { encodeEvent } from '../event/event.ts'
import type { DatabaseKeys } from '../event/keys.ts'
import type { Mmr } from '../event/mmr.ts'
import type { Run } from '../event/run.ts'
import type { AuthorKeyPair } from '../event/signature.ts'
import { signHead } from '../event/signature.ts'
import type { Log } from './log.ts'

/** An event that is to be appended. */
export interface NewEvent {
  subject: string
  /** Empty: none. */
  type: string
  data: unknown
  encoded: EncodedData
}

/** Events under one signature, ready to be stored. */
export interface Segment {
  run: Run
  ids: Buffer[]
  bodies: EventBody[]
  after: Mmr
  /** MMR root that was signed. */
  root: Buffer
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

const RANDOM = Buffer.alloc(24 * 256)
let randomUsed = RANDOM.length

/** Unpredictable bytes, fetched from the operating system many nonces at a time. */
function randomFill(into: Uint8Array): void {
  if (randomUsed + into.length > RANDOM.length) {
    randomFillSync(RANDOM)
    randomUsed = 0
  }
  for (let i = 0; i < into.length; i++) into[i] = RANDOM[randomUsed++] as number
}

/** The log that this replica writes: encodes, seals, hashes and signs new events, and links them to what it has seen. */
export class OwnLog {
  readonly keyPair: AuthorKeyPair
  readonly hex: string
  readonly #keys: DatabaseKeys
  readonly #clock: HybridClock
  /** Heads of other logs since our last event, in the order of their arrival. */
  readonly #seen = new Map<string, Omit<Link, 'author'>>()

  constructor(keyPair: AuthorKeyPair, keys: DatabaseKeys, clock: HybridClock) {
    this.keyPair = keyPair
    this.hex = toHex(keyPair.publicKey)
    this.#keys = keys
    this.#clock = clock
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

  /** Segments that continue the log. Nothing is changed here until they are stored. */
  *segments(log: Log, items: readonly NewEvent[], links: Link[]): Generator<Segment> {
    let mmr = log.mmr
    for (let done = 0; done < items.length;) {
      const segment = this.#segment(log.author, mmr, items, done, links)
      yield segment
      mmr = segment.after
      done += segment.ids.length
    }
  }

  #segment(author: Buffer, before: Mmr, items: readonly NewEvent[], first: number, links: Link[]): Segment {
    const after = before.clone()
    const events: Buffer[] = []
    const ids: Buffer[] = []
    const bodies: EventBody[] = []
    let bytes = 0
    for (let i = first; i < items.length && ids.length < MAX_SEGMENT_EVENTS; i++) {
      const item = items[i] as NewEvent
      if (ids.length > 0 && bytes + item.encoded.bytes.length > MAX_SEGMENT_BYTES) break
      const { time, tick } = this.#clock.next()
      const body: EventBody = {
        time,
        tick,
        subject: item.subject,
        type: item.type,
        links: i === 0 ? links : NO_LINKS,
        json: item.encoded.json,
        data: item.encoded.bytes,
      }
      const event = encodeEvent(author, after.length, body, this.#keys.seal, randomFill)
      const id = hash(event)
      after.append(id)
      events.push(event)
      ids.push(id)
      bodies.push(body)
      bytes += event.length
    }
    const root = after.root()
    const signature = signHead({ databaseTag: this.#keys.tag, author, length: after.length, root }, this.keyPair)
    const run = { author, from: before.length, peaks: null, signature, events }
    return { run, ids, bodies, after, root }
  }
}

const NO_LINKS: Link[] = []

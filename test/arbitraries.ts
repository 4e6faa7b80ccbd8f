/** Generators of valid and of broken values, for the property tests of every folder. */
import fc from 'fast-check'
import { writeVarint, varintBytes } from '../src/base/codec.ts'
import { hash } from '../src/base/hash.ts'
import { MAX_LINKS, MAX_SUBJECT_BYTES, MAX_TYPE_BYTES } from '../src/base/limits.ts'
import type { Timestamp } from '../src/event/clock.ts'
import { compareTimestamps, MAX_TICK, MAX_TIME } from '../src/event/clock.ts'
import type { EventBody, Link, RandomFill } from '../src/event/event.ts'
import { encodeEvent } from '../src/event/event.ts'
import { Mmr } from '../src/event/mmr.ts'
import type { Run } from '../src/event/run.ts'
import type { AuthorKeyPair } from '../src/event/signature.ts'
import { authorKeyPair, signHead } from '../src/event/signature.ts'

/** Every property runs from this seed, unless PEERLOG_SEED says another; a failure prints the seed and the path. */
export const SEED: number = Number(process.env['PEERLOG_SEED'] ?? 20261120)

/** Asserts a property with the fixed seed. */
export function holds<Ts>(property: fc.IProperty<Ts>, numRuns = 200): void {
  fc.assert(property, { seed: SEED, numRuns })
}

/** The same for asynchronous properties. */
export async function holdsAsync<Ts>(property: fc.IAsyncProperty<Ts>, numRuns = 50): Promise<void> {
  await fc.assert(property, { seed: SEED, numRuns })
}

/** Bytes that look random and are the same in every run: BLAKE2b of a counter. */
export function countingFill(name = 'fill'): RandomFill {
  let calls = 0
  return (into) => {
    const block = Buffer.from(`${name} ${calls++}`, 'utf8')
    for (let at = 0, i = 0; at < into.length; at += 32, i++) {
      into.set(hash([block, Uint8Array.of(i)]).subarray(0, into.length - at), at)
    }
  }
}

/** A fixed key pair; the same number gives the same author. */
export function testAuthor(number: number): AuthorKeyPair {
  return authorKeyPair(Buffer.alloc(32, number + 1))
}

export function bytesOf(length: number): fc.Arbitrary<Buffer> {
  return fc.uint8Array({ minLength: length, maxLength: length }).map((bytes) => Buffer.from(bytes))
}

export function anyBytes(maxLength = 300): fc.Arbitrary<Buffer> {
  return fc.uint8Array({ maxLength, size: 'max' }).map((bytes) => Buffer.from(bytes))
}

export function authorSeed(): fc.Arbitrary<Buffer> {
  return bytesOf(32)
}

export function authorKeys(): fc.Arbitrary<AuthorKeyPair> {
  return authorSeed().map((seed) => authorKeyPair(seed))
}

export function sealKey(): fc.Arbitrary<Buffer> {
  return bytesOf(32)
}

/** Integers 0 … max, with the places where a varint grows and the largest ones among them. */
export function count(max: number = Number.MAX_SAFE_INTEGER): fc.Arbitrary<number> {
  const edges = [0, 1, max - 1, max]
  for (let bits = 7; bits < 53; bits += 7) edges.push(2 ** bits - 1, 2 ** bits)
  for (const bits of [31, 32]) edges.push(2 ** bits - 1, 2 ** bits, 2 ** bits + 1)
  return fc.oneof(
    fc.constantFrom(...edges.filter((edge) => edge >= 0 && edge <= max)),
    fc.nat({ max: Math.min(300, max) }),
    fc.maxSafeNat().map((value) => value % (max + 1)),
  )
}

export function timestamp(): fc.Arbitrary<Timestamp> {
  return fc.record({ time: count(MAX_TIME), tick: count(MAX_TICK) })
}

const LEVEL_CHARACTERS = [...'abcxyz019-_. ~', 'é', 'ß', '語', '\u200d', '\ufffd', '\ufeff', '😀', '𐍈', '\u2028']

/** A valid level of a subject. */
export function level(): fc.Arbitrary<string> {
  return fc
    .oneof(
      fc.string({ unit: fc.constantFrom(...LEVEL_CHARACTERS), minLength: 1, maxLength: 8 }),
      fc.string({ unit: 'binary', minLength: 1, maxLength: 8 }),
    )
    .map((text) => text.replaceAll(/[\p{Cc}/*]/gu, 'x'))
}

/** A valid subject. */
export function subject(): fc.Arbitrary<string> {
  return fc.oneof(
    fc.array(level(), { minLength: 1, maxLength: 5 }).map((levels) => levels.join('/')),
    fc.constantFrom('a', 'notes/shopping', 'x'.repeat(MAX_SUBJECT_BYTES), `${'a/'.repeat(255)}a`, '語'.repeat(170)),
  )
}

/** A valid type; the empty one is none. */
export function eventType(): fc.Arbitrary<string> {
  return fc.oneof(
    fc.constantFrom('', 'message', 't'.repeat(MAX_TYPE_BYTES), '\0'),
    fc.string({ unit: 'binary', maxLength: 16 }),
  )
}

/** Links before the given clock, as they stand in an event. */
export function links(before: Timestamp, maxLinks: number = 5): fc.Arbitrary<Link[]> {
  if (before.time === 0 && before.tick === 0) return fc.constant([])
  const link = fc.record({ author: bytesOf(32), seq: count(), clock: timestamp() }).map(({ author, seq, clock }) => {
    const earlier = compareTimestamps(clock, before) < 0 ? clock : justBefore(before)
    return { author, seq, time: earlier.time, tick: earlier.tick }
  })
  return fc
    .uniqueArray(link, { maxLength: Math.min(maxLinks, MAX_LINKS), selector: ({ author }) => author.toString('hex') })
    .map((all) => all.toSorted((a, b) => Buffer.compare(a.author, b.author)))
}

function justBefore({ time, tick }: Timestamp): Timestamp {
  return tick > 0 ? { time, tick: tick - 1 } : { time: time - 1, tick: MAX_TICK }
}

/** Any body that an author may write. Its data is not always the JSON text that it claims to be. */
export function eventBody(options: { maxLinks?: number; maxData?: number } = {}): fc.Arbitrary<EventBody> {
  return timestamp().chain((clock) =>
    fc
      .record({
        subject: subject(),
        type: eventType(),
        links: links(clock, options.maxLinks),
        payload: fc.oneof(
          fc.jsonValue().map((value) => ({ json: true, data: Buffer.from(JSON.stringify(value)) })),
          anyBytes(options.maxData ?? 200).map((data) => ({ json: false, data })),
          anyBytes(20).map((data) => ({ json: true, data })),
        ),
      })
      .map(({ subject, type, links, payload }) => ({ ...clock, subject, type, links, ...payload })),
  )
}

/** One small damage: a flipped bit, bytes put in or taken out, a cut, an extension. */
export type Damage = (bytes: Buffer) => Buffer

export function damage(): fc.Arbitrary<Damage> {
  const place = fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true })
  return fc.oneof(
    fc.tuple(place, fc.nat({ max: 7 })).map(([at, bit]): Damage => {
      return (bytes) => (bytes.length === 0 ? bytes : flipBit(bytes, Math.floor(at * bytes.length) * 8 + bit))
    }),
    fc.tuple(place, anyBytes(4)).map(([at, put]): Damage => {
      return (bytes) => {
        const split = Math.floor(at * (bytes.length + 1))
        return Buffer.concat([bytes.subarray(0, split), put, bytes.subarray(split)])
      }
    }),
    fc.tuple(place, fc.integer({ min: 1, max: 40 })).map(([at, cut]): Damage => {
      return (bytes) => {
        const split = Math.floor(at * bytes.length)
        return Buffer.concat([bytes.subarray(0, split), bytes.subarray(split + cut)])
      }
    }),
    place.map(
      (at): Damage =>
        (bytes) =>
          Buffer.from(bytes.subarray(0, Math.floor(at * bytes.length))),
    ),
    anyBytes(40).map(
      (more): Damage =>
        (bytes) =>
          Buffer.concat([bytes, more]),
    ),
  )
}

/** A copy with one bit changed; bit 0 is the lowest of the first byte. */
export function flipBit(bytes: Uint8Array, bit: number): Buffer {
  const copy = Buffer.from(bytes)
  copy[bit >> 3] = (copy[bit >> 3] as number) ^ (1 << (bit & 7))
  return copy
}

/** A varint of any value, also in longer forms than allowed. */
export function varint(value: number, extraBytes = 0): Buffer {
  const bytes = Buffer.alloc(varintBytes(value) + extraBytes)
  const end = writeVarint(bytes, 0, value)
  if (extraBytes > 0) {
    bytes[end - 1] = (bytes[end - 1] as number) | 0x80
    bytes.fill(0x80, end, bytes.length - 1)
  }
  return bytes
}

/** A whole log, with what a replica knows at every length. */
export interface AuthorLog {
  keys: AuthorKeyPair
  databaseTag: Buffer
  events: Buffer[]
  ids: Buffer[]
  /** `mmrs[n]` is the log's MMR at length n. */
  mmrs: Mmr[]
  /** Events `from … to - 1` under the head of length `to`. */
  run(from: number, to: number, withPeaks?: boolean): Run
}

/** A log with an event for every body. */
export function makeLog(
  bodies: EventBody[],
  options: { keys?: AuthorKeyPair; databaseTag?: Buffer; sealKey?: Uint8Array | null } = {},
): AuthorLog {
  const keys = options.keys ?? testAuthor(0)
  const databaseTag = options.databaseTag ?? Buffer.alloc(32, 7)
  const fill = countingFill('log')
  const mmr = new Mmr()
  const mmrs = [mmr.clone()]
  const events: Buffer[] = []
  const ids: Buffer[] = []
  for (const [seq, body] of bodies.entries()) {
    const bytes = encodeEvent(keys.publicKey, seq, body, options.sealKey ?? null, fill)
    const id = hash(bytes)
    events.push(bytes)
    ids.push(id)
    mmr.append(id)
    mmrs.push(mmr.clone())
  }
  const run = (from: number, to: number, withPeaks = false): Run => {
    const end = mmrs[to] as Mmr
    return {
      author: keys.publicKey,
      from,
      peaks: withPeaks ? (mmrs[from] as Mmr).peaks() : null,
      signature: signHead({ databaseTag, author: keys.publicKey, length: to, root: end.root() }, keys),
      events: events.slice(from, to),
    }
  }
  return { keys, databaseTag, events, ids, mmrs, run }
}

/** A plain body, for tests that care about something else. */
export function plainBody(values: Partial<EventBody> = {}): EventBody {
  return {
    time: 1_700_000_000_000,
    tick: 0,
    subject: 'notes/a',
    type: '',
    links: [],
    json: true,
    data: Buffer.from('{"n":1}'),
    ...values,
  }
}

/** A log of 1 … maxEvents events, and an author of its own. */
export function authorLog(options: { maxEvents?: number; sealed?: boolean } = {}): fc.Arbitrary<AuthorLog> {
  const body = eventBody({ maxLinks: 2, maxData: 60 })
  return fc
    .record({
      keys: authorKeys(),
      databaseTag: bytesOf(32),
      sealKey: options.sealed === false ? fc.constant(null) : fc.option(sealKey()),
      bodies: fc.array(body, { minLength: 1, maxLength: options.maxEvents ?? 8 }),
    })
    .map(({ bodies, ...rest }) => makeLog(bodies, rest))
}

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Reader } from '../../src/base/codec.ts'
import { hash } from '../../src/base/hash.ts'
import { MAX_EVENT_BYTES, MAX_LOG_LENGTH, MAX_RUN_EVENTS } from '../../src/base/limits.ts'
import { Mmr, peaksBytes } from '../../src/event/mmr.ts'
import type { Run, RunFault, VerifiedRun } from '../../src/event/run.ts'
import { encodedRunBytes, readRun, RUN_OVERHEAD_BYTES, verifyRun, writeRun } from '../../src/event/run.ts'
import { authorKeyPair, signHead } from '../../src/event/signature.ts'
import type { AuthorLog } from '../arbitraries.ts'
import {
  anyBytes,
  authorLog,
  count,
  damage,
  flipBit,
  holds,
  makeLog,
  plainBody,
  testAuthor,
  varint,
} from '../arbitraries.ts'
import { readLogs } from '../vectors/vectors.ts'

function encode(run: Run): Buffer {
  const bytes = Buffer.alloc(encodedRunBytes(run))
  expect(writeRun(bytes, 0, run)).toBe(bytes.length)
  return bytes
}

/** The run, or null when the bytes are not exactly one. */
function decode(bytes: Buffer): Run | null {
  const reader = new Reader(bytes)
  const run = readRun(reader)
  return reader.finished ? run : null
}

/** What a replica does with a run's bytes that has the log up to `held`. */
function receive(bytes: Buffer, log: AuthorLog, held: Mmr): VerifiedRun | RunFault | 'MALFORMED' {
  const run = decode(bytes)
  if (run === null) return 'MALFORMED'
  return verifyRun(run, run.peaks === null ? held : Mmr.from(run.from, run.peaks), log.databaseTag)
}

/** What a run says: peaks of nothing say no more than none. */
function saying(run: Run): string {
  return JSON.stringify({ ...run, peaks: run.from === 0 ? null : run.peaks })
}

const log = makeLog(Array.from({ length: 12 }, (_, i) => plainBody({ tick: i })))
const held = (length: number): Mmr => log.mmrs[length] as Mmr

/** A log, and part of it. */
const slice = authorLog().chain((of) =>
  fc
    .tuple(fc.nat({ max: of.events.length }), fc.nat({ max: of.events.length }), fc.boolean())
    .map(([a, b, peaks]) => ({ log: of, from: Math.min(a, b), to: Math.max(a, b), peaks: peaks || a === b })),
)

describe('runs', () => {
  it('come back as they were written, in exactly the bytes foretold', () => {
    holds(
      fc.property(slice, ({ log: of, from, to, peaks }) => {
        const run = of.run(from, to, peaks)
        const bytes = encode(run)
        expect(decode(bytes)).toEqual(run)
        const sent = run.events.reduce((sum, event) => sum + varint(event.length).length + event.length, 0)
        expect(bytes.length).toBeLessThanOrEqual(RUN_OVERHEAD_BYTES + (run.peaks?.length ?? 0) + sent)
      }),
    )
  })

  it('can be written into and read out of the middle of a frame', () => {
    const [first, second] = [log.run(0, 2), log.run(5, 6, true)]
    const frame = Buffer.alloc(3 + encodedRunBytes(first) + encodedRunBytes(second))
    expect(writeRun(frame, writeRun(frame, 3, first), second)).toBe(frame.length)
    const reader = new Reader(frame)
    reader.bytes(3)
    expect([readRun(reader), readRun(reader)]).toEqual([first, second])
    expect(reader.finished).toBe(true)
  })

  it('are verified, and give the ids and the log after them', () => {
    holds(
      fc.property(slice, ({ log: of, from, to, peaks }) => {
        const before = of.mmrs[from] as Mmr
        const root = before.root()
        const verified = receive(encode(of.run(from, to, peaks)), of, before) as VerifiedRun
        expect(verified.ids).toEqual(of.ids.slice(from, to))
        expect(verified.mmr.length).toBe(to)
        expect(verified.mmr.root()).toEqual((of.mmrs[to] as Mmr).root())
        expect(before.length).toBe(from)
        expect(before.root()).toEqual(root)
      }),
      100,
    )
  })

  it('give the golden vectors', () => {
    const vectors = readLogs()
    const author = authorKeyPair(Buffer.from(vectors.authorSeed, 'hex'))
    const events = vectors.events.map((hex) => Buffer.from(hex, 'hex'))
    const ids = vectors.ids.map((hex) => Buffer.from(hex, 'hex'))
    for (const vector of vectors.runs) {
      const run = decode(Buffer.from(vector.bytes, 'hex')) as Run
      expect(run.author).toEqual(author.publicKey)
      expect(run.from).toBe(vector.from)
      expect(run.events).toEqual(events.slice(vector.from, vector.from + vector.count))
      expect(encode(run).toString('hex')).toBe(vector.bytes)
      const head = vectors.heads[vector.from] as (typeof vectors.heads)[number]
      const before = Mmr.from(vector.from, Buffer.from(head.peaks, 'hex'))
      const verified = verifyRun(run, before, Buffer.from(vectors.databaseTag, 'hex')) as VerifiedRun
      expect(verified.ids).toEqual(ids.slice(vector.from, vector.from + vector.count))
    }
    const mmr = new Mmr()
    for (const { length, peaks, root } of vectors.heads) {
      expect([mmr.length, mmr.peaks().toString('hex'), mmr.root().toString('hex')]).toEqual([length, peaks, root])
      if (length < ids.length) mmr.append(ids[length] as Buffer)
    }
  })
})

describe('readRun', () => {
  it('gives a run or a fault on any bytes, and never throws', () => {
    const wellBegun = fc
      .record({
        from: count(),
        flags: fc.nat({ max: 3 }),
        events: count(),
        suite: fc.nat({ max: 2 }),
        rest: anyBytes(400),
      })
      .map(({ from, flags, events, suite, rest }) =>
        Buffer.concat([
          Buffer.alloc(32, 5),
          varint(from),
          Buffer.of(flags),
          Buffer.alloc(flags === 1 ? peaksBytes(from) : 0),
          varint(events),
          Buffer.of(suite),
          rest,
        ]),
      )
    holds(
      fc.property(fc.oneof(anyBytes(400), wellBegun), (bytes) => {
        const run = decode(bytes)
        // One encoding for every run that is accepted.
        if (run !== null) expect(encode(run)).toEqual(bytes)
      }),
      2000,
    )
  })

  it('gives a run or a fault on any damage, and the damaged run is never accepted as another one', () => {
    holds(
      fc.property(
        slice,
        fc.array(damage(), { minLength: 1, maxLength: 3 }),
        ({ log: of, from, to, peaks }, damages) => {
          const good = encode(of.run(from, to, peaks))
          const bad = damages.reduce((bytes, one) => one(bytes), good)
          const result = receive(bad, of, of.mmrs[from] as Mmr)
          if (typeof result !== 'string') expect(bad).toEqual(good)
        },
      ),
      1000,
    )
  })

  const parts = (values: { from?: number; flags?: number; count?: Buffer; suite?: number; rest?: Buffer }): Buffer =>
    Buffer.concat([
      Buffer.alloc(32),
      varint(values.from ?? 0),
      Buffer.of(values.flags ?? 0),
      values.count ?? varint(1),
      Buffer.of(values.suite ?? 1),
      Buffer.alloc(64),
      values.rest ?? Buffer.of(1, 0),
    ])
  it.each([
    ['an event', parts({}), true],
    ['a head alone', parts({ flags: 1, count: varint(0), rest: Buffer.alloc(0) }), true],
    ['neither events nor peaks', parts({ count: varint(0), rest: Buffer.alloc(0) }), false],
    ['unknown flags', parts({ flags: 2 }), false],
    ['unknown flags beside a known one', parts({ flags: 3 }), false],
    ['suite 0', parts({ suite: 0 }), false],
    ['suite 2', parts({ suite: 2 }), false],
    ['a count in a longer form', parts({ count: varint(1, 1) }), false],
    ['a count without events', parts({ count: varint(2) }), false],
    ['bytes after the last event', parts({ rest: Buffer.of(1, 0, 0) }), false],
    ['MAX_RUN_EVENTS', parts({ count: varint(MAX_RUN_EVENTS), rest: Buffer.alloc(MAX_RUN_EVENTS) }), true],
    [
      'more than MAX_RUN_EVENTS',
      parts({ count: varint(MAX_RUN_EVENTS + 1), rest: Buffer.alloc(MAX_RUN_EVENTS + 1) }),
      false,
    ],
    ['MAX_LOG_LENGTH', parts({ from: MAX_LOG_LENGTH - 1 }), true],
    ['more than MAX_LOG_LENGTH', parts({ from: MAX_LOG_LENGTH }), false],
    [
      'an event too large',
      parts({ rest: Buffer.concat([varint(MAX_EVENT_BYTES + 1), Buffer.alloc(MAX_EVENT_BYTES + 1)]) }),
      false,
    ],
    [
      'an event as large as can be',
      parts({ rest: Buffer.concat([varint(MAX_EVENT_BYTES), Buffer.alloc(MAX_EVENT_BYTES)]) }),
      true,
    ],
  ])('%s', (_, bytes, accepted) => {
    expect(decode(bytes) !== null).toBe(accepted)
  })
})

describe('verifyRun', () => {
  it.each([
    ['events', 3, 6, false],
    ['events and peaks', 3, 6, true],
    ['the first event', 0, 1, false],
    ['a head alone', 6, 6, true],
  ])('refuses every one-bit change of the encoded run: %s', (_, from, to, peaks) => {
    const good = encode(log.run(from, to, peaks))
    expect(receive(good, log, held(from))).toHaveProperty('mmr')
    const same = saying(decode(good) as Run)
    for (let bit = 0; bit < good.length * 8; bit++) {
      const bad = flipBit(good, bit)
      const run = decode(bad)
      if (run === null) continue
      // Whether the receiver goes by the peaks that came along, by what it held, or by what it holds there.
      const accepted = [held(from), held(Math.min(run.from, 12))].some(
        (before) => typeof receive(bad, log, before) !== 'string',
      )
      if (accepted && saying(run) !== same) expect(`bit ${bit}`).toBe('refused')
    }
  })

  const verify = (run: Run, before: Mmr, tag: Buffer = log.databaseTag): VerifiedRun | RunFault =>
    verifyRun(run, before, tag)

  it('refuses a wrong place, author, order or number of events', () => {
    const good = log.run(3, 6)
    const [a, b, c] = good.events as [Buffer, Buffer, Buffer]
    const other = makeLog([plainBody(), plainBody(), plainBody(), plainBody()], { keys: testAuthor(1) })
    expect(verify(good, held(3))).toHaveProperty('mmr')
    for (const events of [
      [b, a, c],
      [a, c],
      [b, c],
      [a, a, b, c],
      [a, b, c, c],
      [a, b, other.events[3] as Buffer],
    ]) {
      if (events.length === 3 || events[0] !== a) expect(verify({ ...good, events }, held(3))).toBe('WRONG_EVENT')
      expect(typeof verify({ ...good, events }, held(3))).toBe('string')
    }
    expect(verify({ ...good, events: [a, b] }, held(3))).toBe('WRONG_SIGNATURE')
    expect(verify({ ...good, events: [...good.events, log.events[6] as Buffer] }, held(3))).toBe('WRONG_SIGNATURE')
    expect(verify({ ...good, author: other.keys.publicKey }, held(3))).toBe('WRONG_EVENT')
    expect(verify({ ...good, from: 4 }, held(3))).toBe('WRONG_EVENT')
    expect(verify({ ...good, events: [a, b, Buffer.alloc(3)] }, held(3))).toBe('WRONG_EVENT')
    expect(verify({ ...good, events: [a, b, Buffer.alloc(0)] }, held(3))).toBe('WRONG_EVENT')
  })

  it('refuses the log before the run if it is another one, or of another length', () => {
    const good = log.run(3, 6)
    const other = makeLog(Array.from({ length: 3 }, () => plainBody({ subject: 'other' })))
    expect(verify(good, other.mmrs[3] as Mmr)).toBe('WRONG_SIGNATURE')
    for (const length of [0, 2, 4, 6, 12]) expect(verify(good, held(length))).toBe('WRONG_EVENT')
    // A head alone has no event that would tell.
    expect(verify(log.run(6, 6, true), held(6))).toHaveProperty('mmr')
    expect(verify({ ...log.run(6, 6, true), from: 5 }, held(6))).toBe('WRONG_EVENT')
    expect(verify(log.run(6, 6, true), held(5))).toBe('WRONG_EVENT')
  })

  it('refuses peaks that are not those of the signed log', () => {
    const good = log.run(7, 9, true)
    for (let peak = 0; peak < 3; peak++) {
      const peaks = flipBit(good.peaks as Buffer, peak * 256)
      expect(verify({ ...good, peaks }, Mmr.from(7, peaks))).toBe('WRONG_SIGNATURE')
    }
    const [x, y, z] = [0, 32, 64].map((at) => (good.peaks as Buffer).subarray(at, at + 32)) as [Buffer, Buffer, Buffer]
    const swapped = Buffer.concat([y, x, z])
    expect(verify({ ...good, peaks: swapped }, Mmr.from(7, swapped))).toBe('WRONG_SIGNATURE')
  })

  it('refuses the signature of another database, author, length or suite', () => {
    const good = log.run(3, 6)
    expect(verify(good, held(3), Buffer.alloc(32, 8))).toBe('WRONG_SIGNATURE')
    for (const to of [5, 7])
      expect(verify({ ...good, signature: log.run(3, to).signature }, held(3))).toBe('WRONG_SIGNATURE')
    const root = held(6).root()
    const head = { databaseTag: log.databaseTag, author: log.keys.publicKey, length: 6, root }
    expect(verify({ ...good, signature: signHead(head, testAuthor(1)) }, held(3))).toBe('WRONG_SIGNATURE')
    expect(verify({ ...good, signature: { ...good.signature, suite: 2 } }, held(3))).toBe('WRONG_SIGNATURE')
  })

  it('accepts events whose body nobody can read: they belong to the log all the same', () => {
    const header = (seq: number, flags: number): Buffer =>
      Buffer.concat([Buffer.of(1, flags), log.keys.publicKey, varint(seq)])
    const events = [Buffer.concat([header(0, 0), Buffer.from('no body')]), header(1, 1)]
    const mmr = new Mmr()
    for (const event of events) mmr.append(hash(event))
    const head = { databaseTag: log.databaseTag, author: log.keys.publicKey, length: 2, root: mmr.root() }
    expect(verify({ ...log.run(0, 1), events, signature: signHead(head, log.keys) }, new Mmr())).toHaveProperty(
      'ids.length',
      2,
    )
  })
})

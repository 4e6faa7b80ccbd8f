import { asBuffer } from '../../../src/base/bytes.ts'
import { FINGERPRINT_BYTES, ID_BYTES, INFINITE_TIMESTAMP } from '../../../src/reconcile/item-source.ts'
import type { Bound } from '../../../src/reconcile/range/bound.ts'
import { INFINITY, isAbove, isInfinite } from '../../../src/reconcile/range/bound.ts'
import type { Range } from '../../../src/reconcile/range/message-reader.ts'
import { MessageReader } from '../../../src/reconcile/range/message-reader.ts'
import { MessageWriter } from '../../../src/reconcile/range/message-writer.ts'
import { FINGERPRINT, IDS, SKIP, VERSION } from '../../../src/reconcile/range/wire.ts'
import type { Chance } from '../chance.ts'
import type { Decoder } from '../fuzz.ts'
import { decoder } from '../fuzz.ts'

const LIMITS = { maxRanges: 40, maxIds: 60 }
const NOTHING = Buffer.from('7f9c9e31ac8256ca2f258583df262dbc', 'hex')

function bound(chance: Chance): Bound {
  const timestamp = chance.oneIn(8) ? INFINITE_TIMESTAMP - 1n - BigInt(chance.below(3)) : BigInt(chance.number())
  return { timestamp, prefix: chance.bytes(chance.oneIn(2) ? 0 : chance.below(ID_BYTES + 1)) }
}

function rangesTo(chance: Chance, bounds: readonly Bound[]): Range[] {
  return bounds.map((upper): Range => {
    const mode = chance.below(3)
    if (mode === FINGERPRINT) return { upper, mode, fingerprint: chance.bytes(FINGERPRINT_BYTES) }
    return mode === IDS ? { upper, mode, ids: chance.bytes(chance.below(4) * ID_BYTES) } : { upper, mode: SKIP }
  })
}

function ascending(chance: Chance, most: number): Bound[] {
  const all = chance.list(most, () => bound(chance)).toSorted((a, b) => (isAbove(a, b) ? 1 : isAbove(b, a) ? -1 : 0))
  const different = all.filter((one, i) =>
    isAbove(one, i === 0 ? { timestamp: 0n, prefix: new Uint8Array(0) } : (all[i - 1] as Bound)),
  )
  return chance.oneIn(3) ? [...different, INFINITY] : different
}

function encode(ranges: readonly Range[]): Buffer {
  const writer = new MessageWriter()
  for (const range of ranges) {
    if (range.mode === SKIP) writer.skip(range.upper)
    else if (range.mode === FINGERPRINT) writer.fingerprint(range.upper, range.fingerprint)
    else {
      writer.ids(range.upper, range.ids.length / ID_BYTES)
      for (let at = 0; at < range.ids.length; at += ID_BYTES) writer.id(range.ids.subarray(at, at + ID_BYTES))
    }
  }
  return Buffer.from(writer.finish())
}

function read(bytes: Buffer): Range[] | null {
  if (bytes[0] !== VERSION) return null
  const reader = new MessageReader(bytes, 1, LIMITS)
  const ranges: Range[] = []
  for (let range = reader.next(); range !== null; range = reader.next()) ranges.push(range)
  if (reader.fault === null) return ranges
  if (reader.next() !== null) throw new Error('it goes on after a fault')
  return null
}

/** JSON in which bytes and bigints are text. */
const plain = (ranges: readonly Range[]): string =>
  JSON.stringify(ranges, (_key, value: unknown) => {
    if (value instanceof Uint8Array) return asBuffer(value).toString('hex')
    return typeof value === 'bigint' ? value.toString() : value
  })

export const RANGES: Decoder = decoder({
  name: 'range messages',
  valid: (chance) => encode(rangesTo(chance, ascending(chance, 12))),
  odd: (chance) =>
    chance.pick<() => Buffer>([
      () => encode(rangesTo(chance, ascending(chance, LIMITS.maxRanges * 2))),
      () => encode(rangesTo(chance, ascending(chance, 5).toReversed())),
      () =>
        encode([{ upper: INFINITY, mode: IDS, ids: chance.bytes((LIMITS.maxIds + chance.below(3) - 1) * ID_BYTES) }]),
      () =>
        Buffer.concat([
          encode([{ upper: INFINITY, mode: SKIP }]),
          encode([
            { upper: INFINITY, mode: FINGERPRINT, fingerprint: chance.oneIn(2) ? NOTHING : chance.bytes(16) },
          ]).subarray(1),
          chance.bytes(chance.below(2)),
        ]),
      () =>
        Buffer.concat([
          encode([{ upper: INFINITY, mode: SKIP }]),
          encode(rangesTo(chance, [bound(chance)])).subarray(1),
        ]),
      // Infinity with an id, or with the zeros that some pad it with.
      () => Buffer.from([VERSION, 0, 2, 0, chance.below(2), SKIP]),
      () => Buffer.from([VERSION, 1 + chance.below(2), 32 + chance.below(2), ...chance.bytes(34)]),
      () => Buffer.concat([Buffer.of(VERSION), Buffer.alloc(9, 0xff), chance.bytes(4)]),
      // 2^64 − 1, one more than the largest difference there is, and what is above.
      () =>
        Buffer.concat([
          Buffer.from([VERSION, 0x81]),
          Buffer.alloc(8, 0xff),
          Buffer.of(0x7f - chance.below(2), 0, chance.below(3)),
        ]),
    ])(),
  decode(bytes) {
    const ranges = read(bytes)
    if (ranges === null) return null
    // Infinity may be padded, and a frame closed, in ways that are not kept; but nothing else is lost.
    const again = read(encode(ranges))
    if (again === null || plain(again) !== plain(ranges)) throw new Error('what is encoded says something else')
    return { ranges, kept: !ranges.some(({ upper }) => isInfinite(upper)) }
  },
  encode: ({ ranges, kept }) => (kept ? encode(ranges) : null),
  slack: 16_384,
})

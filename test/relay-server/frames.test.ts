import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  type Frame,
  MAX_CARDS,
  MAX_CARD_BYTES,
  MAX_FRAME_BYTES,
  MAX_PAYLOAD_BYTES,
  MAX_TEXT_BYTES,
  WINDOW_BYTES,
  dataCost,
  decodeFrame,
  encodeFrame,
  retarget,
} from '../../relay-server/src/frames.ts'
import { CONNECTION_WINDOW_BYTES } from '../../src/base/limits.ts'
import { holds } from '../arbitraries.ts'

const R = Buffer.from('000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f', 'hex')
const r = R.toString('hex')

const GOLDEN: [string, Frame][] = [
  [`01${r}03aabb`, { kind: 'join', rendezvous: R, announce: true, connect: true, card: Buffer.from('aabb', 'hex') }],
  [`01${r}01`, { kind: 'join', rendezvous: R, announce: true, connect: false, card: Buffer.alloc(0) }],
  [`01${r}02`, { kind: 'join', rendezvous: R, announce: false, connect: true, card: Buffer.alloc(0) }],
  [`02${r}`, { kind: 'leave', rendezvous: R }],
  [`0301020304${r}`, { kind: 'lookup', request: 0x01020304, rendezvous: R }],
  [`11${r}`, { kind: 'joined', rendezvous: R }],
  [`120000000701${r}`, { kind: 'peer', channel: 7, initiator: true, rendezvous: R }],
  [`120000000700${r}`, { kind: 'peer', channel: 7, initiator: false, rendezvous: R }],
  ['13fffffffe', { kind: 'peers', request: 0xfffffffe, cards: [] }],
  [
    '130000000103aabbcc0001dd',
    { kind: 'peers', request: 1, cards: ['aabbcc', '', 'dd'].map((hex) => Buffer.from(hex, 'hex')) },
  ],
  [`1401${r}6ec3a96f`, { kind: 'refused', code: 1, rendezvous: R, text: 'néo' }],
  ['2100000102cafe', { kind: 'data', channel: 0x102, payload: Buffer.from('cafe', 'hex') }],
  ['220000010200040000', { kind: 'credit', channel: 0x102, bytes: 262144 }],
  ['2300000102', { kind: 'close', channel: 0x102 }],
]

const u32 = fc.integer({ min: 0, max: 0xffffffff })
const rendezvous = fc.uint8Array({ minLength: 32, maxLength: 32 })
const card = fc.uint8Array({ maxLength: MAX_CARD_BYTES })
const text = fc.string({ unit: 'grapheme' }).filter((value) => Buffer.byteLength(value) <= MAX_TEXT_BYTES)
const anyFrame: fc.Arbitrary<Frame> = fc.oneof(
  fc
    .tuple(rendezvous, fc.constantFrom([true, false], [false, true], [true, true]), card)
    .map(([at, [announce = false, connect = false], shown]): Frame => {
      return { kind: 'join', rendezvous: at, announce, connect, card: shown }
    }),
  fc.record({ kind: fc.constantFrom('leave', 'joined'), rendezvous }),
  fc.record({ kind: fc.constant('lookup'), request: u32, rendezvous }),
  fc.record({ kind: fc.constant('peer'), channel: u32, initiator: fc.boolean(), rendezvous }),
  fc.record({ kind: fc.constant('peers'), request: u32, cards: fc.array(card, { maxLength: MAX_CARDS }) }),
  fc.record({ kind: fc.constant('refused'), code: fc.integer({ min: 0, max: 255 }), rendezvous, text }),
  fc.record({ kind: fc.constant('data'), channel: u32, payload: fc.uint8Array({ minLength: 1, maxLength: 2000 }) }),
  fc.record({ kind: fc.constant('credit'), channel: u32, bytes: fc.integer({ min: 1, max: 0xffffffff }) }),
  fc.record({ kind: fc.constant('close'), channel: u32 }),
) as fc.Arbitrary<Frame>

/** With hex for bytes, so that frames can be compared whatever their bytes are views of. */
function plain(frame: Frame | null): unknown {
  const hex = (value: unknown): unknown =>
    value instanceof Uint8Array ? Buffer.from(value).toString('hex') : Array.isArray(value) ? value.map(hex) : value
  return frame === null ? null : Object.fromEntries(Object.entries(frame).map(([name, value]) => [name, hex(value)]))
}

describe('relay frames', () => {
  test.each(GOLDEN)('%s', (hex, frame) => {
    expect(encodeFrame(frame).toString('hex')).toBe(hex)
    expect(plain(decodeFrame(Buffer.from(hex, 'hex')))).toEqual(plain(frame))
  })

  test('every frame survives encoding', () => {
    const check = (frame: Frame): void => {
      expect(plain(decodeFrame(encodeFrame(frame)))).toEqual(plain(frame))
    }
    holds(fc.property(anyFrame, check), 1000)
  })

  test('any bytes are a frame with exactly these bytes, or null', () => {
    const bytes = fc
      .tuple(
        fc.constantFrom(1, 2, 3, 0x11, 0x12, 0x13, 0x14, 0x21, 0x22, 0x23, 0, 0xff),
        fc.uint8Array({ maxLength: 200 }),
      )
      .map(([type, rest]) => Buffer.from([type, ...rest]))
    const mangled = fc.tuple(anyFrame, fc.nat(), fc.nat(255), fc.nat(3)).map(([frame, at, value, cut]) => {
      const encoded = encodeFrame(frame)
      encoded[at % encoded.length] = value
      return encoded.subarray(0, encoded.length - cut)
    })
    const check = (input: Buffer): void => {
      const frame = decodeFrame(input)
      if (frame !== null) expect(encodeFrame(frame).equals(input)).toBe(true)
    }
    holds(
      fc.property(
        fc.oneof(
          bytes,
          mangled,
          fc.uint8Array({ maxLength: 64 }).map((raw) => Buffer.from(raw)),
        ),
        check,
      ),
      3000,
    )
  })

  test.each([
    ['nothing', ''],
    ['an unknown type', '7f00'],
    ['a JOIN without flags', `01${r}`],
    ['a JOIN that wants nothing', `01${r}00`],
    ['a JOIN with unknown flags', `01${r}04`],
    ['a JOIN with a long card', `01${r}01${'00'.repeat(129)}`],
    ['a LEAVE with something after it', `02${r}00`],
    ['a PEER with initiator 2', `120000000702${r}`],
    ['PEERS with a cut card', '1300000001 03aabb'.replace(' ', '')],
    ['PEERS with a long card', `130000000181${'00'.repeat(129)}`],
    ['PEERS with too many cards', `1300000001${'00'.repeat(65)}`],
    ['REFUSED that is not UTF-8', `1401${r}ff`],
    ['DATA without payload', '2100000102'],
    ['DATA beyond the limit', `2100000102${'00'.repeat(MAX_PAYLOAD_BYTES + 1)}`],
    ['CREDIT of nothing', '220000010200000000'],
    ['a CLOSE with something after it', '230000010200'],
  ])('%s is no frame', (_name, hex) => {
    expect(decodeFrame(Buffer.from(hex, 'hex'))).toBeNull()
  })

  test('what does not fit is not encoded', () => {
    const join = { kind: 'join', rendezvous: R, announce: true, connect: true, card: R } as const
    expect(() => encodeFrame({ ...join, card: Buffer.alloc(MAX_CARD_BYTES + 1) })).toThrow(RangeError)
    expect(() => encodeFrame({ ...join, announce: false, connect: false })).toThrow(RangeError)
    expect(() => encodeFrame({ ...join, rendezvous: R.subarray(1) })).toThrow(RangeError)
    expect(() => encodeFrame({ kind: 'data', channel: 1, payload: Buffer.alloc(0) })).toThrow(RangeError)
    expect(() => encodeFrame({ kind: 'data', channel: 1, payload: Buffer.alloc(MAX_PAYLOAD_BYTES + 1) })).toThrow(
      RangeError,
    )
    expect(() => encodeFrame({ kind: 'credit', channel: 1, bytes: 0 })).toThrow(RangeError)
    expect(() => encodeFrame({ kind: 'close', channel: 2 ** 32 })).toThrow(RangeError)
  })

  test('retargeting changes the channel and nothing else', () => {
    const frame = encodeFrame({ kind: 'credit', channel: 1, bytes: 77 })
    expect(decodeFrame(retarget(frame, 0xfffffff0))).toEqual({ kind: 'credit', channel: 0xfffffff0, bytes: 77 })
  })

  test('the limits fit together', () => {
    expect(WINDOW_BYTES).toBe(CONNECTION_WINDOW_BYTES)
    expect(MAX_FRAME_BYTES).toBe(5 + MAX_PAYLOAD_BYTES)
    expect(dataCost(1)).toBe(65)
  })
})

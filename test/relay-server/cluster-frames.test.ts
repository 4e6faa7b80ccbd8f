import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  type BusFrame,
  HEADER_BYTES,
  ID_BYTES,
  MAX_FRAMES,
  MAX_MESSAGE_BYTES,
  MAX_WANTED,
  NUMBERS,
  decodeBusMessage,
  encodeBusFrame,
  encodeHeader,
  encodePassHeader,
} from '../../relay-server/src/cluster/bus-frames.ts'
import { MAX_CARDS, MAX_CARD_BYTES } from '../../relay-server/src/frames.ts'

const bytes = (minLength: number, maxLength: number): fc.Arbitrary<Buffer> =>
  fc.uint8Array({ minLength, maxLength }).map((array) => Buffer.from(array))
const number = fc.maxSafeNat().map((n) => n % NUMBERS)
const flags = fc.constantFrom(
  { announce: true, connect: false },
  { announce: false, connect: true },
  { announce: true, connect: true },
)
const u32 = fc.nat({ max: 0xffffffff })
const busFrame: fc.Arbitrary<BusFrame> = fc.oneof(
  fc.constant({ kind: 'alive' } as const),
  fc.record({ kind: fc.constant('bye' as const), secret: bytes(ID_BYTES, ID_BYTES) }),
  fc
    .tuple(number, flags, fc.integer({ min: 1, max: MAX_WANTED }))
    .map(([member, wants, wanted]) => ({ kind: 'seek' as const, member, ...wants, wanted })),
  fc.record({ kind: fc.constant('ask' as const), request: u32 }),
  fc
    .tuple(number, number, flags, number)
    .map(([seeker, member, wants, channel]) => ({ kind: 'offer' as const, seeker, member, ...wants, channel })),
  fc.record({ kind: fc.constant('accept' as const), offered: number, channel: number }),
  fc.record({ kind: fc.constant('decline' as const), offered: number }),
  fc.record({ kind: fc.constant('gone' as const), channel: number }),
  fc.record({
    kind: fc.constant('cards' as const),
    request: u32,
    cards: fc.array(bytes(0, MAX_CARD_BYTES), { maxLength: MAX_CARDS }),
  }),
  fc.record({ kind: fc.constant('pass' as const), channel: number, sequence: u32, frame: bytes(1, 300) }),
)

function encode(sender: Buffer, frames: BusFrame[]): Buffer {
  const parts = frames.map((frame) =>
    frame.kind === 'pass'
      ? Buffer.concat([encodePassHeader(frame.channel, frame.sequence, frame.frame.length), frame.frame])
      : encodeBusFrame(frame),
  )
  return Buffer.concat([encodeHeader(sender), ...parts])
}

/** Plain arrays, so that views of different buffers compare equal. */
const plain = (frames: BusFrame[]): unknown =>
  JSON.parse(JSON.stringify(frames, (_key, value: unknown) => (value instanceof Uint8Array ? [...value] : value)))

describe('messages between instances', () => {
  test('what is encoded is decoded', () => {
    const messages = fc.array(busFrame, { minLength: 1, maxLength: 8 })
    fc.assert(
      fc.property(bytes(ID_BYTES, ID_BYTES), messages, (sender, frames) => {
        const message = decodeBusMessage(encode(sender, frames))
        expect(message?.sender.equals(sender)).toBe(true)
        expect(plain(message?.frames ?? [])).toEqual(plain(frames))
      }),
    )
  })

  test('any bytes are a message that encodes to the same bytes, or null', () => {
    const header = encodeHeader(Buffer.alloc(ID_BYTES, 7))
    const mutated = fc
      .tuple(fc.array(busFrame, { minLength: 1, maxLength: 4 }), fc.array(fc.tuple(fc.nat(), fc.nat(255))), fc.nat())
      .map(([frames, changes, cut]) => {
        const whole = encode(Buffer.alloc(ID_BYTES, 7), frames)
        for (const [at, value] of changes) whole[at % whole.length] = value
        return whole.subarray(0, 1 + (cut % whole.length))
      })
    const headed = bytes(0, 200).map((rest) => Buffer.concat([header, rest]))
    fc.assert(
      fc.property(fc.oneof(bytes(0, 300), headed, mutated), (input) => {
        const message = decodeBusMessage(input)
        if (message !== null) expect(encode(message.sender, message.frames).equals(input)).toBe(true)
      }),
      { numRuns: 5000 },
    )
  })

  test('sizes and counts are bounded', () => {
    const header = encodeHeader(Buffer.alloc(ID_BYTES))
    const alive = (count: number): Buffer => Buffer.concat([header, Buffer.alloc(count, 0x01)])
    expect(decodeBusMessage(alive(MAX_FRAMES))?.frames.length).toBe(MAX_FRAMES)
    expect(decodeBusMessage(alive(MAX_FRAMES + 1))).toBeNull()
    expect(decodeBusMessage(alive(MAX_MESSAGE_BYTES))).toBeNull()
    expect(decodeBusMessage(header)).toBeNull()
    expect(HEADER_BYTES).toBe(header.length)
  })

  test('the bytes of version 1', () => {
    const sender = Buffer.from('000102030405060708090a0b0c0d0e0f', 'hex')
    const frames: BusFrame[] = [
      { kind: 'alive' },
      { kind: 'bye', secret: sender },
      { kind: 'seek', member: 0x010203040506, announce: true, connect: true, wanted: 64 },
      { kind: 'ask', request: 7 },
      { kind: 'offer', seeker: 1, member: 2, announce: true, connect: false, channel: 3 },
      { kind: 'accept', offered: 4, channel: 5 },
      { kind: 'decline', offered: 6 },
      { kind: 'cards', request: 8, cards: [Buffer.from('ab'), Buffer.alloc(0)] },
      { kind: 'pass', channel: 9, sequence: 10, frame: Buffer.from('2300000000', 'hex') },
      { kind: 'gone', channel: 11 },
    ]
    const expected = [
      '01000102030405060708090a0b0c0d0e0f',
      '01',
      '02000102030405060708090a0b0c0d0e0f',
      '110102030405060340',
      '1200000007',
      '2100000000000100000000000201000000000003',
      '22000000000004000000000005',
      '23000000000006',
      '24000000080202616200',
      '310000000000090000000a000000052300000000',
      '3200000000000b',
    ]
    expect(encode(sender, frames).toString('hex')).toBe(expected.join(''))
  })
})

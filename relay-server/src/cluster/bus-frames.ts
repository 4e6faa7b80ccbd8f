/**
 * What instances of the relay say to each other over NATS. A message is a header and 1–1024 frames, at most 256 KiB
 * together. Whole numbers are big-endian, nothing follows the last frame.
 *
 * | header  | bytes |                                                      |
 * |---------|-------|------------------------------------------------------|
 * | version | 1     | 1                                                    |
 * | sender  | 16    | the instance's id: SHA-256(its secret), shortened     |
 *
 * | type | frame   | subject | fields after the type                                                      |
 * |------|---------|---------|----------------------------------------------------------------------------|
 * | 0x01 | ALIVE   | beat    |                                                                            |
 * | 0x02 | BYE     | beat    | secret 16 bytes                                                            |
 * | 0x11 | SEEK    | room    | member u48, flags u8 (1 announce, 2 connect; not 0), wanted u8 (1–64)       |
 * | 0x12 | ASK     | room    | request u32                                                                |
 * | 0x21 | OFFER   | inbox   | seeker u48, member u48, flags u8 of that member, channel u48                |
 * | 0x22 | ACCEPT  | inbox   | channel u48 of the OFFER, channel u48                                       |
 * | 0x23 | DECLINE | inbox   | channel u48 of the OFFER                                                    |
 * | 0x24 | CARDS   | inbox   | request u32, count u8 (≤ 64), cards, each: length u8 (≤ 128), bytes          |
 * | 0x31 | PASS    | inbox   | channel u48, sequence u32, length u32, a DATA, CREDIT or CLOSE frame         |
 * | 0x32 | GONE    | inbox   | channel u48 that a PASS or ACCEPT was sent to                               |
 *
 * Subjects are `PREFIX.beat`, `PREFIX.inbox.ID` and `PREFIX.room.NAME`, in base64url; NAME is SHA-256 of
 * `peerlog bus room 1` and the rendezvous, so that whoever reads NATS can't join the rendezvous on a relay.
 *
 * - An instance subscribes to the beats, to its inbox, and to the rooms of its members. It sends ALIVE every second;
 *   who misses three is dead. BYE ends it at once: only the instance itself knows what its id is the hash of. Whoever
 *   has lost NATS comes back under a new id.
 * - SEEK says that a member wants to be paired. Each instance that has fitting members sends an OFFER for each, holding
 *   a place for it. The seeker's instance answers ACCEPT, and the two are paired with the seeker as initiator; or
 *   DECLINE. If both have made an OFFER for the same two members, that of the lesser id counts.
 * - Members and channels have random numbers, which only those who have to do with them are told. PASS carries a frame
 *   of `../frames.ts`; its channel number there means nothing and is overwritten by the receiver. The sequence starts
 *   at 0 in each direction of a channel and grows by 1, modulo 2^32: NATS may lose a message, and a gap ends the channel.
 * - PASS or ACCEPT for a channel that is not there is answered by GONE.
 *
 * Decoding is total: any bytes are a message or null.
 */

import { MAX_CARDS, MAX_CARD_BYTES, MAX_FRAME_BYTES } from '../frames.ts'

const VERSION = 1
/** Bytes of an instance's id, and of the secret behind it. */
export const ID_BYTES = 16
/** Bytes before the frames of a message. */
export const HEADER_BYTES: number = 1 + ID_BYTES
/** Bytes of a message. */
export const MAX_MESSAGE_BYTES: number = 256 * 1024
/** Frames of a message. */
export const MAX_FRAMES = 1024
/** Pairs that one SEEK asks for. */
export const MAX_WANTED = 64
/** Above any number of a member or channel. */
export const NUMBERS: number = 2 ** 48
/** Bytes of a PASS frame before the frame in it. */
export const PASS_HEADER_BYTES = 15

export interface Flags {
  announce: boolean
  connect: boolean
}
export interface AliveFrame {
  kind: 'alive'
}
export interface ByeFrame {
  kind: 'bye'
  secret: Uint8Array
}
export interface SeekFrame extends Flags {
  kind: 'seek'
  member: number
  wanted: number
}
export interface AskFrame {
  kind: 'ask'
  request: number
}
export interface OfferFrame extends Flags {
  kind: 'offer'
  seeker: number
  member: number
  channel: number
}
export interface AcceptFrame {
  kind: 'accept'
  offered: number
  channel: number
}
export interface DeclineFrame {
  kind: 'decline'
  offered: number
}
export interface CardsFrame {
  kind: 'cards'
  request: number
  cards: Uint8Array[]
}
export interface PassFrame {
  kind: 'pass'
  channel: number
  sequence: number
  frame: Buffer
}
export interface GoneFrame {
  kind: 'gone'
  channel: number
}
export type BeatFrame = AliveFrame | ByeFrame
export type RoomFrame = SeekFrame | AskFrame
export type InboxFrame = OfferFrame | AcceptFrame | DeclineFrame | CardsFrame | PassFrame | GoneFrame
export type BusFrame = BeatFrame | RoomFrame | InboxFrame

export interface BusMessage {
  sender: Buffer
  frames: BusFrame[]
}

const TYPE = {
  alive: 0x01,
  bye: 0x02,
  seek: 0x11,
  ask: 0x12,
  offer: 0x21,
  accept: 0x22,
  decline: 0x23,
  cards: 0x24,
  pass: 0x31,
  gone: 0x32,
} as const

const FLAG_ANNOUNCE = 1
const FLAG_CONNECT = 2

/** The bytes before the frames of every message of an instance. */
export function encodeHeader(sender: Uint8Array): Buffer {
  check(sender.length === ID_BYTES, 'an id has 16 bytes')
  return Buffer.concat([Buffer.from([VERSION]), sender])
}

/** @throws {RangeError} if a field does not fit: a bug of the caller. */
export function encodeBusFrame(frame: Exclude<BusFrame, PassFrame>): Buffer {
  switch (frame.kind) {
    case 'alive':
      return Buffer.from([TYPE.alive])
    case 'bye':
      check(frame.secret.length === ID_BYTES, 'a secret has 16 bytes')
      return Buffer.concat([Buffer.from([TYPE.bye]), frame.secret])
    case 'seek': {
      check(frame.wanted >= 1 && frame.wanted <= MAX_WANTED, 'wants nothing, or too much')
      return Buffer.concat([numbered(TYPE.seek, frame.member), Buffer.from([flagsOf(frame), frame.wanted])])
    }
    case 'ask':
      return requested(TYPE.ask, frame.request)
    case 'offer':
      return Buffer.concat([
        numbered(TYPE.offer, frame.seeker, frame.member),
        Buffer.from([flagsOf(frame)]),
        numbered(0, frame.channel).subarray(1),
      ])
    case 'accept':
      return numbered(TYPE.accept, frame.offered, frame.channel)
    case 'decline':
      return numbered(TYPE.decline, frame.offered)
    case 'gone':
      return numbered(TYPE.gone, frame.channel)
    case 'cards': {
      check(frame.cards.length <= MAX_CARDS, 'too many cards')
      const parts: Uint8Array[] = [requested(TYPE.cards, frame.request), Buffer.from([frame.cards.length])]
      for (const card of frame.cards) {
        check(card.length <= MAX_CARD_BYTES, 'card too long')
        parts.push(Buffer.from([card.length]), card)
      }
      return Buffer.concat(parts)
    }
  }
}

/** A PASS frame up to the frame in it, which has so many bytes. */
export function encodePassHeader(channel: number, sequence: number, bytes: number): Buffer {
  check(bytes > 0 && bytes <= MAX_FRAME_BYTES, 'frame empty or too long')
  const header = Buffer.allocUnsafe(PASS_HEADER_BYTES)
  header[0] = TYPE.pass
  header.writeUIntBE(channel, 1, 6)
  header.writeUInt32BE(sequence, 7)
  header.writeUInt32BE(bytes, 11)
  return header
}

/** The message, or null if the bytes are none. Its byte fields are views of `bytes`. */
export function decodeBusMessage(bytes: Uint8Array): BusMessage | null {
  if (bytes.length <= HEADER_BYTES || bytes.length > MAX_MESSAGE_BYTES || bytes[0] !== VERSION) return null
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const frames: BusFrame[] = []
  let rest = view.subarray(HEADER_BYTES)
  while (rest.length > 0) {
    const decoded = frames.length < MAX_FRAMES ? decodeFirst(rest) : null
    if (decoded === null) return null
    frames.push(decoded.frame)
    rest = rest.subarray(decoded.bytes)
  }
  return { sender: view.subarray(1, HEADER_BYTES), frames }
}

interface Decoded {
  frame: BusFrame
  bytes: number
}

interface FixedFrame {
  bytes: number
  /** @param view so many bytes. */
  read(view: Buffer): BusFrame | null
}

/** The frames that are all of one length, by their type. */
const FIXED: Readonly<Record<number, FixedFrame>> = {
  [TYPE.alive]: { bytes: 1, read: () => ({ kind: 'alive' }) },
  [TYPE.bye]: { bytes: 1 + ID_BYTES, read: (view) => ({ kind: 'bye', secret: view.subarray(1) }) },
  [TYPE.seek]: {
    bytes: 9,
    read(view) {
      const flags = flagsIn(view[7] as number)
      const wanted = view[8] as number
      if (flags === null || wanted === 0 || wanted > MAX_WANTED) return null
      return { kind: 'seek', member: view.readUIntBE(1, 6), ...flags, wanted }
    },
  },
  [TYPE.ask]: { bytes: 5, read: (view) => ({ kind: 'ask', request: view.readUInt32BE(1) }) },
  [TYPE.offer]: {
    bytes: 20,
    read(view) {
      const flags = flagsIn(view[13] as number)
      if (flags === null) return null
      const [seeker, member, channel] = [view.readUIntBE(1, 6), view.readUIntBE(7, 6), view.readUIntBE(14, 6)]
      return { kind: 'offer', seeker, member, ...flags, channel }
    },
  },
  [TYPE.accept]: {
    bytes: 13,
    read: (view) => ({ kind: 'accept', offered: view.readUIntBE(1, 6), channel: view.readUIntBE(7, 6) }),
  },
  [TYPE.decline]: { bytes: 7, read: (view) => ({ kind: 'decline', offered: view.readUIntBE(1, 6) }) },
  [TYPE.gone]: { bytes: 7, read: (view) => ({ kind: 'gone', channel: view.readUIntBE(1, 6) }) },
}

function decodeFirst(view: Buffer): Decoded | null {
  const type = view[0] as number
  if (type === TYPE.pass) return decodePass(view)
  if (type === TYPE.cards) return decodeCards(view)
  const fixed = FIXED[type]
  if (fixed === undefined || view.length < fixed.bytes) return null
  const frame = fixed.read(view.subarray(0, fixed.bytes))
  return frame === null ? null : { frame, bytes: fixed.bytes }
}

function decodePass(view: Buffer): Decoded | null {
  if (view.length < PASS_HEADER_BYTES) return null
  const length = view.readUInt32BE(11)
  const bytes = PASS_HEADER_BYTES + length
  if (length === 0 || length > MAX_FRAME_BYTES || view.length < bytes) return null
  const [channel, sequence] = [view.readUIntBE(1, 6), view.readUInt32BE(7)]
  return { frame: { kind: 'pass', channel, sequence, frame: view.subarray(PASS_HEADER_BYTES, bytes) }, bytes }
}

function decodeCards(view: Buffer): Decoded | null {
  const count = view[5]
  if (count === undefined || count > MAX_CARDS) return null
  const cards: Uint8Array[] = []
  let offset = 6
  for (let i = 0; i < count; i++) {
    const length = view[offset]
    if (length === undefined || length > MAX_CARD_BYTES || offset + 1 + length > view.length) return null
    cards.push(view.subarray(offset + 1, offset + 1 + length))
    offset += 1 + length
  }
  return { frame: { kind: 'cards', request: view.readUInt32BE(1), cards }, bytes: offset }
}

function flagsIn(flags: number): Flags | null {
  if (flags === 0 || flags > (FLAG_ANNOUNCE | FLAG_CONNECT)) return null
  return { announce: (flags & FLAG_ANNOUNCE) !== 0, connect: (flags & FLAG_CONNECT) !== 0 }
}

function flagsOf(flags: Flags): number {
  const bits = (flags.announce ? FLAG_ANNOUNCE : 0) | (flags.connect ? FLAG_CONNECT : 0)
  check(bits !== 0, 'a member announces, connects or both')
  return bits
}

function numbered(type: number, ...numbers: number[]): Buffer {
  const bytes = Buffer.allocUnsafe(1 + 6 * numbers.length)
  bytes[0] = type
  numbers.forEach((number, i) => bytes.writeUIntBE(number, 1 + 6 * i, 6))
  return bytes
}

function requested(type: number, request: number): Buffer {
  const bytes = Buffer.allocUnsafe(5)
  bytes[0] = type
  bytes.writeUInt32BE(request, 1)
  return bytes
}

function check(condition: boolean, message: string): void {
  if (!condition) throw new RangeError(`bus frame: ${message}`)
}

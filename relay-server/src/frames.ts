/**
 * The frames between a peerlog client and a relay: one per binary WebSocket message, subprotocol `peerlog-relay.1`.
 * The first byte is the type, whole numbers are big-endian, nothing follows the last field.
 *
 * | type | frame   | from   | fields after the type                                                             |
 * |------|---------|--------|-----------------------------------------------------------------------------------|
 * | 0x01 | JOIN    | client | rendezvous 32 bytes, flags u8 (1 announce, 2 connect; not 0), card 0–128 bytes     |
 * | 0x02 | LEAVE   | client | rendezvous 32 bytes                                                               |
 * | 0x03 | LOOKUP  | client | request u32, rendezvous 32 bytes                                                  |
 * | 0x11 | JOINED  | relay  | rendezvous 32 bytes                                                               |
 * | 0x12 | PEER    | relay  | channel u32, initiator u8 (0 or 1), rendezvous 32 bytes                           |
 * | 0x13 | PEERS   | relay  | request u32, then 0–64 cards, each: length u8 (≤ 128), bytes                      |
 * | 0x14 | REFUSED | relay  | code u8, rendezvous 32 bytes, UTF-8 text 0–256 bytes                              |
 * | 0x21 | DATA    | both   | channel u32, payload 1–65 536 bytes                                               |
 * | 0x22 | CREDIT  | both   | channel u32, bytes u32 (not 0)                                                    |
 * | 0x23 | CLOSE   | both   | channel u32                                                                       |
 *
 * - JOIN makes the client a member of a rendezvous, or changes its flags and card. The relay answers JOINED if the
 *   announce flag is set, and pairs the client with members it is not paired with yet: two members fit when one has
 *   announced and the other connects. Each of the two gets a PEER; exactly one of them has initiator 1. Channel numbers
 *   belong to one socket, grow from 1, and are not used twice.
 * - LEAVE ends the membership and closes its channels; the others get a CLOSE. Frames for a closed channel are ignored.
 * - REFUSED answers a JOIN that would break a limit, and a JOIN or LOOKUP that the client's token does not cover
 *   (`RefusedCode`).
 * - DATA costs its payload plus 64 (`dataCost`); what one side has sent and the other not returned as CREDIT must not
 *   exceed the window of 2 MiB in each direction of a channel. CREDIT comes from the receiving endpoint, not the relay.
 * - A frame that is malformed, not the sender's to send, or beyond the window closes the socket that it came on.
 *
 * Decoding is total: any bytes are a frame or null.
 */

export const SUBPROTOCOL = 'peerlog-relay.1'

/** Bytes of a rendezvous. */
export const RENDEZVOUS_BYTES = 32
/** Bytes of a card. */
export const MAX_CARD_BYTES = 128
/** Cards of one PEERS frame. */
export const MAX_CARDS = 64
/** UTF-8 bytes of a REFUSED frame's text. */
export const MAX_TEXT_BYTES = 256
/** Bytes of a DATA frame's payload. */
export const MAX_PAYLOAD_BYTES: number = 64 * 1024
/** Bytes of cost that each direction of a channel may have on the way (`dataCost`). */
export const WINDOW_BYTES: number = 2 * 1024 * 1024
/** Bytes that a DATA frame costs beside its payload, so that a window bounds the number of frames as well. */
export const DATA_OVERHEAD_BYTES = 64
/** Bytes of a DATA frame before its payload. */
export const DATA_HEADER_BYTES = 5
/** Bytes of the largest frame, DATA with a full payload. */
export const MAX_FRAME_BYTES: number = DATA_HEADER_BYTES + MAX_PAYLOAD_BYTES

/** Why a JOIN or LOOKUP was refused. */
export type RefusedCode = number
/** The client is a member of as many rendezvous as the relay allows. */
export const REFUSED_TOO_MANY_TOPICS: RefusedCode = 1
/** The client's token does not cover the rendezvous. */
export const REFUSED_FORBIDDEN_TOPIC: RefusedCode = 2

export interface JoinFrame {
  kind: 'join'
  rendezvous: Uint8Array
  /** Be findable, and be paired with those who connect. */
  announce: boolean
  /** Be paired with those who have announced. */
  connect: boolean
  /** What LOOKUP shows of us, opaque to the relay. */
  card: Uint8Array
}
export interface LeaveFrame {
  kind: 'leave'
  rendezvous: Uint8Array
}
export interface LookupFrame {
  kind: 'lookup'
  request: number
  rendezvous: Uint8Array
}
export interface JoinedFrame {
  kind: 'joined'
  rendezvous: Uint8Array
}
export interface PeerFrame {
  kind: 'peer'
  channel: number
  initiator: boolean
  rendezvous: Uint8Array
}
export interface PeersFrame {
  kind: 'peers'
  request: number
  cards: Uint8Array[]
}
export interface RefusedFrame {
  kind: 'refused'
  code: RefusedCode
  rendezvous: Uint8Array
  text: string
}
export interface DataFrame {
  kind: 'data'
  channel: number
  payload: Uint8Array
}
export interface CreditFrame {
  kind: 'credit'
  channel: number
  bytes: number
}
export interface CloseFrame {
  kind: 'close'
  channel: number
}
export type ChannelFrame = DataFrame | CreditFrame | CloseFrame
/** Frames that a client may send. */
export type ClientFrame = JoinFrame | LeaveFrame | LookupFrame | ChannelFrame
/** Frames that a relay may send. */
export type RelayFrame = JoinedFrame | PeerFrame | PeersFrame | RefusedFrame | ChannelFrame
export type Frame = ClientFrame | RelayFrame

const TYPE = {
  join: 0x01,
  leave: 0x02,
  lookup: 0x03,
  joined: 0x11,
  peer: 0x12,
  peers: 0x13,
  refused: 0x14,
  data: 0x21,
  credit: 0x22,
  close: 0x23,
} as const

const FLAG_ANNOUNCE = 1
const FLAG_CONNECT = 2

/** What a DATA frame takes from the window, in bytes. */
export function dataCost(payloadBytes: number): number {
  return payloadBytes + DATA_OVERHEAD_BYTES
}

/** @throws {RangeError} if a field does not fit: a bug of the caller. */
export function encodeFrame(frame: Frame): Buffer {
  switch (frame.kind) {
    case 'join': {
      const flags = (frame.announce ? FLAG_ANNOUNCE : 0) | (frame.connect ? FLAG_CONNECT : 0)
      check(flags !== 0, 'a JOIN announces, connects or both')
      check(frame.card.length <= MAX_CARD_BYTES, 'card too long')
      const head = Buffer.from([TYPE.join])
      return Buffer.concat([head, rendezvousOf(frame), Buffer.from([flags]), frame.card])
    }
    case 'leave':
    case 'joined':
      return Buffer.concat([Buffer.from([TYPE[frame.kind]]), rendezvousOf(frame)])
    case 'lookup':
      return Buffer.concat([numbered(TYPE.lookup, frame.request), rendezvousOf(frame)])
    case 'peer': {
      const initiator = Buffer.from([frame.initiator ? 1 : 0])
      return Buffer.concat([numbered(TYPE.peer, frame.channel), initiator, rendezvousOf(frame)])
    }
    case 'peers':
      return encodePeers(frame)
    case 'refused': {
      const text = Buffer.from(frame.text)
      check(text.length <= MAX_TEXT_BYTES, 'text too long')
      return Buffer.concat([Buffer.from([TYPE.refused, frame.code]), rendezvousOf(frame), text])
    }
    case 'data': {
      const bytes = allocDataFrame(frame.channel, frame.payload.length)
      bytes.set(frame.payload, DATA_HEADER_BYTES)
      return bytes
    }
    case 'credit': {
      check(frame.bytes > 0, 'a CREDIT of nothing')
      const bytes = Buffer.allocUnsafe(9)
      bytes[0] = TYPE.credit
      bytes.writeUInt32BE(frame.channel, 1)
      bytes.writeUInt32BE(frame.bytes, 5)
      return bytes
    }
    case 'close':
      return numbered(TYPE.close, frame.channel)
  }
}

/** The frame, or null if the bytes are none. Its byte fields are views of `bytes`. */
export function decodeFrame(bytes: Uint8Array): Frame | null {
  if (bytes.length === 0 || bytes.length > MAX_FRAME_BYTES) return null
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  switch (view[0]) {
    case TYPE.data:
      if (view.length < 6) return null
      return { kind: 'data', channel: view.readUInt32BE(1), payload: view.subarray(5) }
    case TYPE.credit: {
      if (view.length !== 9) return null
      const credited = view.readUInt32BE(5)
      return credited === 0 ? null : { kind: 'credit', channel: view.readUInt32BE(1), bytes: credited }
    }
    case TYPE.close:
      return view.length === 5 ? { kind: 'close', channel: view.readUInt32BE(1) } : null
    case TYPE.join:
      return decodeJoin(view)
    case TYPE.leave:
      return view.length === 33 ? { kind: 'leave', rendezvous: view.subarray(1) } : null
    case TYPE.lookup:
      if (view.length !== 37) return null
      return { kind: 'lookup', request: view.readUInt32BE(1), rendezvous: view.subarray(5) }
    case TYPE.joined:
      return view.length === 33 ? { kind: 'joined', rendezvous: view.subarray(1) } : null
    case TYPE.peer: {
      const initiator = view[5]
      if (view.length !== 38 || (initiator !== 0 && initiator !== 1)) return null
      const channel = view.readUInt32BE(1)
      return { kind: 'peer', channel, initiator: initiator === 1, rendezvous: view.subarray(6) }
    }
    case TYPE.peers:
      return decodePeers(view)
    case TYPE.refused:
      return decodeRefused(view)
    default:
      return null
  }
}

/** A DATA frame whose payload, from `DATA_HEADER_BYTES` on, the caller still has to fill. */
export function allocDataFrame(channel: number, payloadBytes: number): Buffer {
  check(payloadBytes > 0 && payloadBytes <= MAX_PAYLOAD_BYTES, 'payload empty or too long')
  const bytes = Buffer.allocUnsafe(DATA_HEADER_BYTES + payloadBytes)
  bytes[0] = TYPE.data
  bytes.writeUInt32BE(channel, 1)
  return bytes
}

/** Writes another channel number into the bytes of a DATA, CREDIT or CLOSE frame, in place. */
export function retarget(frame: Buffer, channel: number): Buffer {
  frame.writeUInt32BE(channel, 1)
  return frame
}

function encodePeers(frame: PeersFrame): Buffer {
  check(frame.cards.length <= MAX_CARDS, 'too many cards')
  const parts: Uint8Array[] = [numbered(TYPE.peers, frame.request)]
  for (const card of frame.cards) {
    check(card.length <= MAX_CARD_BYTES, 'card too long')
    parts.push(Buffer.from([card.length]), card)
  }
  return Buffer.concat(parts)
}

function decodeJoin(view: Buffer): JoinFrame | null {
  const flags = view[33]
  if (flags === undefined || flags === 0 || flags > (FLAG_ANNOUNCE | FLAG_CONNECT)) return null
  if (view.length > 34 + MAX_CARD_BYTES) return null
  const announce = (flags & FLAG_ANNOUNCE) !== 0
  const connect = (flags & FLAG_CONNECT) !== 0
  return { kind: 'join', rendezvous: view.subarray(1, 33), announce, connect, card: view.subarray(34) }
}

function decodePeers(view: Buffer): PeersFrame | null {
  if (view.length < 5) return null
  const cards: Uint8Array[] = []
  let offset = 5
  while (offset < view.length) {
    const length = view[offset] as number
    const end = offset + 1 + length
    if (length > MAX_CARD_BYTES || end > view.length || cards.length === MAX_CARDS) return null
    cards.push(view.subarray(offset + 1, end))
    offset = end
  }
  return { kind: 'peers', request: view.readUInt32BE(1), cards }
}

const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

function decodeRefused(view: Buffer): RefusedFrame | null {
  if (view.length < 34 || view.length > 34 + MAX_TEXT_BYTES) return null
  try {
    const text = UTF8.decode(view.subarray(34))
    return { kind: 'refused', code: view[1] as number, rendezvous: view.subarray(2, 34), text }
  } catch {
    return null
  }
}

function numbered(type: number, value: number): Buffer {
  const bytes = Buffer.allocUnsafe(5)
  bytes[0] = type
  bytes.writeUInt32BE(value, 1)
  return bytes
}

function rendezvousOf(frame: { rendezvous: Uint8Array }): Uint8Array {
  check(frame.rendezvous.length === RENDEZVOUS_BYTES, 'a rendezvous has 32 bytes')
  return frame.rendezvous
}

function check(condition: boolean, message: string): void {
  if (!condition) throw new RangeError(`relay frame: ${message}`)
}

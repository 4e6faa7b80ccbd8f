/**
 * What peers say on a path, a connection of one transport that carries (a part of) one logical connection: one message is
 * one frame. Varints as in base/codec.ts.
 *
 * | frame    | byte 0 | then                                              | sent                                          |
 * | -------- | ------ | ------------------------------------------------- | --------------------------------------------- |
 * | HELLO    | 1      | version u8 = 3, incarnation 32 bytes              | first, by both, at once                       |
 * | BEGIN    | 2      | count varint                                      | by the leader: a new connection; counts up    |
 * | ATTACH   | 3      | connection id 16 bytes, received varint           | by the leader: one more path of a living one  |
 * | ATTACHED | 4      | received varint                                   | in answer to ATTACH                           |
 * | REJECT   | 5      | nothing                                           | in answer to ATTACH: there is none            |
 * | USE      | 6      | nothing                                           | from now on its sender sends over this path   |
 * | DATA     | 7      | number varint, message: the rest, at least 1 byte | a message, or the last part of one            |
 * | PART     | 8      | number varint, PART_BYTES bytes                   | the first part of a message too long for DATA |
 * | ACK      | 9      | received varint, at least 1                       | so many numbered frames were taken over       |
 * | CLOSE    | 10     | number varint, reason: the rest, UTF-8            | the last numbered frame                       |
 * | PING     | 11     | nothing                                           | answered by PONG                              |
 * | PONG     | 12     | nothing                                           |                                               |
 * | END      | 13     | reason: the rest, UTF-8                           | the last on this path                         |
 *
 * HELLO looks like that of a session, whose versions were 1 and 2 when sessions spoke on the transports themselves: peers of
 * then find out that this is another version.
 *
 * DATA, PART and CLOSE are numbered from 0, in each direction of the connection, over all its paths.
 */

import { isUtf8 } from 'node:buffer'
import { asBuffer } from '../../base/bytes.ts'
import { MAX_VARINT_BYTES, Reader, varintBytes, writeVarint } from '../../base/codec.ts'
import { MAX_MESSAGE_BYTES } from '../../base/limits.ts'
import { MAX_REASON_BYTES } from './limits.ts'

export const PATHS_VERSION = 3
export const INCARNATION_BYTES = 32
export const CONNECTION_ID_BYTES = 16

export const HELLO = 1
export const BEGIN = 2
export const ATTACH = 3
export const ATTACHED = 4
export const REJECT = 5
export const USE = 6
export const DATA = 7
export const PART = 8
export const ACK = 9
export const CLOSE = 10
export const PING = 11
export const PONG = 12
export const END = 13

/** Bytes of a message in a PART: what is left of a transport's longest message. */
export const PART_BYTES: number = MAX_MESSAGE_BYTES - 1 - MAX_VARINT_BYTES

export type Frame =
  | { type: typeof HELLO; version: number; incarnation: Buffer }
  | { type: typeof BEGIN; count: number }
  | { type: typeof ATTACH; id: Buffer; received: number }
  | { type: typeof ATTACHED | typeof ACK; received: number }
  | { type: typeof DATA | typeof PART; number: number; message: Buffer }
  | { type: typeof CLOSE; number: number; reason: string }
  | { type: typeof END; reason: string }
  | { type: typeof REJECT | typeof USE | typeof PING | typeof PONG }

export type FrameType = Frame['type']

const BARE: ReadonlySet<number> = new Set([REJECT, USE, PING, PONG])

/** The frame, or what is wrong with it. */
export function decodeFrame(bytes: Uint8Array): Frame | string {
  const reader = new Reader(asBuffer(bytes))
  const type = reader.u8() as FrameType
  const frame = decodeRest(type, reader)
  if (frame === null) return 'a frame of an unknown type'
  return reader.finished ? frame : 'a malformed frame'
}

function decodeRest(type: FrameType, reader: Reader): Frame | null {
  switch (type) {
    case HELLO: {
      const version = reader.u8()
      // What a later version says after its incarnation is not ours to read.
      const incarnation = reader.bytes(INCARNATION_BYTES)
      if (reader.ok && version !== PATHS_VERSION) reader.rest()
      return { type, version, incarnation }
    }
    case BEGIN:
      return { type, count: reader.varint() }
    case ATTACH:
      return { type, id: reader.bytes(CONNECTION_ID_BYTES), received: reader.varint() }
    case ATTACHED:
      return { type, received: reader.varint() }
    case ACK: {
      const received = reader.varint()
      if (received === 0) reader.fail()
      return { type, received }
    }
    case DATA:
    case PART: {
      const number = reader.varint()
      const message = reader.rest()
      const fits = type === PART ? message.length === PART_BYTES : message.length > 0 && message.length <= PART_BYTES
      if (!fits) reader.fail()
      return { type, number, message }
    }
    case CLOSE:
      return { type, number: reader.varint(), reason: reasonIn(reader) }
    case END:
      return { type, reason: reasonIn(reader) }
    default:
      return BARE.has(type) ? { type } : null
  }
}

function reasonIn(reader: Reader): string {
  const bytes = reader.rest()
  if (bytes.length > MAX_REASON_BYTES || !isUtf8(bytes)) reader.fail()
  return reader.ok ? bytes.toString('utf8') : ''
}

export function encodeHello(incarnation: Uint8Array): Buffer {
  return Buffer.concat([Uint8Array.of(HELLO, PATHS_VERSION), incarnation])
}

export function encodeBegin(count: number): Buffer {
  return Buffer.concat([Uint8Array.of(BEGIN), varint(count)])
}

export function encodeAttach(id: Uint8Array, received: number): Buffer {
  return Buffer.concat([Uint8Array.of(ATTACH), id, varint(received)])
}

export function encodeReceived(type: typeof ATTACHED | typeof ACK, received: number): Buffer {
  return Buffer.concat([Uint8Array.of(type), varint(received)])
}

export function encodeBare(type: typeof REJECT | typeof USE | typeof PING | typeof PONG): Buffer {
  return Buffer.of(type)
}

/** Copies the message, once. */
export function encodeNumbered(type: typeof DATA | typeof PART, number: number, message: Uint8Array): Buffer {
  const head = 1 + varintBytes(number)
  const out = Buffer.allocUnsafe(head + message.length)
  out[0] = type
  writeVarint(out, 1, number)
  out.set(message, head)
  return out
}

export function encodeClose(number: number, reason: string): Buffer {
  return Buffer.concat([Uint8Array.of(CLOSE), varint(number), truncated(reason)])
}

export function encodeEnd(reason: string): Buffer {
  return Buffer.concat([Uint8Array.of(END), truncated(reason)])
}

function varint(value: number): Uint8Array {
  const bytes = new Uint8Array(varintBytes(value))
  writeVarint(bytes, 0, value)
  return bytes
}

/** At most `MAX_REASON_BYTES`, without the half of a character at the end. */
function truncated(reason: string): Buffer {
  const bytes = Buffer.from(reason, 'utf8')
  if (bytes.length <= MAX_REASON_BYTES) return bytes
  let end = MAX_REASON_BYTES
  while (end > 0 && ((bytes[end] as number) & 0xc0) === 0x80) end--
  return bytes.subarray(0, end)
}

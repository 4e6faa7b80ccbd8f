/*
 * Channels over one Noise link, version 1. Two peers share one secret-stream for all their topics; each topic is a
 * channel on it. Every secret-stream message is one frame:
 *
 *   | frame  | byte 0 | then                                                             |
 *   |--------|--------|------------------------------------------------------------------|
 *   | OPEN   | 0      | channel varint, tag 32 bytes                                     |
 *   | DATA   | 1      | channel varint, message: the rest, 1 … 4 194 304 bytes           |
 *   | CREDIT | 2      | channel varint, bytes varint (at least 1)                        |
 *   | CLOSE  | 3      | channel varint, reason: the rest, UTF-8, at most 256 bytes       |
 *   | PING   | 4      | nothing; the other side answers with PONG                        |
 *   | PONG   | 5      | nothing                                                          |
 *
 *   varint: unsigned LEB128 (least significant 7 bits first), minimal, at most 2^32 − 1.
 *   tag: BLAKE2b-256, keyed with the topic, of "peerlog channel 1" ‖ role ‖ handshake hash of the link;
 *        role is 0 in the frames of the link's Noise initiator, 1 in those of its responder.
 *
 * The responder numbers the channels: 1, 2, 3 … never used twice on a link. It offers each topic it has joined with an
 * OPEN, at most 64 of them unanswered. The initiator keeps offers it cannot match and answers one, at once or whenever
 * it joins that topic, by an OPEN with the same channel and its own tag. The channel is live for the initiator when it
 * has answered and for the responder when the answer came; there is never more than one live channel for a topic.
 *
 * Each side of a channel may have 1 MiB on the way: a message costs its length plus 64 bytes, may be sent whole while
 * the rest is above zero, and CREDIT gives back what the application has taken.
 *
 * Both sides end every offered channel with exactly one CLOSE: whoever closes sends one, and ignores what else arrives
 * for the channel until the other side has answered with its own. Anything else is a violation and ends the link.
 *
 * Handshake hash of a channel: BLAKE2b-512, keyed with the topic, of "peerlog channel hash 1" ‖ channel (4 bytes,
 * little-endian) ‖ handshake hash of the link.
 */
import { isUtf8 } from 'node:buffer'
import sodium from 'sodium-universal'
import { hash } from '../../base/hash.ts'
import { MAX_MESSAGE_BYTES } from '../../base/limits.ts'
import type { Topic } from '../../topic/topic.ts'

export const TAG_BYTES = 32
export const MAX_REASON_BYTES = 256
const MAX_VARINT: number = 2 ** 32 - 1

export const OPEN = 0
export const DATA = 1
export const CREDIT = 2
export const CLOSE = 3
export const PING = 4
export const PONG = 5

export type Frame =
  | { type: typeof OPEN; channel: number; tag: Buffer }
  | { type: typeof DATA; channel: number; message: Buffer }
  | { type: typeof CREDIT; channel: number; bytes: number }
  | { type: typeof CLOSE; channel: number; reason: string }
  | { type: typeof PING }
  | { type: typeof PONG }

type ChannelFrame = Exclude<Frame, { type: typeof PING | typeof PONG }>

/** The frame, or what is wrong with the bytes. Copies nothing. */
export function decodeFrame(bytes: Buffer): Frame | string {
  const type = bytes[0]
  if (type === PING || type === PONG) return bytes.length === 1 ? { type } : 'a PING or PONG that is too long'
  if (bytes.length < 2) return 'a frame that is too short'
  const channel = readVarint(bytes, 1)
  if (channel < 0) return 'a malformed channel number'
  const at = 1 + varintBytes(channel)
  const rest = bytes.subarray(at)
  switch (type) {
    case OPEN:
      return rest.length === TAG_BYTES ? { type: OPEN, channel, tag: rest } : 'an OPEN of the wrong length'
    case DATA:
      if (rest.length === 0 || rest.length > MAX_MESSAGE_BYTES) return `a message of ${rest.length} bytes`
      return { type: DATA, channel, message: rest }
    case CREDIT: {
      const credit = readVarint(rest, 0)
      if (credit < 1 || varintBytes(credit) !== rest.length) return 'a malformed CREDIT'
      return { type: CREDIT, channel, bytes: credit }
    }
    case CLOSE:
      if (rest.length > MAX_REASON_BYTES) return 'a CLOSE with too long a reason'
      if (!isUtf8(rest)) return 'a CLOSE whose reason is not UTF-8'
      return { type: CLOSE, channel, reason: rest.toString('utf8') }
    default:
      return `an unknown frame type ${type}`
  }
}

/** Writes a frame into a buffer that `alloc` provides, so that a message is copied once on its way out. */
export function encodeFrame(frame: Frame, alloc: (bytes: number) => Buffer): Buffer {
  if (frame.type === PING || frame.type === PONG) return Buffer.of(frame.type)
  const head = 1 + varintBytes(frame.channel)
  switch (frame.type) {
    case OPEN:
      return withBody(frame, frame.tag, head, alloc)
    case DATA:
      return withBody(frame, frame.message, head, alloc)
    case CREDIT: {
      const out = alloc(head + varintBytes(frame.bytes))
      writeVarint(out, writeHead(out, frame), frame.bytes)
      return out
    }
    case CLOSE:
      return withBody(frame, shortReason(frame.reason), head, alloc)
  }
}

/** What a side puts into its OPEN: proof that it knows the topic, worth nothing on another link or to another side. */
export function channelTag(topic: Topic, byInitiator: boolean, linkHash: Uint8Array): Buffer {
  return hash([Buffer.from('peerlog channel 1'), Buffer.of(byInitiator ? 0 : 1), linkHash], topic)
}

/** The handshake hash that a channel's two ends share, different for every channel of the link. */
export function channelHash(topic: Topic, channel: number, linkHash: Uint8Array): Buffer {
  const number = Buffer.allocUnsafe(4)
  number.writeUInt32LE(channel)
  const out = Buffer.allocUnsafe(64)
  sodium.crypto_generichash_batch(out, [Buffer.from('peerlog channel hash 1'), number, linkHash], topic)
  return out
}

function withBody(frame: ChannelFrame, body: Uint8Array, head: number, alloc: (bytes: number) => Buffer): Buffer {
  const out = alloc(head + body.length)
  writeHead(out, frame)
  out.set(body, head)
  return out
}

function writeHead(out: Buffer, frame: ChannelFrame): number {
  out[0] = frame.type
  return writeVarint(out, 1, frame.channel)
}

function shortReason(reason: string): Buffer {
  const bytes = Buffer.from(reason)
  if (bytes.length <= MAX_REASON_BYTES) return bytes
  let end = MAX_REASON_BYTES
  while (((bytes[end] as number) & 0xc0) === 0x80) end--
  return bytes.subarray(0, end)
}

function varintBytes(value: number): number {
  let length = 1
  for (let rest = value; rest >= 128; rest = Math.floor(rest / 128)) length++
  return length
}

/** −1 if it is cut off, not minimal or too large. */
function readVarint(bytes: Uint8Array, at: number): number {
  let value = 0
  for (let i = 0; i < 5; i++) {
    const byte = bytes[at + i]
    if (byte === undefined) return -1
    value += (byte & 127) * 128 ** i
    if (byte < 128) return (byte === 0 && i > 0) || value > MAX_VARINT ? -1 : value
  }
  return -1
}

function writeVarint(out: Uint8Array, at: number, value: number): number {
  let next = at
  let rest = value
  while (rest >= 128) {
    out[next++] = (rest % 128) | 128
    rest = Math.floor(rest / 128)
  }
  out[next++] = rest
  return next
}

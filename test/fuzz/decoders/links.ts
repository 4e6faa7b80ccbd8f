/** Frames of the transports: channels over Hyperswarm, paths, and the stream within a relay's channel. */
import { MAX_MESSAGE_BYTES } from '../../../src/base/limits.ts'
import * as mux from '../../../src/transport/hyperswarm/frames.ts'
import * as paths from '../../../src/transport/paths/frames.ts'
import { MessageLengths } from '../../../src/transport/relay/message-lengths.ts'
import { openCard, sealCard } from '../../../src/transport/relay/rendezvous.ts'
import { deriveTopic } from '../../../src/topic/topic.ts'
import type { Chance } from '../chance.ts'
import type { Decoder } from '../fuzz.ts'
import { decoder } from '../fuzz.ts'

const MAX_CHANNEL = 2 ** 32 - 1

function muxFrame(chance: Chance): mux.Frame {
  const channel = chance.number(MAX_CHANNEL)
  return chance.pick<() => mux.Frame>([
    () => ({ type: mux.OPEN, channel, tag: chance.bytes(mux.TAG_BYTES) }),
    () => ({ type: mux.DATA, channel, message: chance.bytes(1 + chance.below(200)) }),
    () => ({ type: mux.CREDIT, channel, bytes: 1 + chance.number(MAX_CHANNEL - 1) }),
    () => ({ type: mux.CLOSE, channel, reason: chance.text(60) }),
    () => ({ type: mux.PING }),
    () => ({ type: mux.PONG }),
  ])()
}

const encodeMux = (frame: mux.Frame): Buffer => mux.encodeFrame(frame, Buffer.alloc)

export const MUX_FRAMES: Decoder = decoder({
  name: 'hyperswarm channels',
  valid: (chance) => encodeMux(muxFrame(chance)),
  odd: (chance) =>
    chance.pick<() => Buffer>([
      () => Buffer.alloc(chance.below(2), mux.DATA),
      () => Buffer.concat([Buffer.of(mux.CLOSE, 1), Buffer.alloc(mux.MAX_REASON_BYTES + chance.below(3), 'x')]),
      () => Buffer.concat([Buffer.of(mux.CLOSE, 1, 0xc3), chance.bytes(2)]),
      () =>
        encodeMux({
          type: mux.DATA,
          channel: 1,
          message: Buffer.alloc(chance.oneIn(20) ? MAX_MESSAGE_BYTES + chance.below(3) : 0),
        }),
      () => encodeMux({ type: mux.CREDIT, channel: 1, bytes: 0 }),
      () => encodeMux({ type: mux.CREDIT, channel: 1, bytes: MAX_CHANNEL + chance.below(3) }),
      () => Buffer.concat([encodeMux(muxFrame(chance)), chance.bytes(1)]),
    ])(),
  decode(bytes) {
    const frame = mux.decodeFrame(bytes)
    return typeof frame === 'string' ? null : frame
  },
  encode: encodeMux,
})

function encodePath(frame: paths.Frame): Buffer | null {
  switch (frame.type) {
    case paths.HELLO:
      return frame.version === paths.PATHS_VERSION ? paths.encodeHello(frame.incarnation) : null
    case paths.BEGIN:
      return paths.encodeBegin(frame.count)
    case paths.ATTACH:
      return paths.encodeAttach(frame.id, frame.received)
    case paths.ATTACHED:
    case paths.ACK:
      return paths.encodeReceived(frame.type, frame.received)
    case paths.DATA:
    case paths.PART:
      return paths.encodeNumbered(frame.type, frame.number, frame.message)
    case paths.CLOSE:
      return paths.encodeClose(frame.number, frame.reason)
    case paths.END:
      return paths.encodeEnd(frame.reason)
    default:
      return paths.encodeBare(frame.type)
  }
}

export const PATH_FRAMES: Decoder = decoder({
  name: 'paths',
  valid: (chance) =>
    chance.pick<() => Buffer>([
      () => paths.encodeHello(chance.bytes(paths.INCARNATION_BYTES)),
      () =>
        Buffer.concat([
          Buffer.of(paths.HELLO, 4 + chance.below(9)),
          chance.bytes(paths.INCARNATION_BYTES + chance.below(9)),
        ]),
      () => paths.encodeBegin(chance.number()),
      () => paths.encodeAttach(chance.bytes(paths.CONNECTION_ID_BYTES), chance.number()),
      () => paths.encodeReceived(paths.ATTACHED, chance.number()),
      () => paths.encodeReceived(paths.ACK, 1 + chance.number(Number.MAX_SAFE_INTEGER - 1)),
      () => paths.encodeNumbered(paths.DATA, chance.number(), chance.bytes(1 + chance.below(200))),
      () => paths.encodeClose(chance.number(), chance.text(60)),
      () => paths.encodeEnd(chance.text(60)),
      () => paths.encodeBare(chance.pick([paths.REJECT, paths.USE, paths.PING, paths.PONG])),
    ])(),
  odd: (chance) =>
    chance.pick<() => Buffer>([
      () => paths.encodeReceived(paths.ACK, 0),
      () =>
        paths.encodeNumbered(
          paths.DATA,
          chance.number(),
          Buffer.alloc(chance.oneIn(20) ? paths.PART_BYTES + chance.below(2) : 0),
        ),
      () =>
        paths.encodeNumbered(
          paths.PART,
          chance.number(),
          Buffer.alloc(chance.oneIn(20) ? paths.PART_BYTES + chance.below(3) - 1 : 9),
        ),
      () => Buffer.concat([paths.encodeEnd(''), Buffer.alloc(255 + chance.below(3), 'x')]),
      () => Buffer.concat([paths.encodeEnd('é'), Buffer.of(0xc3), chance.bytes(2)]),
    ])(),
  decode(bytes) {
    const frame = paths.decodeFrame(bytes)
    return typeof frame === 'string' ? null : frame
  },
  encode: encodePath,
})

/** The lengths within a stream of sealed messages, however the stream is cut. */
export const STREAM_LENGTHS: Decoder = decoder({
  name: 'relay streams',
  valid: (chance) =>
    Buffer.concat(
      chance.list(5, () => {
        const message = chance.bytes(chance.below(100))
        return Buffer.concat([Buffer.of(message.length, 0, 0), message])
      }),
    ),
  odd(chance) {
    const length = MAX_MESSAGE_BYTES + 17 + chance.below(3) - 1
    const prefix = Buffer.alloc(3)
    prefix.writeUIntLE(length, 0, 3)
    return prefix
  },
  decode(bytes) {
    const [whole, cut] = [new MessageLengths(), new MessageLengths()]
    const accepted = whole.accept(bytes)
    let both = true
    for (let at = 0; at < bytes.length && both; at += 7) both = cut.accept(bytes.subarray(at, at + 7))
    if (both !== accepted || (accepted && (whole.completed !== cut.completed || whole.atBoundary !== cut.atBoundary))) {
      throw new Error('it matters where the stream is cut')
    }
    return accepted ? { completed: whole.completed } : null
  },
})

const TOPIC = deriveTopic('fuzzed')

export const CARDS: Decoder = decoder({
  name: 'relay cards',
  valid: (chance) => sealCard(TOPIC, chance.bytes(32)),
  decode: (card) => openCard(TOPIC, card),
})

import {
  HEAD_RANGES_BYTES,
  MAX_FORK_PROOF_BYTES,
  MAX_HEADS_PER_MESSAGE,
  MAX_LOG_LENGTH,
  MAX_MARKS,
  MAX_RANGES_PER_REQUEST,
  MAX_REASON_BYTES,
  MAX_RUN_BYTES,
  MAX_RUNS_PER_FRAME,
} from '../../../src/base/limits.ts'
import type { Head, HeadsKind, Message, RangeRequest, Want } from '../../../src/broadcast/messages.ts'
import * as messages from '../../../src/broadcast/messages.ts'
import type { Chance } from '../chance.ts'
import type { Decoder } from '../fuzz.ts'
import { decoder } from '../fuzz.ts'
import { anyRun, LOGS, oddRun } from './logs.ts'

const KINDS: readonly HeadsKind[] = ['more', 'last', 'news']
const WANTS: readonly Want[] = ['events', 'peaks', 'proof', 'since']

function head(chance: Chance): Head {
  const author = chance.bytes(32)
  if (chance.oneIn(10)) return { author, length: 0, start: 0, tag: messages.FORKED_TAG }
  const length = 1 + chance.number(MAX_LOG_LENGTH - 1)
  return { author, length, start: chance.number(length - 1), tag: chance.bytes(messages.TAG_BYTES) }
}

function range(chance: Chance): RangeRequest {
  return { author: chance.bytes(32), from: chance.number(MAX_LOG_LENGTH), want: chance.pick(WANTS) }
}

const VALID: readonly ((chance: Chance) => Buffer)[] = [
  (chance) => messages.encodeHello(chance.bytes(32)),
  (chance) => messages.encodeGoodbye(chance.below(256), chance.text(60)),
  (chance) =>
    messages.encodeRoot(
      chance.bytes(32),
      chance.list(MAX_MARKS, () => chance.bytes(messages.MARK_BYTES)),
      chance.number(),
    ),
  (chance) =>
    messages.encodeHeads(
      chance.pick(KINDS),
      chance.list(40, () => head(chance)),
    ),
  (chance) => messages.encodeRequest(chance.list(40, () => range(chance))),
  (chance) => messages.encodeFrame([anyRun(chance), ...chance.list(4, () => anyRun(chance))]),
  (chance) => messages.encodeAck(chance.number()),
  (chance) => messages.encodeFork(chance.bytes(chance.below(300))),
  () => messages.PING_MESSAGE,
  () => messages.LAZY_MESSAGE,
  () => messages.EAGER_MESSAGE,
  (chance) => messages.encodeMark(chance.bytes(messages.MARK_BYTES)),
  (chance) => messages.encodeRange(chance.bytes(chance.below(300))),
  (chance) =>
    messages.encodeTell(
      chance.oneIn(2),
      chance.list(40, () => chance.bytes(messages.AUTHOR_PREFIX_BYTES)),
    ),
]

const times = <T>(count: number, one: T): T[] => Array.from({ length: count }, () => one)

const ODD: readonly ((chance: Chance) => Buffer)[] = [
  (chance) => messages.encodeGoodbye(0, 'x'.repeat(MAX_REASON_BYTES + chance.below(3))),
  (chance) =>
    messages.encodeRoot(chance.bytes(32), times(MAX_MARKS + chance.below(3), chance.bytes(messages.MARK_BYTES))),
  (chance) => messages.encodeHeads('last', times(MAX_HEADS_PER_MESSAGE + chance.below(3), head(chance))),
  (chance) => messages.encodeRequest(times(MAX_RANGES_PER_REQUEST + chance.below(3), range(chance))),
  (chance) => messages.encodeRequest([{ ...range(chance), from: MAX_LOG_LENGTH + 1 + chance.number(1000) }]),
  (chance) => messages.encodeHeads('news', [{ ...head(chance), length: MAX_LOG_LENGTH + chance.below(3) }]),
  (chance) => messages.encodeHeads('news', [{ ...head(chance), length: 7, start: 6 + chance.below(3) }]),
  (chance) => messages.encodeHeads('news', [{ ...head(chance), length: 0, start: 0 }]),
  (chance) => messages.encodeFrame(times(MAX_RUNS_PER_FRAME + chance.below(3), LOGS[0].run(0, 1))),
  (chance) =>
    messages.encodeFrame([
      { ...LOGS[0].run(0, 1), events: times(2, Buffer.alloc(MAX_RUN_BYTES / 2 + chance.below(3) - 1)) },
    ]),
  (chance) => messages.encodeFrame([oddRun(chance)]),
  () => messages.encodeFrame([]),
  (chance) => messages.encodeRange(Buffer.alloc(HEAD_RANGES_BYTES + chance.below(3) - 1)),
  (chance) =>
    messages.encodeTell(
      true,
      times(MAX_HEADS_PER_MESSAGE + chance.below(3), chance.bytes(messages.AUTHOR_PREFIX_BYTES)),
    ),
  (chance) => messages.encodeFork(Buffer.alloc(chance.oneIn(3) ? MAX_FORK_PROOF_BYTES + chance.below(3) - 1 : 3)),
]

function encode(message: Message): Buffer | null {
  switch (message.type) {
    case 'hello':
      return message.version === messages.PROTOCOL_VERSION ? messages.encodeHello(message.proof) : null
    case 'goodbye':
      return messages.encodeGoodbye(message.code, message.reason)
    case 'root':
      // Features that are not known are not kept.
      return null
    case 'heads':
      return messages.encodeHeads(message.kind, message.heads)
    case 'request':
      return messages.encodeRequest(message.ranges)
    case 'frame':
      return messages.encodeFrame(message.runs)
    case 'ack':
      return messages.encodeAck(message.frames)
    case 'fork':
      return messages.encodeFork(message.proof)
    case 'ping':
      return messages.PING_MESSAGE
    case 'lazy':
      return messages.LAZY_MESSAGE
    case 'eager':
      return messages.EAGER_MESSAGE
    case 'mark':
      return messages.encodeMark(message.mark)
    case 'range':
      return messages.encodeRange(message.bytes)
    case 'tell':
      return messages.encodeTell(message.isLast, message.prefixes)
  }
}

export const MESSAGES: Decoder = decoder({
  name: 'session messages',
  valid: (chance) => chance.pick(VALID)(chance),
  odd: (chance) => chance.pick(ODD)(chance),
  decode: messages.decodeMessage,
  encode,
})

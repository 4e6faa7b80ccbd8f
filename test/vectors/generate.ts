/**
 * Writes the golden vectors beside this file. They are fixed: only a new version of the format changes them.
 *
 *   node --import ts-blank-space/register test/vectors/generate.ts
 *   python3 test/vectors/check.py      recomputes all of them from docs/PROTOCOL.md, without peerlog's code
 */
import { writeFileSync } from 'node:fs'
import { hash } from '../../src/base/hash.ts'
import { toHex } from '../../src/base/bytes.ts'
import type { EventBody } from '../../src/event/event.ts'
import { encodeEvent } from '../../src/event/event.ts'
import { deriveDatabaseKeys } from '../../src/event/keys.ts'
import type { Run } from '../../src/event/run.ts'
import { encodedRunBytes, writeRun } from '../../src/event/run.ts'
import { authorKeyPair } from '../../src/event/signature.ts'
import { deriveTopic } from '../../src/topic/topic.ts'
import * as paths from '../../src/transport/paths/frames.ts'
import { connectionHash, connectionId } from '../../src/transport/paths/identity.ts'
import { makeLog, varint } from '../arbitraries.ts'
import type {
  EventVector,
  EventVectors,
  HeadVector,
  KeysVector,
  LogVectors,
  PathFrameVector,
  PathVectors,
  RunVector,
  TopicVector,
} from './vectors.ts'

function write(name: string, value: unknown): void {
  writeFileSync(new URL(`${name}.json`, import.meta.url), `${JSON.stringify(value, null, 2)}\n`)
}

/** from, from + 1, from + 2 … */
const ascending = (length: number, from = 0): Buffer =>
  Buffer.from(Uint8Array.from({ length }, (_, i) => (from + i) & 0xff))

// ---- topics ---------------------------------------------------------------------------------------------------

const TOPIC_IDS = [
  'a',
  'my-notes',
  'abc',
  'caf\u00e9',
  'cafe\u0301',
  '\u65e5\u672c\u8a9e',
  '\ud83d\udc69\u200d\ud83d\udc67',
  'x'.repeat(1024),
]
const topics: TopicVector[] = []
for (const databaseId of TOPIC_IDS) {
  for (const key of [null, ascending(32)]) {
    const topic = key === null ? deriveTopic(databaseId) : deriveTopic(databaseId, key)
    topics.push({ databaseId, key: key && toHex(key), topic: toHex(topic) })
  }
}
write('topics', topics)

// ---- keys -----------------------------------------------------------------------------------------------------

const keys: KeysVector[] = []
for (const databaseId of ['my-notes', 'caf\u00e9/\u8a9e']) {
  const secrets = [
    {},
    { passphrase: 'correct horse battery staple' },
    { passphrase: 'cafe\u0301' },
    { secret: toHex(ascending(32)) },
  ]
  for (const given of secrets as { passphrase?: string; secret?: string }[]) {
    const secret = given.secret === undefined ? given.passphrase : Buffer.from(given.secret, 'hex')
    const derived = await deriveDatabaseKeys(databaseId, secret)
    keys.push({
      databaseId,
      ...given,
      tag: toHex(derived.tag),
      topicKey: derived.topic && toHex(derived.topic),
      admission: toHex(derived.admission),
      datagrams: toHex(derived.datagrams),
      seal: derived.seal && toHex(derived.seal),
      topic: toHex(deriveTopic(databaseId, derived.topic ?? undefined)),
    })
  }
}
write('keys', keys)

// ---- events ---------------------------------------------------------------------------------------------------

const author = authorKeyPair(ascending(32)).publicKey
const sealKey = ascending(32, 0x80)
const nonce = ascending(24, 0x40)
const link = (first: number, seq: number, time: number, tick: number) => ({
  author: Buffer.alloc(32, first),
  seq,
  time,
  tick,
})
const plain: EventBody = {
  time: 1_763_600_000_000,
  tick: 0,
  subject: 'notes/shopping',
  type: '',
  links: [],
  json: true,
  data: Buffer.from('{"text":"milk"}'),
}
const bodies: [string, number, EventBody][] = [
  ['JSON', 0, plain],
  ['bytes, type', 127, { ...plain, tick: 1, type: 'chunk', json: false, data: ascending(40, 0xf0) }],
  ['no data', 128, { ...plain, json: false, data: Buffer.alloc(0) }],
  [
    'links',
    16_384,
    {
      ...plain,
      tick: 65_535,
      subject: 'chat/caf\u00e9/\ud83d\ude00',
      type: 'message',
      links: [
        link(1, 0, 1_763_600_000_000, 65_534),
        link(2, 2 ** 32, 1_763_599_999_999, 65_535),
        link(0xff, 2 ** 53 - 1, 0, 0),
      ],
    },
  ],
  [
    'largest numbers',
    2 ** 53 - 1,
    { ...plain, time: 2 ** 48 - 1, tick: 65_535, subject: 's'.repeat(512), type: 't'.repeat(128) },
  ],
  ['smallest numbers', 0, { time: 0, tick: 0, subject: 'a', type: '', links: [], json: true, data: Buffer.from('0') }],
]
const events: EventVector[] = []
for (const [name, seq, body] of bodies) {
  for (const key of [null, sealKey]) {
    const bytes = encodeEvent(author, seq, body, key, (into) => into.set(nonce))
    const { time, tick, subject, type } = body
    events.push({
      name: key === null ? name : `${name}, sealed`,
      author: toHex(author),
      seq,
      sealKey: key && toHex(key),
      nonce: key && toHex(nonce),
      body: {
        time,
        tick,
        format: body.json ? 'json' : 'bytes',
        subject,
        type,
        links: body.links.map((one) => ({ ...one, author: toHex(one.author) })),
        data: toHex(body.data),
      },
      bytes: toHex(bytes),
      id: toHex(hash(bytes)),
    })
  }
}

const header = Buffer.concat([Buffer.of(1, 0), author, Buffer.of(0)])
const clock = Buffer.from('0000000003e80005', 'hex')
const text = (value: string | Buffer): Buffer => {
  const bytes = typeof value === 'string' ? Buffer.from(value, 'utf8') : value
  return Buffer.concat([varint(bytes.length), bytes])
}
const linkBytes = (first: number, time: number, tick: number): Buffer => {
  const bytes = Buffer.alloc(41, first)
  bytes[32] = 0
  bytes.writeUIntBE(time, 33, 6)
  bytes.writeUInt16BE(tick, 39)
  return bytes
}
const unsealed = (subject: Buffer, type: Buffer, links: Buffer[], format = 0): Buffer =>
  Buffer.concat([header, clock, Buffer.of(format), subject, type, ...links, Buffer.from('1')])
const a = text('a')
const none = text('')
const sealed = encodeEvent(author, 0, plain, sealKey, (into) => into.set(nonce))
const changed = Buffer.from(sealed)
changed[changed.length - 1] = (changed.at(-1) as number) ^ 1
const refused: [string, Buffer | null, Buffer, string][] = [
  ['nothing', null, Buffer.alloc(0), 'MALFORMED_HEADER'],
  ['only a header, cut', null, header.subarray(0, 34), 'MALFORMED_HEADER'],
  ['version 0', null, Buffer.concat([Buffer.of(0), header.subarray(1)]), 'UNKNOWN_VERSION'],
  ['version 2', null, Buffer.concat([Buffer.of(2), header.subarray(1)]), 'UNKNOWN_VERSION'],
  ['flag 1', null, Buffer.concat([Buffer.of(1, 2), header.subarray(2)]), 'MALFORMED_HEADER'],
  ['seq in two bytes instead of one', null, Buffer.concat([header.subarray(0, 34), varint(0, 1)]), 'MALFORMED_HEADER'],
  [
    'seq 2^53',
    null,
    Buffer.concat([header.subarray(0, 34), Buffer.from('8080808080808010', 'hex')]),
    'MALFORMED_HEADER',
  ],
  [
    'seq in nine bytes',
    null,
    Buffer.concat([header.subarray(0, 34), Buffer.alloc(8, 0xff), Buffer.of(1)]),
    'MALFORMED_HEADER',
  ],
  ['no body', null, header, 'MALFORMED_BODY'],
  ['no links', null, Buffer.concat([header, clock, Buffer.of(0), a, none]), 'MALFORMED_BODY'],
  ['format 2', null, unsealed(a, none, [varint(0)], 2), 'MALFORMED_BODY'],
  ['subject is not UTF-8', null, unsealed(text(Buffer.of(0x61, 0xff)), none, [varint(0)]), 'MALFORMED_BODY'],
  [
    'subject is an encoded surrogate',
    null,
    unsealed(text(Buffer.of(0xed, 0xa0, 0x80)), none, [varint(0)]),
    'MALFORMED_BODY',
  ],
  ['subject is an overlong form', null, unsealed(text(Buffer.of(0xc1, 0xa1)), none, [varint(0)]), 'MALFORMED_BODY'],
  ['subject of 513 bytes', null, unsealed(text('s'.repeat(513)), none, [varint(0)]), 'MALFORMED_BODY'],
  ['type of 129 bytes', null, unsealed(a, text('t'.repeat(129)), [varint(0)]), 'MALFORMED_BODY'],
  [
    'subject length in a longer form',
    null,
    unsealed(Buffer.concat([varint(1, 1), Buffer.from('a')]), none, [varint(0)]),
    'MALFORMED_BODY',
  ],
  [
    '65 links',
    null,
    unsealed(a, none, [varint(65), ...Array.from({ length: 65 }, (_, i) => linkBytes(i + 1, 1, 0))]),
    'MALFORMED_BODY',
  ],
  ['links descending', null, unsealed(a, none, [varint(2), linkBytes(2, 1, 0), linkBytes(1, 1, 0)]), 'MALFORMED_BODY'],
  [
    'one author linked twice',
    null,
    unsealed(a, none, [varint(2), linkBytes(1, 1, 0), linkBytes(1, 1, 0)]),
    'MALFORMED_BODY',
  ],
  [
    'link cut',
    null,
    Buffer.concat([header, clock, Buffer.of(0), a, none, varint(1), linkBytes(1, 1, 0).subarray(0, 40)]),
    'MALFORMED_BODY',
  ],
  ['empty subject', null, unsealed(text(''), none, [varint(0)]), 'INVALID_SUBJECT'],
  ['subject begins with a slash', null, unsealed(text('/a'), none, [varint(0)]), 'INVALID_SUBJECT'],
  ['subject ends with a slash', null, unsealed(text('a/'), none, [varint(0)]), 'INVALID_SUBJECT'],
  ['subject has an empty level', null, unsealed(text('a//b'), none, [varint(0)]), 'INVALID_SUBJECT'],
  ['subject has a star', null, unsealed(text('a/*'), none, [varint(0)]), 'INVALID_SUBJECT'],
  ['subject has U+0000', null, unsealed(text('a\0'), none, [varint(0)]), 'INVALID_SUBJECT'],
  ['subject has U+0085', null, unsealed(text('a\u0085'), none, [varint(0)]), 'INVALID_SUBJECT'],
  ['clock equals a link', null, unsealed(a, none, [varint(1), linkBytes(1, 1000, 5)]), 'CLOCK_NOT_AFTER_LINK'],
  [
    'clock before a link',
    null,
    unsealed(a, none, [varint(2), linkBytes(1, 1, 0), linkBytes(2, 1001, 0)]),
    'CLOCK_NOT_AFTER_LINK',
  ],
  ['not sealed though there is a secret', sealKey, unsealed(a, none, [varint(0)]), 'NOT_SEALED'],
  ['sealed, without the key', null, sealed, 'CANNOT_UNSEAL'],
  ['sealed, with another key', ascending(32, 0x81), sealed, 'CANNOT_UNSEAL'],
  ['sealed, last bit changed', sealKey, changed, 'CANNOT_UNSEAL'],
  ['sealed, cut within the tag', sealKey, sealed.subarray(0, 35 + 24 + 15), 'CANNOT_UNSEAL'],
]
const eventVectors: EventVectors = {
  events,
  refused: refused.map(([name, key, bytes, fault]) => ({
    name,
    sealKey: key && toHex(key),
    bytes: toHex(bytes),
    fault,
  })),
}
write('events', eventVectors)

// ---- logs -----------------------------------------------------------------------------------------------------

const { tag } = await deriveDatabaseKeys('my-notes')
const LENGTH = 20
const log = makeLog(
  Array.from({ length: LENGTH }, (_, i) => ({ ...plain, time: plain.time + i, data: Buffer.from(String(i)) })),
  { keys: authorKeyPair(ascending(32)), databaseTag: tag },
)
const heads: HeadVector[] = log.mmrs.map((mmr, length) => ({
  length,
  peaks: toHex(mmr.peaks()),
  root: toHex(mmr.root()),
  signature: toHex(log.run(0, length).signature.bytes),
}))
const runVector = (name: string, run: Run): RunVector => {
  const bytes = Buffer.alloc(encodedRunBytes(run))
  writeRun(bytes, 0, run)
  return { name, from: run.from, count: run.events.length, peaks: run.peaks && toHex(run.peaks), bytes: toHex(bytes) }
}
const logVectors: LogVectors = {
  databaseTag: toHex(tag),
  authorSeed: toHex(ascending(32)),
  author: toHex(log.keys.publicKey),
  events: log.events.map(toHex),
  ids: log.ids.map(toHex),
  heads,
  runs: [
    runVector('the whole log', log.run(0, LENGTH)),
    runVector('one event, its predecessors known', log.run(6, 7)),
    runVector('from the middle, with peaks', log.run(7, 11, true)),
    runVector('from the start, with the flag of peaks but none to send', log.run(0, 2, true)),
    runVector('a head alone', log.run(13, 13, true)),
  ],
}
write('logs', logVectors)

// ---- paths ----------------------------------------------------------------------------------------------------

const FULL = Buffer.alloc(paths.PART_BYTES)
const LONGEST = 1000
const frameVector = (name: string, frame: string, fields: PathFrameVector['fields'], bytes: Buffer): PathFrameVector => {
  return { name, frame, fields, bytes: toHex(bytes.length > LONGEST ? bytes.subarray(0, 32) : bytes), hash: toHex(hash(bytes)) }
}
const numbered = (type: typeof paths.DATA | typeof paths.PART, number: number, message: Buffer, name: string) =>
  frameVector(
    name,
    type === paths.DATA ? 'DATA' : 'PART',
    { number, ...(message === FULL ? { zeros: message.length } : { message: toHex(message) }) },
    paths.encodeNumbered(type, number, message),
  )
const bare = (frame: string, type: Parameters<typeof paths.encodeBare>[0]) =>
  frameVector(frame, frame, {}, paths.encodeBare(type))
const received = (frame: string, type: typeof paths.ATTACHED | typeof paths.ACK, count: number) =>
  frameVector(`${frame} of ${count}`, frame, { received: count }, paths.encodeReceived(type, count))
const [incarnation, id] = [ascending(32, 0x20), ascending(16, 0x60)]
const LARGEST = Number.MAX_SAFE_INTEGER
const pathVectors: PathVectors = {
  frames: [
    frameVector('HELLO', 'HELLO', { version: 3, incarnation: toHex(incarnation) }, paths.encodeHello(incarnation)),
    ...[1, 127, 128, LARGEST].map((count) => frameVector(`BEGIN ${count}`, 'BEGIN', { count }, paths.encodeBegin(count))),
    ...[0, 300].map((count) =>
      frameVector(`ATTACH with ${count} received`, 'ATTACH', { id: toHex(id), received: count }, paths.encodeAttach(id, count)),
    ),
    ...[0, 16_384].map((count) => received('ATTACHED', paths.ATTACHED, count)),
    bare('REJECT', paths.REJECT),
    bare('USE', paths.USE),
    numbered(paths.DATA, 0, Buffer.of(0), 'DATA, one byte'),
    numbered(paths.DATA, 2 ** 32, ascending(40), 'DATA, number 2^32'),
    numbered(paths.DATA, 5, FULL, 'DATA, as long as can be'),
    numbered(paths.PART, 4, FULL, 'PART'),
    ...[1, LARGEST].map((count) => received('ACK', paths.ACK, count)),
    frameVector('CLOSE', 'CLOSE', { number: 7, reason: 'closing' }, paths.encodeClose(7, 'closing')),
    frameVector('CLOSE, longest', 'CLOSE', { number: 0, reason: 'x'.repeat(256) }, paths.encodeClose(0, 'x'.repeat(256))),
    bare('PING', paths.PING),
    bare('PONG', paths.PONG),
    frameVector('END without a reason', 'END', { reason: '' }, paths.encodeEnd('')),
    frameVector('END', 'END', { reason: 'caf\u00e9 \ud83d\ude00' }, paths.encodeEnd('caf\u00e9 \ud83d\ude00')),
  ],
  refused: [
    ['nothing', Buffer.alloc(0)],
    ['type 0', Buffer.of(0)],
    ['type 14', Buffer.of(14)],
    ['HELLO, cut', paths.encodeHello(incarnation).subarray(0, 33)],
    ['HELLO, a byte too long', Buffer.concat([paths.encodeHello(incarnation), Buffer.of(0)])],
    ['BEGIN without a count', Buffer.of(paths.BEGIN)],
    ['BEGIN, count in a longer form', Buffer.concat([Buffer.of(paths.BEGIN), varint(1, 1)])],
    ['BEGIN, count 2^53', Buffer.from('028080808080808010', 'hex')],
    ['BEGIN, a byte too long', Buffer.of(paths.BEGIN, 1, 0)],
    ['ATTACH, cut', paths.encodeAttach(id, 1).subarray(0, 17)],
    ['ATTACHED, a byte too long', Buffer.of(paths.ATTACHED, 1, 0)],
    ['REJECT, a byte too long', Buffer.of(paths.REJECT, 0)],
    ['USE, a byte too long', Buffer.of(paths.USE, 0)],
    ['DATA without a message', Buffer.of(paths.DATA, 0)],
    ['PART, too short', Buffer.of(paths.PART, 0, 1)],
    ['ACK of nothing', Buffer.of(paths.ACK, 0)],
    ['CLOSE without a number', Buffer.of(paths.CLOSE)],
    ['CLOSE, reason of 257 bytes', Buffer.concat([Buffer.of(paths.CLOSE, 0), Buffer.alloc(257, 'x')])],
    ['CLOSE, reason is not UTF-8', Buffer.of(paths.CLOSE, 0, 0xc3, 0x28)],
    ['PING, a byte too long', Buffer.of(paths.PING, 0)],
    ['END, reason of 257 bytes', Buffer.concat([Buffer.of(paths.END), Buffer.alloc(257, 'x')])],
    ['END, reason is an encoded surrogate', Buffer.of(paths.END, 0xed, 0xa0, 0x80)],
  ].map(([name, bytes]) => ({ name: name as string, bytes: toHex(bytes as Buffer) })),
  connections: [Buffer.alloc(64), ascending(64)].map((pathHash) => ({
    pathHash: toHex(pathHash),
    id: toHex(connectionId(pathHash)),
    handshakeHash: toHex(connectionHash(pathHash)),
  })),
}
write('paths', pathVectors)

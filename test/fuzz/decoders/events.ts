import { MAX_EVENT_BYTES, MAX_LINKS, MAX_SUBJECT_BYTES, MAX_TYPE_BYTES } from '../../../src/base/limits.ts'
import { decodeData, encodeData } from '../../../src/event/data.ts'
import type { EventBody, EventHeader, Link } from '../../../src/event/event.ts'
import {
  decodeEventBody,
  decodeEventHeader,
  encodeEvent,
  eventHeaderAt,
  sealEvent,
  writeEvent,
} from '../../../src/event/event.ts'
import { subjectFault } from '../../../src/event/subject.ts'
import type { Chance } from '../chance.ts'
import type { Decoder } from '../fuzz.ts'
import { decoder } from '../fuzz.ts'
import { mutate } from '../mutate.ts'

const SEAL_KEY = Buffer.alloc(32, 3)
const NONCE_BYTES = 24
const SEAL_TAG_BYTES = 16
const MAX_TIME = 2 ** 48 - 1

const SUBJECTS = ['a', 'notes/shopping', 'chat/café/😀', 'x'.repeat(MAX_SUBJECT_BYTES)]
const ODD_SUBJECTS = [
  '',
  '/a',
  'a/',
  'a//b',
  'a*',
  '**',
  'a\0',
  '\u0085',
  'x'.repeat(MAX_SUBJECT_BYTES + 1),
  '語'.repeat(200),
]

function links(chance: Chance, before: { time: number; tick: number }, count: number): Link[] {
  const authors = Array.from({ length: count }, () => chance.bytes(32)).toSorted(Buffer.compare)
  return authors.map((author) => ({
    author,
    seq: chance.number(),
    ...(before.tick > 0 ? { time: before.time, tick: before.tick - 1 } : { time: before.time - 1, tick: 65_535 }),
  }))
}

function body(chance: Chance): EventBody {
  const clock = { time: 1 + chance.number(MAX_TIME - 1), tick: chance.number(65_535) }
  const json = chance.oneIn(2)
  return {
    ...clock,
    subject: chance.pick(SUBJECTS),
    type: chance.oneIn(2) ? '' : chance.text(20),
    links: links(chance, clock, chance.oneIn(8) ? MAX_LINKS : chance.below(4)),
    json,
    data: json ? Buffer.from(JSON.stringify(chance.text(40))) : chance.bytes(chance.below(100)),
  }
}

function oddBody(chance: Chance): EventBody {
  const good = body(chance)
  const some = links(chance, good, 3)
  const [first, second, third] = some as [Link, Link, Link]
  return chance.pick<() => EventBody>([
    () => ({ ...good, subject: chance.pick(ODD_SUBJECTS) }),
    () => ({ ...good, type: 't'.repeat(MAX_TYPE_BYTES + chance.below(2)) }),
    () => ({ ...good, links: links(chance, good, MAX_LINKS + chance.below(3)) }),
    () => ({ ...good, links: [third, second, first] }),
    () => ({ ...good, links: [first, first] }),
    () => ({ ...good, links: [{ ...first, time: good.time, tick: good.tick }] }),
    () => ({ ...good, links: [{ ...first, time: Math.min(MAX_TIME, good.time + 1), tick: 0 }] }),
  ])()
}

/** Seals whatever body it is given. */
function sealed(chance: Chance, clear: Buffer, headerBytes: number): Buffer {
  const header = Buffer.from(clear.subarray(0, headerBytes))
  header[1] = 1
  const event = Buffer.concat([
    header,
    Buffer.alloc(NONCE_BYTES),
    clear.subarray(headerBytes),
    Buffer.alloc(SEAL_TAG_BYTES),
  ])
  sealEvent(event, SEAL_KEY, (into) => into.set(chance.bytes(into.length)))
  return event
}

/** An event that is not sealed, and how long its header is. Nothing is checked. */
function clearEvent(chance: Chance, content: EventBody): { bytes: Buffer; headerBytes: number } {
  const room = Buffer.alloc(20_000 + content.data.length)
  writeEvent(room, 0, chance.bytes(32), chance.number(), content, false)
  const header = decodeEventHeader(room) as EventHeader
  // Written again with other data, the bytes differ just where it is.
  const filled = Buffer.alloc(room.length, 0xff)
  writeEvent(filled, 0, header.author, header.seq, content, false)
  let length = room.length
  while (length > 0 && room[length - 1] === 0 && filled[length - 1] === 0xff) length--
  return { bytes: filled.subarray(0, length), headerBytes: header.headerBytes }
}

interface Decoded {
  header: EventHeader
  content: EventBody
  nonce: Buffer
}

/** Whoever looks for the header of one log and place finds what is decoded there, and nothing at another place. */
function expectHeaderAt(bytes: Buffer, header: EventHeader | string): void {
  const author = Buffer.alloc(32)
  author.set(bytes.subarray(2, 34))
  const isThere = typeof header !== 'string'
  const seq = isThere ? header.seq : 300
  if ((eventHeaderAt(bytes, author, seq) !== null) !== isThere) throw new Error('a header is there, or is not')
  if (eventHeaderAt(bytes, author, seq + 129) !== null) throw new Error('a header at two places')
}

function decodeEvent(bytes: Buffer, sealKey: Buffer | null): Decoded | null {
  const header = decodeEventHeader(bytes)
  expectHeaderAt(bytes, header)
  if (typeof header === 'string') return null
  const content = decodeEventBody(bytes, header, sealKey)
  if (typeof content === 'string') return null
  return { header, content, nonce: bytes.subarray(header.headerBytes, header.headerBytes + NONCE_BYTES) }
}

const tooLong = (chance: Chance): Buffer =>
  Buffer.concat([Buffer.of(1, 0), Buffer.alloc(MAX_EVENT_BYTES + chance.below(3) - 2)])

export const EVENTS: Decoder = decoder({
  name: 'events',
  valid: (chance) => encodeEvent(chance.bytes(32), chance.number(), body(chance), null, () => {}),
  odd(chance) {
    if (chance.oneIn(100)) return tooLong(chance)
    const { bytes, headerBytes } = clearEvent(chance, oddBody(chance))
    return chance.oneIn(8) ? sealed(chance, bytes, headerBytes) : bytes
  },
  decode: (bytes) => decodeEvent(bytes, null),
  encode: ({ header, content }) => encodeEvent(header.author, header.seq, content, null, () => {}),
})

export const SEALED_EVENTS: Decoder = decoder({
  name: 'sealed events',
  valid(chance) {
    return encodeEvent(chance.bytes(32), chance.number(), body(chance), SEAL_KEY, (into) =>
      into.set(chance.bytes(into.length)),
    )
  },
  odd(chance) {
    const { bytes, headerBytes } = clearEvent(chance, chance.oneIn(2) ? body(chance) : oddBody(chance))
    if (chance.oneIn(4)) return bytes
    const damaged = mutate(chance, bytes.subarray(headerBytes), bytes)
    return sealed(chance, Buffer.concat([bytes.subarray(0, headerBytes), damaged]), headerBytes)
  },
  decode: (bytes) => decodeEvent(bytes, SEAL_KEY),
  encode: ({ header, content, nonce }) =>
    encodeEvent(header.author, header.seq, content, SEAL_KEY, (into) => into.set(nonce)),
})

/** The first byte says whether the rest is JSON. */
export const DATA: Decoder = decoder({
  name: 'data',
  valid: (chance) =>
    Buffer.concat([
      Buffer.of(1),
      encodeData({ text: chance.text(30), n: chance.number(), list: chance.list(3, () => null) }).bytes,
    ]),
  odd: (chance) => Buffer.concat([Buffer.of(chance.below(2)), Buffer.from('\ufeff{}'), chance.bytes(chance.below(3))]),
  decode(bytes) {
    const data = decodeData(bytes[0] === 1, bytes.subarray(1))
    return data === undefined ? null : { data, first: bytes.subarray(0, 1) }
  },
  // JSON has many texts for one value; bytes have one.
  encode: ({ data, first }) => (data instanceof Uint8Array && first.length > 0 ? Buffer.concat([first, data]) : null),
})

/** UTF-16, so that any string there is can come. */
export const SUBJECTS_OF_CALLERS: Decoder = decoder({
  name: 'subjects',
  valid: (chance) => Buffer.from(chance.pick(SUBJECTS), 'utf16le'),
  odd: (chance) => Buffer.from(chance.pick([...ODD_SUBJECTS, 'a\ud800', '\udc00/b']), 'utf16le'),
  decode(bytes) {
    const subject = bytes.toString('utf16le')
    return subjectFault(subject) === null ? subject : null
  },
  encode: (subject) => (subject.isWellFormed() ? null : Buffer.alloc(0)),
  slack: 4096,
})

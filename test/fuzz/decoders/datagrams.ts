import { MAX_EVENT_BYTES, MAX_FORK_PROOF_BYTES, MAX_LOG_LENGTH } from '../../../src/base/limits.ts'
import { Envelope, ENVELOPE_BYTES } from '../../../src/broadcast/gossip/envelope.ts'
import {
  MAX_DATAGRAM_BYTES,
  MAX_DIGEST_RANGES,
  MAX_WHOLE_EVENT_BYTES,
  PART_BYTES,
} from '../../../src/broadcast/gossip/limits.ts'
import type { DigestRange, FilterMessage, Message, Part, SignedHead } from '../../../src/broadcast/gossip/messages.ts'
import * as gossip from '../../../src/broadcast/gossip/messages.ts'
import type { Place, Span } from '../../../src/broadcast/gossip/place.ts'
import { comparePlaces } from '../../../src/broadcast/gossip/place.ts'
import { peaksBytes } from '../../../src/event/mmr.ts'
import { BloomFilter, MAX_HASHES, SALT_BYTES } from '../../../src/reconcile/bloom/bloom-filter.ts'
import type { Chance } from '../chance.ts'
import type { Decoder } from '../fuzz.ts'
import { decoder } from '../fuzz.ts'

const MAX_TIME = 2 ** 48 - 1
const FINGERPRINT_BYTES = 16

function place(chance: Chance): Place {
  const prefix = chance.bytes(chance.oneIn(2) ? 0 : chance.below(33))
  if (prefix.length > 0) prefix[prefix.length - 1] = 1 + chance.below(255)
  return { time: chance.number(MAX_TIME - 1), prefix }
}

/** Spans one after the other, some of them next to each other. */
function spans(chance: Chance, most: number): Span[] {
  const places = Array.from({ length: 2 + chance.below(most) }, () => place(chance)).toSorted(comparePlaces)
  const different = places.filter((one, i) => i === 0 || comparePlaces(places[i - 1] as Place, one) < 0)
  if (different.length < 2)
    return [{ from: { time: 0, prefix: Buffer.alloc(0) }, to: { time: MAX_TIME, prefix: Buffer.alloc(0) } }]
  const all = different.slice(1).map((to, i) => ({ from: different[i] as Place, to }))
  const some = all.filter((_, i) => i === 0 || chance.oneIn(2))
  return some
}

function range(chance: Chance, span: Span): DigestRange {
  return { ...span, items: chance.number(), fingerprint: chance.bytes(FINGERPRINT_BYTES) }
}

function filter(chance: Chance): BloomFilter {
  const count = chance.below(60)
  const made = BloomFilter.create({ count, maxBytes: 600 }, chance.bytes(SALT_BYTES))
  for (let i = 0; i < count; i++) made.add(chance.bytes(32))
  return made
}

const head = (chance: Chance, length: number): SignedHead => ({
  length,
  signature: { suite: 1, bytes: chance.bytes(64) },
})

function events(chance: Chance): Buffer {
  let seq = chance.number(MAX_LOG_LENGTH - 1000)
  const list = Array.from({ length: 1 + chance.below(4) }, () => {
    seq += 1 + chance.below(3)
    return { seq: seq - 1, time: chance.number(MAX_TIME), bytes: chance.bytes(1 + chance.below(100)) }
  })
  return gossip.encodeEvents({ author: chance.bytes(32), head: head(chance, seq + chance.below(5)), events: list })
}

function part(chance: Chance, values: Partial<Part> = {}): Buffer {
  const isProof = chance.oneIn(3)
  const total = isProof ? 1 + chance.below(4000) : MAX_WHOLE_EVENT_BYTES + 1 + chance.below(4000)
  const index = chance.below(gossip.partsOf(total))
  const bytes = chance.bytes(Math.min(PART_BYTES, total - index * PART_BYTES))
  const seq = chance.number(MAX_LOG_LENGTH - 1)
  const event = isProof ? null : { seq, time: chance.number(MAX_TIME), head: head(chance, seq + 1) }
  return gossip.encodePart({ author: chance.bytes(32), id: chance.bytes(32), total, index, bytes, event, ...values })
}

const VALID: readonly ((chance: Chance) => Buffer)[] = [
  (chance) => {
    const heard = chance.oneIn(3) ? null : chance.number(MAX_TIME)
    const values = { root: chance.bytes(32), items: chance.number(), time: chance.number(MAX_TIME), heard }
    return gossip.encodeHeartbeat({ ...values, delay: chance.number(gossip.MAX_DELAY_MS), cookie: chance.bytes(8) })
  },
  (chance) => gossip.encodeDigest(spans(chance, 8).map((span) => range(chance, span))),
  (chance) => gossip.encodeFilter({ ...range(chance, spans(chance, 2)[0] as Span), filter: filter(chance) }),
  events,
  (chance) => part(chance),
  (chance) =>
    gossip.encodeWant({ author: chance.bytes(32), kind: chance.pick(['seq', 'time', 'last']), value: chance.number() }),
  (chance) => {
    const seq = chance.number(MAX_LOG_LENGTH)
    return gossip.encodePeaks({ author: chance.bytes(32), seq, peaks: chance.bytes(peaksBytes(seq)) })
  },
  () => gossip.BYE,
]

const ODD: readonly ((chance: Chance) => Buffer)[] = [
  (chance) => {
    const to = { time: MAX_TIME, prefix: Buffer.of(chance.below(2)) }
    return gossip.encodeDigest([range(chance, { from: { time: 1, prefix: Buffer.alloc(0) }, to })])
  },
  (chance) =>
    gossip.encodeDigest(
      spans(chance, 8)
        .toReversed()
        .map((span) => range(chance, span)),
    ),
  (chance) => {
    const [span] = spans(chance, 2) as [Span]
    return gossip.encodeFilter({
      ...range(chance, { from: span.to, to: chance.pick([span.from, span.to]) }),
      filter: filter(chance),
    })
  },
  (chance) => {
    // More ranges than a digest may have, which no encoder makes.
    const one = Buffer.alloc(7 + 1)
    const list = Array.from({ length: MAX_DIGEST_RANGES + chance.below(3) }, (_, i) => {
      const copy = Buffer.from(one)
      copy.writeUIntBE(i + 1, 0, 6)
      return copy
    })
    return Buffer.concat([
      Buffer.of(2),
      Buffer.alloc(7),
      ...list,
      gossip
        .encodeDigest([
          range(chance, {
            from: { time: 2 ** 40, prefix: Buffer.alloc(0) },
            to: { time: 2 ** 41, prefix: Buffer.alloc(0) },
          }),
        ])
        .subarray(8),
    ])
  },
  (chance) =>
    gossip.encodeEvents({
      author: chance.bytes(32),
      head: head(chance, 9),
      events: [
        {
          seq: 8 + chance.below(2),
          time: 1,
          bytes: Buffer.alloc(chance.pick([0, 1, MAX_WHOLE_EVENT_BYTES, MAX_WHOLE_EVENT_BYTES + 1])),
        },
      ],
    }),
  (chance) =>
    gossip.encodeEvents({
      author: chance.bytes(32),
      head: head(chance, MAX_LOG_LENGTH + chance.below(2)),
      events: chance.oneIn(2) ? [] : [{ seq: 1, time: 1, bytes: Buffer.of(1) }],
    }),
  (chance) => part(chance, { index: chance.below(9) }),
  (chance) =>
    part(chance, {
      total: chance.pick([0, 1, MAX_WHOLE_EVENT_BYTES, MAX_EVENT_BYTES, MAX_EVENT_BYTES + 1, MAX_FORK_PROOF_BYTES + 1]),
    }),
  (chance) => part(chance, { event: { seq: chance.below(9), time: 1, head: head(chance, chance.below(9)) } }),
  (chance) =>
    gossip.encodePeaks({
      author: chance.bytes(32),
      seq: MAX_LOG_LENGTH + 1,
      peaks: chance.bytes(peaksBytes(MAX_LOG_LENGTH + 1)),
    }),
]

function encode(message: Message): Buffer | null {
  switch (message.type) {
    case 'heartbeat':
      return gossip.encodeHeartbeat(message)
    case 'digest':
      // Ranges that are left out can be cut in several ways.
      return null
    case 'filter':
      return gossip.encodeFilter(message satisfies FilterMessage)
    case 'events':
      return gossip.encodeEvents(message)
    case 'part':
      return gossip.encodePart(message)
    case 'want':
      return gossip.encodeWant(message)
    case 'peaks':
      return gossip.encodePeaks(message)
    case 'bye':
      return gossip.BYE
  }
}

/** What is sealed in a datagram: a member may send anything. */
export const DATAGRAMS: Decoder = decoder({
  name: 'datagram messages',
  valid: (chance) => chance.pick(VALID)(chance),
  odd: (chance) => chance.pick(ODD)(chance),
  decode: gossip.decodeBody,
  encode,
})

const envelope = new Envelope(Buffer.alloc(32, 9), (bytes) => Buffer.alloc(bytes, 4))
const sealed = (chance: Chance, body: Buffer): Buffer =>
  envelope.seal(
    gossip.encodeMessage(
      { sender: chance.bytes(32), epoch: chance.bytes(8), counter: chance.number(MAX_TIME), echo: chance.bytes(8) },
      body,
    ),
  )

/** What comes from the network: the seal, and the header within. */
export const ENVELOPES: Decoder = decoder({
  name: 'datagrams',
  valid: (chance) => sealed(chance, chance.bytes(1 + chance.below(200))),
  odd: (chance) =>
    chance.pick<() => Buffer>([
      () =>
        Buffer.alloc(chance.pick([ENVELOPE_BYTES - 1, ENVELOPE_BYTES, MAX_DATAGRAM_BYTES, MAX_DATAGRAM_BYTES + 1]), 1),
      () => sealed(chance, Buffer.alloc(chance.below(2))),
      () => envelope.seal(chance.bytes(chance.below(60))),
      () => Buffer.concat([Buffer.of(1), envelope.tag, chance.bytes(ENVELOPE_BYTES)]),
    ])(),
  decode(bytes) {
    const opened = envelope.open(bytes)
    return opened === null ? null : gossip.decodeHeader(opened)
  },
  // With the nonce that every datagram has here.
  encode: ({ header, body }) => envelope.seal(gossip.encodeMessage(header, body)),
})

export const FILTERS: Decoder = decoder({
  name: 'Bloom filters',
  valid: (chance) => filter(chance).encode(),
  odd: (chance) =>
    Buffer.concat([
      chance.bytes(SALT_BYTES),
      Buffer.of(chance.pick([0, 1, MAX_HASHES, MAX_HASHES + 1])),
      chance.bytes(chance.below(4)),
    ]),
  decode(bytes) {
    const decoded = BloomFilter.decode(bytes)
    // Whatever its bits are, it answers.
    decoded?.has(Buffer.alloc(32, 1))
    return decoded
  },
  encode: (decoded) => decoded.encode(),
})

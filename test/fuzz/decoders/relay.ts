/** What a relay reads: frames of clients and of other relays, tokens, addresses that proxies write. */
import { createHmac } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { TrustedProxies } from '../../../relay-server/src/addresses.ts'
import type { BusFrame, BusMessage } from '../../../relay-server/src/cluster/bus-frames.ts'
import * as bus from '../../../relay-server/src/cluster/bus-frames.ts'
import type { Frame } from '../../../relay-server/src/frames.ts'
import {
  decodeFrame,
  encodeFrame,
  MAX_CARD_BYTES,
  MAX_CARDS,
  MAX_FRAME_BYTES,
  MAX_PAYLOAD_BYTES,
  MAX_TEXT_BYTES,
} from '../../../relay-server/src/frames.ts'
import { TokenGate } from '../../../relay-server/src/tokens.ts'
import type { Chance } from '../chance.ts'
import type { Decoder } from '../fuzz.ts'
import { decoder } from '../fuzz.ts'

const U32 = 2 ** 32 - 1

function flags(chance: Chance): { announce: boolean; connect: boolean } {
  const bits = 1 + chance.below(3)
  return { announce: (bits & 1) > 0, connect: (bits & 2) > 0 }
}

const card = (chance: Chance): Buffer => chance.bytes(chance.pick([0, 72, chance.below(MAX_CARD_BYTES + 1)]))

function relayFrame(chance: Chance): Frame {
  const rendezvous = chance.bytes(32)
  const channel = chance.number(U32)
  const request = chance.number(U32)
  return chance.pick<() => Frame>([
    () => ({ kind: 'join', rendezvous, ...flags(chance), card: card(chance) }),
    () => ({ kind: 'leave', rendezvous }),
    () => ({ kind: 'lookup', request, rendezvous }),
    () => ({ kind: 'joined', rendezvous }),
    () => ({ kind: 'peer', channel, initiator: chance.oneIn(2), rendezvous }),
    () => ({ kind: 'peers', request, cards: chance.list(chance.pick([3, MAX_CARDS]), () => card(chance)) }),
    () => ({ kind: 'refused', code: chance.below(256), rendezvous, text: chance.text(40) }),
    () => ({ kind: 'data', channel, payload: chance.bytes(1 + chance.below(200)) }),
    () => ({ kind: 'credit', channel, bytes: 1 + chance.number(U32 - 1) }),
    () => ({ kind: 'close', channel }),
  ])()
}

export const RELAY_FRAMES: Decoder = decoder({
  name: 'relay frames',
  valid: (chance) => encodeFrame(relayFrame(chance)),
  odd: (chance) =>
    chance.pick<() => Buffer>([
      () => Buffer.alloc(chance.below(2)),
      () => Buffer.concat([Buffer.of(0x21), Buffer.alloc(MAX_FRAME_BYTES - 1 + chance.below(2))]),
      () => encodeFrame({ kind: 'data', channel: 1, payload: Buffer.alloc(MAX_PAYLOAD_BYTES) }),
      () =>
        Buffer.concat([
          encodeFrame({
            kind: 'join',
            rendezvous: chance.bytes(32),
            ...flags(chance),
            card: Buffer.alloc(MAX_CARD_BYTES),
          }),
          Buffer.alloc(chance.below(2)),
        ]),
      () =>
        Buffer.concat([
          encodeFrame({ kind: 'peers', request: 1, cards: Array.from({ length: MAX_CARDS }, () => Buffer.alloc(1)) }),
          Buffer.of(0),
        ]),
      () =>
        Buffer.concat([
          encodeFrame({ kind: 'peers', request: 1, cards: [] }),
          Buffer.of(MAX_CARD_BYTES + 1),
          Buffer.alloc(200),
        ]),
      () =>
        Buffer.concat([
          encodeFrame({ kind: 'refused', code: 1, rendezvous: chance.bytes(32), text: 'x'.repeat(MAX_TEXT_BYTES - 1) }),
          chance.bytes(1 + chance.below(2)),
        ]),
      () => {
        const frame = encodeFrame(relayFrame(chance))
        frame[0] = chance.below(0x26)
        return frame
      },
    ])(),
  decode: decodeFrame,
  encode: encodeFrame,
})

function busFrame(chance: Chance): BusFrame {
  const number = (): number => chance.number(bus.NUMBERS - 1)
  return chance.pick<() => BusFrame>([
    () => ({ kind: 'alive' }),
    () => ({ kind: 'bye', secret: chance.bytes(bus.ID_BYTES) }),
    () => ({ kind: 'seek', member: number(), ...flags(chance), wanted: 1 + chance.below(bus.MAX_WANTED) }),
    () => ({ kind: 'ask', request: chance.number(U32) }),
    () => ({ kind: 'offer', seeker: number(), member: number(), ...flags(chance), channel: number() }),
    () => ({ kind: 'accept', offered: number(), channel: number() }),
    () => ({ kind: 'decline', offered: number() }),
    () => ({ kind: 'gone', channel: number() }),
    () => ({
      kind: 'cards',
      request: chance.number(U32),
      cards: chance.list(chance.pick([3, MAX_CARDS]), () => card(chance)),
    }),
    () => ({ kind: 'pass', channel: number(), sequence: chance.number(U32), frame: encodeFrame(relayFrame(chance)) }),
  ])()
}

function encodeBus({ sender, frames }: BusMessage): Buffer {
  const parts = frames.flatMap((frame) =>
    frame.kind === 'pass'
      ? [bus.encodePassHeader(frame.channel, frame.sequence, frame.frame.length), frame.frame]
      : [bus.encodeBusFrame(frame)],
  )
  return Buffer.concat([bus.encodeHeader(sender), ...parts])
}

const SENDER = Buffer.alloc(bus.ID_BYTES, 5)
const alone = (frame: BusFrame): Buffer => encodeBus({ sender: SENDER, frames: [frame] })

export const BUS_MESSAGES: Decoder = decoder({
  name: 'relay cluster',
  valid: (chance) =>
    encodeBus({
      sender: chance.bytes(bus.ID_BYTES),
      frames: [busFrame(chance), ...chance.list(5, () => busFrame(chance))],
    }),
  odd: (chance) =>
    chance.pick<() => Buffer>([
      () =>
        encodeBus({
          sender: SENDER,
          frames: Array.from({ length: bus.MAX_FRAMES + chance.below(2) }, () => ({ kind: 'alive' })),
        }),
      () => (chance.oneIn(10) ? Buffer.alloc(bus.MAX_MESSAGE_BYTES + chance.below(2), 1) : bus.encodeHeader(SENDER)),
      () =>
        Buffer.concat([
          alone({ kind: 'cards', request: 1, cards: [] }).subarray(0, -1),
          Buffer.of(MAX_CARDS + chance.below(2)),
          Buffer.alloc(MAX_CARDS + 1),
        ]),
      () =>
        Buffer.concat([
          alone({ kind: 'cards', request: 1, cards: [] }).subarray(0, -1),
          Buffer.of(1, MAX_CARD_BYTES + chance.below(2)),
          Buffer.alloc(MAX_CARD_BYTES + 1),
        ]),
      () =>
        Buffer.concat([
          bus.encodeHeader(SENDER),
          bus.encodePassHeader(1, 2, MAX_FRAME_BYTES).subarray(0, -4),
          Buffer.from('00010006', 'hex'),
          Buffer.alloc(MAX_FRAME_BYTES + 1),
        ]),
      () => Buffer.concat([bus.encodeHeader(SENDER), bus.encodePassHeader(1, 2, 1).subarray(0, -1), Buffer.of(0, 1)]),
      () => alone(busFrame(chance)).subarray(0, -1),
      () => {
        const bytes = alone({ kind: 'seek', member: 1, ...flags(chance), wanted: 1 })
        bytes[bytes.length - 1 - chance.below(2)] = chance.pick([0, 4, bus.MAX_WANTED + 1])
        return bytes
      },
      () => {
        const bytes = alone({ kind: 'offer', seeker: 1, member: 2, ...flags(chance), channel: 3 })
        bytes[bytes.length - 7] = chance.pick([0, 4, 255])
        return bytes
      },
    ])(),
  decode: bus.decodeBusMessage,
  encode: encodeBus,
})

const SECRETS = [
  'an old secret of more than 32 bytes, still valid',
  'the secret of more than 32 bytes that is used now',
]
const gate = new TokenGate(SECRETS)
const base64 = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url')
const FAR = 4_000_000_000

function token(secret: string, payload: unknown, header: unknown = { alg: 'HS256' }): string {
  const text = `${base64(header)}.${base64(payload)}`
  return `${text}.${createHmac('sha256', secret).update(text).digest('base64url')}`
}

const topic = (chance: Chance): string => (chance.oneIn(4) ? '*' : chance.bytes(32).toString('hex'))

/** How a token comes: the first byte says in which header. */
const presented = (chance: Chance, text: string): Buffer =>
  chance.oneIn(2)
    ? Buffer.from(`bBearer ${text}`, 'latin1')
    : Buffer.from(`speerlog-relay.1, peerlog-token.${text}`, 'latin1')

export const TOKENS: Decoder = decoder({
  name: 'relay tokens',
  valid: (chance) =>
    presented(
      chance,
      token(chance.pick(SECRETS), {
        exp: FAR,
        topics: [topic(chance), ...chance.list(3, () => topic(chance))],
        sub: chance.text(100),
      }),
    ),
  odd(chance) {
    const topics: unknown = chance.pick<unknown>([
      ['*'],
      [],
      'x',
      [7],
      [null],
      ['*'.repeat(2)],
      ['AB'.repeat(32)],
      Array.from({ length: 65 }, () => '*'),
      undefined,
      { length: 1 },
    ])
    const exp: unknown = chance.pick<unknown>([FAR, FAR, FAR, 1, 0, -1, 1e300, '4000000000', null, undefined, {}])
    const claims = {
      exp,
      topics,
      nbf: chance.pick<unknown>([undefined, undefined, FAR, 'x']),
      sub: chance.pick<unknown>(['a', 7, null, {}]),
    }
    const payload = chance.oneIn(4) ? { exp, topics: ['*'] } : chance.oneIn(3) ? claims : { exp: FAR, topics }
    const header = chance.pick<unknown>([
      { alg: 'HS256' },
      { alg: 'HS256' },
      { alg: 'none' },
      { alg: 'HS512' },
      { alg: 'HS256', crit: ['x'] },
      [],
      null,
    ])
    return presented(
      chance,
      token(chance.pick([...SECRETS, 'a secret of more than 32 bytes that is not valid']), payload, header),
    )
  },
  async decode(bytes) {
    const text = bytes.subarray(1).toString('latin1')
    const headers = bytes[0] === 0x62 ? { authorization: text } : { 'sec-websocket-protocol': text }
    const grant = await gate.check(headers)
    if (typeof grant === 'string') return null
    grant.allows(Buffer.alloc(32))
    if (!Number.isFinite(grant.expiresAt)) throw new Error('a grant without an end')
    if (grant.subject !== undefined && typeof grant.subject !== 'string') throw new Error('a subject that is no text')
    return { subject: grant.subject }
  },
  slack: 4096,
})

const proxies = new TrustedProxies(['127.0.0.0/8', '10.0.0.0/8', '::1', 'fd00::/8'])
const ADDRESSES = [
  '127.0.0.1',
  '10.1.2.3',
  '::1',
  'fd00::1',
  '192.0.2.7:443',
  '[2001:db8::7]:80',
  '::ffff:10.0.0.1',
  '::ffff:192.0.2.1',
  'fe80::1%eth0',
  '2001:DB8:0:0:1::',
  '::ffff:1.2.3.4%lo',
  '1:2:3:4:5:6:7:8',
  '::1.2.3.4',
  'unknown',
  '_hidden',
  '',
]

export const FORWARDED: Decoder = decoder({
  name: 'forwarded addresses',
  valid: (chance) => Buffer.from(chance.list(6, () => chance.pick(ADDRESSES)).join(chance.pick([',', ', ', ' ,']))),
  decode(bytes) {
    const headers = { 'x-forwarded-for': bytes.toString('latin1') }
    const request = { headers, socket: { remoteAddress: '127.0.0.1', remotePort: 1 } } as unknown as IncomingMessage
    const { address, key } = proxies.visitor(request)
    return { address, key }
  },
  slack: 1024,
})

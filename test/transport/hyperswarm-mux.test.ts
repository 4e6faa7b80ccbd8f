import SecretStream from '@hyperswarm/secret-stream'
import { randomBytes } from 'node:crypto'
import fc from 'fast-check'
import { afterEach, describe, expect, test } from 'vitest'
import { CONNECTION_WINDOW_BYTES, MAX_MESSAGE_BYTES, MAX_UNMATCHED_CHANNELS } from '../../src/base/limits.ts'
import { AsyncQueue } from '../../src/base/async-queue.ts'
import type { Channel } from '../../src/transport/channel.ts'
import { MESSAGE_COST_BYTES } from '../../src/transport/channel.ts'
import {
  channelHash,
  channelTag,
  CLOSE,
  CREDIT,
  DATA,
  decodeFrame,
  encodeFrame,
  OPEN,
  PING,
  PONG,
} from '../../src/transport/hyperswarm/frames.ts'
import type { Frame } from '../../src/transport/hyperswarm/frames.ts'
import { Mux } from '../../src/transport/hyperswarm/mux.ts'

const streams: SecretStream[] = []
afterEach(() => {
  for (const stream of streams.splice(0)) stream.destroy()
})

async function streamPair(): Promise<{ initiator: SecretStream; responder: SecretStream }> {
  const initiator = new SecretStream(true)
  const responder = new SecretStream(false)
  type Pipes = { pipe(to: unknown): Pipes }
  ;(initiator.rawStream as unknown as Pipes).pipe(responder.rawStream).pipe(initiator.rawStream)
  for (const stream of [initiator, responder]) {
    streams.push(stream)
    stream.on('error', () => {})
  }
  await Promise.all([initiator.opened, responder.opened])
  return { initiator, responder }
}

class Side {
  readonly channels = new AsyncQueue<Channel>()
  readonly ends = new AsyncQueue<Channel>()
  readonly violations = new AsyncQueue<string>()
  readonly idle = new AsyncQueue<boolean>()
  readonly mux: Mux

  constructor(stream: SecretStream) {
    this.mux = new Mux(stream, {
      onChannel: (_, channel) => void this.channels.push(channel),
      onChannelEnd: (_, channel) => void this.ends.push(channel),
      onIdle: (acknowledged) => void this.idle.push(acknowledged),
      onViolation: (reason) => {
        this.violations.push(reason)
        stream.destroy(new Error(reason))
      },
    })
  }
}

/** A peer that writes whatever frames it likes. */
class Raw {
  readonly frames = new AsyncQueue<Frame>()
  readonly stream: SecretStream

  constructor(stream: SecretStream) {
    this.stream = stream
    stream.on('data', (bytes) => {
      const frame = decodeFrame(Buffer.from(bytes))
      if (typeof frame === 'string') throw new Error(frame)
      this.frames.push(frame)
    })
  }

  write(frame: Frame): void {
    this.stream.write(encodeFrame(frame, (length) => this.stream.alloc(length)))
  }

  tag(topic: Uint8Array): Buffer {
    return channelTag(topic, this.stream.isInitiator, this.stream.handshakeHash)
  }
}

/** An honest initiator with a live channel to a responder that may misbehave. */
async function liveChannel(): Promise<{ honest: Side; raw: Raw; channel: Channel; topic: Buffer }> {
  const { initiator, responder } = await streamPair()
  const [honest, raw, topic] = [new Side(initiator), new Raw(responder), randomBytes(32)]
  honest.mux.join(topic)
  raw.write({ type: OPEN, channel: 1, tag: raw.tag(topic) })
  expect((await raw.frames.take())?.type).toBe(OPEN)
  return { honest, raw, topic, channel: (await honest.channels.take()) as Channel }
}

const frame: fc.Arbitrary<Frame> = fc.oneof(
  fc.record({ type: fc.constant(OPEN), channel: fc.nat(), tag: bytes(32, 32) }),
  fc.record({ type: fc.constant(DATA), channel: fc.nat(), message: bytes(1, 300) }),
  fc.record({ type: fc.constant(CREDIT), channel: fc.nat(), bytes: fc.integer({ min: 1, max: 2 ** 32 - 1 }) }),
  fc.record({ type: fc.constant(CLOSE), channel: fc.nat(), reason: fc.string({ maxLength: 64 }) }),
  fc.constantFrom({ type: PING }, { type: PONG }),
)

function bytes(minLength: number, maxLength: number): fc.Arbitrary<Buffer> {
  return fc.uint8Array({ minLength, maxLength }).map((array) => Buffer.from(array))
}

describe('frames', () => {
  test('any bytes are a frame or a violation', () => {
    fc.assert(
      fc.property(bytes(0, 400), (input) => {
        const decoded = decodeFrame(input)
        if (typeof decoded !== 'string' && decoded.type !== CLOSE) {
          expect(encodeFrame(decoded, Buffer.alloc)).toEqual(input)
        }
      }),
      { numRuns: 5000 },
    )
  })

  test('what is encoded is decoded again', () => {
    fc.assert(
      fc.property(frame, (input) => {
        expect(decodeFrame(encodeFrame(input, Buffer.alloc))).toEqual(input)
      }),
    )
  })

  test.each([
    ['OPEN 1', { type: OPEN, channel: 1, tag: Buffer.alloc(32, 7) }, '0001' + '07'.repeat(32)],
    ['DATA 300', { type: DATA, channel: 300, message: Buffer.from('hi') }, '01ac026869'],
    ['CREDIT', { type: CREDIT, channel: 2, bytes: 262_144 }, '0202808010'],
    ['PING', { type: PING }, '04'],
    ['PONG', { type: PONG }, '05'],
    ['CLOSE', { type: CLOSE, channel: 127, reason: 'bye' }, '037f627965'],
  ] satisfies [string, Frame, string][])('%s is these bytes', (_, input, hex) => {
    expect(encodeFrame(input, Buffer.alloc).toString('hex')).toBe(hex)
    expect(decodeFrame(Buffer.from(hex, 'hex'))).toEqual(input)
  })

  test('tags and hashes are these bytes', () => {
    const [topic, link] = [Buffer.alloc(32, 1), Buffer.alloc(64, 2)]
    expect(channelTag(topic, true, link).toString('hex')).toMatchInlineSnapshot(
      `"4b75a4f367948c472b6ed2d7efbb1ac3b0879f6528fbd2262add11bfe103c234"`,
    )
    expect(channelTag(topic, false, link).toString('hex')).toMatchInlineSnapshot(
      `"843c9a352db7ea80166ee38e30bc4c605be9d7bb7d2c60d6c18434410287e217"`,
    )
    expect(channelHash(topic, 1, link).toString('hex')).toMatchInlineSnapshot(
      `"f0f7bd8cd7c07106d92a8c3575e69d1c7b329ca5e95180dd5dbeab9095614b67dee0b3ee9d2330a739a1282b0f311462eabada67941ebc38ea155b69354767b7"`,
    )
  })

  test.each([
    '',
    '00',
    '0100',
    '018000aa',
    '01ffffffffffaa',
    '0001aa',
    '02010000',
    '020100',
    '0400',
    '0901aa',
    '0301c328',
  ])('%s is a violation', (hex) => expect(decodeFrame(Buffer.from(hex, 'hex'))).toBeTypeOf('string'))

  test('a long reason is cut between characters', () => {
    const decoded = decodeFrame(encodeFrame({ type: CLOSE, channel: 1, reason: '€'.repeat(100) }, Buffer.alloc))
    expect(decoded).toEqual({ type: CLOSE, channel: 1, reason: '€'.repeat(85) })
  })
})

describe('channels', () => {
  test('two sides that know a topic share a channel, whoever joined first', async () => {
    for (const late of ['initiator', 'responder'] as const) {
      const pair = await streamPair()
      const sides = { initiator: new Side(pair.initiator), responder: new Side(pair.responder) }
      const early = late === 'initiator' ? 'responder' : 'initiator'
      const [topic, other] = [randomBytes(32), randomBytes(32)]
      sides[early].mux.join(topic)
      sides[early].mux.join(other)
      sides[late].mux.join(topic)
      const [a, b] = await Promise.all([sides.initiator.channels.take(), sides.responder.channels.take()])
      expect(a?.handshakeHash).toEqual(b?.handshakeHash)
      expect([a?.initiator, b?.initiator]).toEqual([true, false])
      await a?.send(Buffer.from('hello'))
      expect(await b?.receive()).toEqual(Buffer.from('hello'))
      expect(sides.initiator.violations.size + sides.responder.violations.size).toBe(0)
    }
  })

  test('a closed channel is offered anew, and left and joined again at once it is still one channel', async () => {
    const pair = await streamPair()
    const [a, b, topic] = [new Side(pair.initiator), new Side(pair.responder), randomBytes(32)]
    a.mux.join(topic)
    b.mux.join(topic)
    await (await a.channels.take())?.close('again')
    expect(await (await b.channels.take())?.receive()).toBeNull()
    const [second] = [await a.channels.take(), await b.channels.take()]
    for (let i = 0; i < 100; i++) second?.send(randomBytes(60_000)).catch(() => {})
    for (const side of [b, a]) {
      const left = side.mux.leave(topic, 'leaving')
      side.mux.join(topic)
      await left
      const [here, there] = [await a.channels.take(), await b.channels.take()]
      expect(here?.handshakeHash).toEqual(there?.handshakeHash)
    }
    expect(a.violations.size + b.violations.size).toBe(0)
  })

  test('more topics than may be offered at once are offered as the others are answered', async () => {
    const pair = await streamPair()
    const [a, b] = [new Side(pair.initiator), new Side(pair.responder)]
    const topics = Array.from({ length: MAX_UNMATCHED_CHANNELS + 20 }, () => randomBytes(32))
    for (const topic of topics) a.mux.join(topic)
    for (const topic of topics) b.mux.join(topic)
    for (let i = 0; i < topics.length; i++) await Promise.all([a.channels.take(), b.channels.take()])
    expect(a.violations.size + b.violations.size).toBe(0)
  })

  test('a link whose other end does not answer is given up, one that answers is not', async () => {
    const [silent, answering] = [await streamPair(), await streamPair()]
    const [given, kept] = [new Side(silent.initiator), new Side(answering.initiator)]
    silent.responder.on('data', () => {})
    const raw = new Raw(answering.responder)
    expect(await raw.frames.take()).toEqual({ type: PING })
    raw.write({ type: PONG })
    raw.write({ type: PING })
    expect(await raw.frames.take()).toEqual({ type: PONG })
    expect(await given.violations.take()).toBe('no answer')
    expect(kept.violations.size).toBe(0)
  })

  test('the loss of the stream ends every channel', async () => {
    const { channel, raw, honest } = await liveChannel()
    const pending = channel.receive()
    raw.stream.destroy()
    expect(await pending).toBeNull()
    expect(await honest.ends.take()).toBe(channel)
    await expect(channel.send(randomBytes(1))).rejects.toMatchObject({ code: 'CLOSED' })
  })
})

describe('limits', () => {
  test('a message without credit is a violation, one on the last byte of credit is not', async () => {
    const { honest, raw, channel } = await liveChannel()
    raw.write({ type: DATA, channel: 1, message: Buffer.alloc(CONNECTION_WINDOW_BYTES - MESSAGE_COST_BYTES - 1, 1) })
    raw.write({ type: DATA, channel: 1, message: Buffer.alloc(MAX_MESSAGE_BYTES, 2) })
    raw.write({ type: DATA, channel: 1, message: Buffer.of(3) })
    expect(await honest.violations.take()).toBe('a message without credit')
    expect((await channel.receive())?.[0]).toBe(1)
    expect((await channel.receive())?.length).toBe(MAX_MESSAGE_BYTES)
    expect(await channel.receive()).toBeNull()
  })

  test('a window holds a bounded number of tiny messages too', async () => {
    const { honest, raw } = await liveChannel()
    const count = Math.ceil(CONNECTION_WINDOW_BYTES / (1 + MESSAGE_COST_BYTES))
    for (let i = 0; i < count; i++) raw.write({ type: DATA, channel: 1, message: Buffer.of(1) })
    raw.write({ type: DATA, channel: 1, message: Buffer.of(1) })
    expect(await honest.violations.take()).toBe('a message without credit')
  })

  test('credit comes back as messages are taken', async () => {
    const { raw, channel, honest } = await liveChannel()
    // Two of them are more than a quarter of the window, one is not.
    const bytes = Math.floor(CONNECTION_WINDOW_BYTES / 6)
    for (let i = 0; i < 4; i++) raw.write({ type: DATA, channel: 1, message: Buffer.alloc(bytes, i) })
    for (let i = 0; i < 4; i++) expect((await channel.receive())?.[0]).toBe(i)
    expect(await raw.frames.take()).toEqual({ type: CREDIT, channel: 1, bytes: 2 * (bytes + MESSAGE_COST_BYTES) })
    expect(honest.violations.size).toBe(0)
  })

  test('credit beyond the window is a violation', async () => {
    const { honest, raw } = await liveChannel()
    raw.write({ type: CREDIT, channel: 1, bytes: 1 })
    expect(await honest.violations.take()).toContain('beyond the window')
  })

  test(`${MAX_UNMATCHED_CHANNELS} offers of unknown topics are kept, one more is a violation`, async () => {
    const { initiator, responder } = await streamPair()
    const [honest, raw, topic] = [new Side(initiator), new Raw(responder), randomBytes(32)]
    for (let i = 1; i < MAX_UNMATCHED_CHANNELS; i++) raw.write({ type: OPEN, channel: i, tag: randomBytes(32) })
    raw.write({ type: OPEN, channel: 99, tag: raw.tag(topic) })
    raw.write({ type: CLOSE, channel: 1, reason: '' })
    expect(await raw.frames.take()).toEqual({ type: CLOSE, channel: 1, reason: '' })
    honest.mux.join(topic)
    expect(await raw.frames.take()).toMatchObject({ type: OPEN, channel: 99 })
    for (let i = 0; i < 3; i++) raw.write({ type: OPEN, channel: 100 + i, tag: randomBytes(32) })
    expect(await honest.violations.take()).toContain('too many topics')
  })

  test.each<[string, (raw: Raw, topic: Buffer) => Frame[]]>([
    ['a frame for no channel', () => [{ type: DATA, channel: 5, message: Buffer.of(1) }]],
    ['a frame for no channel', () => [{ type: CREDIT, channel: 5, bytes: 1 }]],
    ['a frame for no channel', () => [{ type: CLOSE, channel: 5, reason: '' }]],
    ['a channel number used twice', (raw) => [{ type: OPEN, channel: 1, tag: raw.tag(randomBytes(32)) }]],
    ['a second channel for one topic', (raw, topic) => [{ type: OPEN, channel: 2, tag: raw.tag(topic) }]],
  ])('%s is a violation', async (violation, frames) => {
    const { honest, raw, topic } = await liveChannel()
    for (const each of frames(raw, topic)) raw.write(each)
    expect(await honest.violations.take()).toBe(violation)
  })

  test.each<[string, (raw: Raw, topic: Buffer) => Frame]>([
    ['an answer without knowledge of the topic', () => ({ type: OPEN, channel: 1, tag: randomBytes(32) })],
    // What the responder itself sent, sent back.
    [
      'an answer without knowledge of the topic',
      (raw, topic) => ({ type: OPEN, channel: 1, tag: channelTag(topic, false, raw.stream.handshakeHash) }),
    ],
    ['an answer to no offer', (raw, topic) => ({ type: OPEN, channel: 2, tag: raw.tag(topic) })],
    ['a frame before the channel was opened', () => ({ type: DATA, channel: 1, message: Buffer.of(1) })],
  ])('to a responder, %s is a violation', async (violation, answer) => {
    const { initiator, responder } = await streamPair()
    const [honest, raw, topic] = [new Side(responder), new Raw(initiator), randomBytes(32)]
    honest.mux.join(topic)
    expect(await raw.frames.take()).toMatchObject({ type: OPEN, channel: 1 })
    raw.write(answer(raw, topic))
    expect(await honest.violations.take()).toBe(violation)
    expect(honest.channels.size).toBe(0)
  })

  test('no sequence of frames or bytes throws', async () => {
    const few = fc.integer({ min: 1, max: 4 })
    const anything = fc.oneof(
      bytes(1, 60),
      frame.map((each) => encodeFrame(each, Buffer.alloc)),
      fc.tuple(frame, few).map(([each, channel]) => encodeFrame({ ...each, channel } as Frame, Buffer.alloc)),
    )
    await fc.assert(
      fc.asyncProperty(fc.array(anything, { maxLength: 30 }), fc.boolean(), async (frames, toInitiator) => {
        const { initiator, responder } = await streamPair()
        const honest = new Side(toInitiator ? initiator : responder)
        const raw = toInitiator ? responder : initiator
        honest.mux.join(Buffer.alloc(32))
        for (const each of frames) raw.write(each)
        const ended = new Promise<void>((resolve) => (toInitiator ? initiator : responder).once('close', resolve))
        raw.end()
        await ended
        expect(honest.channels.size).toBe(0)
      }),
      { numRuns: 200 },
    )
  })
})

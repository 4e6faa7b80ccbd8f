import { afterEach, describe, expect, it, vi } from 'vitest'
import {
  ACK_TIMEOUT_MS,
  ADMISSION_TIMEOUT_MS,
  CONTROL_BURST,
  FRAME_TARGET_BYTES,
  MAX_EVENT_BYTES,
  MAX_FORK_PROOF_BYTES,
  MAX_MESSAGE_BYTES,
  MAX_PULLS,
  MAX_PUSH_BYTES,
  MAX_USELESS_BYTES,
  REPEAT_BURST_BYTES,
  REPEAT_BYTES_PER_SECOND,
  SERVE_START_BYTES,
  SERVE_WINDOW_BYTES,
  STALL_TIMEOUT_MS,
  USELESS_RUN_BYTES,
} from '../../src/base/limits.ts'
import { hash } from '../../src/base/hash.ts'
import { admissionProof } from '../../src/broadcast/admission.ts'
import * as messages from '../../src/broadcast/messages.ts'
import { encodeForkProof } from '../../src/event/fork.ts'
import type { Run } from '../../src/event/run.ts'
import { makeLog, plainBody, testAuthor, varint } from '../arbitraries.ts'
import { foreignLog, headOf, Stranger, withBadSignature } from './stranger.ts'
import type { Node } from './world.ts'
import { keys, World } from './world.ts'

const worlds: World[] = []
afterEach(() => {
  for (const world of worlds.splice(0)) world.close()
  vi.restoreAllMocks()
})

function honest(events = 0): { world: World; node: Node; stranger: Stranger } {
  const world = new World()
  worlds.push(world)
  const node = world.node()
  if (events > 0) node.append(events)
  return { world, node, stranger: new Stranger(world, node) }
}

const log = foreignLog(50, 10)
const oneHead = headOf(log)
const someRange = { author: log.keys.publicKey, from: 0, want: 'events' } as const
const examples = {
  root: messages.encodeRoot(Buffer.alloc(32)),
  heads: messages.encodeHeads('last', []),
  news: messages.encodeHeads('news', [oneHead]),
  request: messages.encodeRequest([someRange]),
  frame: messages.encodeFrame([log.run(0, 10)]),
  ack: messages.encodeAck(1),
  fork: messages.encodeFork(Buffer.alloc(300)),
  ping: messages.PING_MESSAGE,
  lazy: messages.LAZY_MESSAGE,
  eager: messages.EAGER_MESSAGE,
  mark: messages.encodeMark(Buffer.alloc(16)),
}

describe('a peer that does not know the database', () => {
  /** Neither the frontier nor any event nor what we think of either may be told to it. */
  function expectToldNothing(stranger: Stranger): void {
    expect(new Set(stranger.readTypes())).toEqual(new Set(['hello', 'goodbye']))
    expect(stranger.end.sentBytes).toBeLessThan(70)
    expect(stranger.end.events.map(({ type }) => type)).toEqual(['end'])
  }

  it.each(Object.entries(examples))('is turned away for saying %s', (_, bytes) => {
    const { stranger } = honest(5)
    stranger.send(bytes).expectEnd('protocol-violation', /before it was admitted/)
    expectToldNothing(stranger)
  })

  it('is turned away for a proof made with another key', () => {
    const { stranger } = honest(5)
    const proof = admissionProof(Buffer.alloc(32, 1), stranger.handshakeHash, true)
    stranger.send(messages.encodeHello(proof)).expectEnd('not-admitted')
    expectToldNothing(stranger)
  })

  it('is turned away for our own proof, sent back', () => {
    const { stranger } = honest(5)
    stranger.send(stranger.end.sent[0] as Buffer).expectEnd('not-admitted')
    expectToldNothing(stranger)
  })

  it('is turned away for a proof recorded on another connection, of either side', () => {
    const { world, node, stranger } = honest(5)
    const other = new Stranger(world, node)
    stranger.send(messages.encodeHello(other.proof)).expectEnd('not-admitted')
    const third = new Stranger(world, node)
    third.send(other.end.sent[0] as Buffer).expectEnd('not-admitted')
    expectToldNothing(stranger)
    expectToldNothing(third)
  })

  it('is turned away for another version, and told so', () => {
    const { stranger } = honest(5)
    const hello = messages.encodeHello(stranger.proof)
    hello[1] = messages.PROTOCOL_VERSION + 1
    stranger.send(hello).expectEnd('other-version')
    expectToldNothing(stranger)
  })

  it('is given a limited time', () => {
    const { stranger, world } = honest(5)
    world.pass(ADMISSION_TIMEOUT_MS - 1)
    stranger.end.session.wake(world.now)
    stranger.expectFine()
    expect(stranger.end.session.wakeAt).toBe(world.now + 1)
    stranger.linger(1000)
    // No offence: its hello may have been lost on a connection that is dead in one direction.
    stranger.expectEnd('silence', /in time/)
    expectToldNothing(stranger)
  })

  it('may say goodbye', () => {
    const { stranger } = honest(5)
    stranger.send(messages.encodeGoodbye(1, 'not-admitted'))
    expect(stranger.end.ended).toMatchObject({ reason: 'not-admitted', byPeer: true, farewell: null })
    expect(stranger.readTypes()).toEqual(['hello'])
  })
})

describe('a message out of turn', () => {
  it.each(['heads', 'news', 'request', 'frame', 'ack', 'fork', 'lazy', 'eager'] as const)(
    '%s before the roots',
    (name) => {
      const { stranger, node } = honest(5)
      stranger.hello().send(examples[name]).expectEnd('protocol-violation')
      expect(node.store.position).toBe(5)
    },
  )

  it.each(['root', 'news', 'request', 'frame', 'ack', 'fork', 'lazy', 'eager'] as const)(
    '%s before the heads',
    (name) => {
      const { stranger, node } = honest(5)
      stranger.hello().send(examples.root, examples[name]).expectEnd('protocol-violation')
      expect(node.store.position).toBe(5)
    },
  )

  it.each(['root', 'heads'] as const)('%s twice', (name) => {
    honest(5).stranger.meet().send(examples[name]).expectEnd('protocol-violation')
  })

  it.each(['root', 'heads'] as const)('%s after equal roots', (name) => {
    honest(5).stranger.meetEqual().send(examples[name]).expectEnd('protocol-violation')
  })

  it('hello twice, at any time', () => {
    const { stranger } = honest(5)
    stranger.hello().hello().expectEnd('protocol-violation', /twice/)
    honest(5).stranger.meet().hello().expectEnd('protocol-violation', /twice/)
  })

  it('a silence instead of root or heads', () => {
    const first = honest(5)
      .stranger.hello()
      .linger(STALL_TIMEOUT_MS + 1000)
    first.expectEnd('stalled', /did not say what it holds/)
    const second = honest(5)
      .stranger.hello()
      .send(examples.root)
      .linger(STALL_TIMEOUT_MS + 1000)
    second.expectEnd('stalled', /did not say what it holds/)
    // Endless parts that say nothing do not help.
    const third = honest(5).stranger.hello().send(examples.root)
    for (let i = 0; i < 30 && third.end.ended === null; i++) third.send(messages.encodeHeads('more', [])).linger(1000)
    third.expectEnd('stalled')
  })
})

describe('malformed', () => {
  const head = (length: number, start = 0): Buffer =>
    Buffer.concat([Buffer.alloc(32, 3), varint(length), varint(start), Buffer.alloc(8, 1)])
  const wide = foreignLog(51, 3, Buffer.alloc(400_000, 7))
  const cases: [string, Buffer][] = [
    ['nothing', Buffer.alloc(0)],
    ['type 0', Buffer.of(0)],
    ['type 15', Buffer.of(15)],
    ['type 255', Buffer.alloc(100, 255)],
    ['a hello cut short', messages.encodeHello(Buffer.alloc(32)).subarray(0, 33)],
    ['a hello with more', Buffer.concat([messages.encodeHello(Buffer.alloc(32)), Buffer.of(0)])],
    ['a root cut short', examples.root.subarray(0, 32)],
    ['a root with five marks', messages.encodeRoot(Buffer.alloc(32), Array(5).fill(Buffer.alloc(16)))],
    ['a root with a mark cut short', messages.encodeRoot(Buffer.alloc(32), [Buffer.alloc(16)]).subarray(0, -1)],
    ['a mark cut short', examples.mark.subarray(0, -1)],
    ['a log that starts at its end', Buffer.concat([Buffer.of(4, 2, 1), head(5, 5)])],
    ['heads of an unknown kind', Buffer.of(4, 3, 0)],
    ['more heads than are there', Buffer.of(4, 2, 2, ...head(1))],
    ['fewer heads than are there', Buffer.concat([Buffer.of(4, 2, 1), head(1), head(1)])],
    ['1001 heads', Buffer.concat([Buffer.of(4, 2), varint(1001), ...Array.from({ length: 1001 }, () => head(1))])],
    ['2^53 - 1 heads', Buffer.concat([Buffer.of(4, 2), varint(Number.MAX_SAFE_INTEGER)])],
    ['an empty log', Buffer.concat([Buffer.of(4, 2, 1), head(0)])],
    ['a log longer than any', Buffer.concat([Buffer.of(4, 2, 1), head(2 ** 48)])],
    ['a length in a longer form', Buffer.concat([Buffer.of(4, 2, 1), Buffer.alloc(32), varint(5, 1), Buffer.alloc(9)])],
    ['1025 ranges', Buffer.concat([Buffer.of(5), varint(1025), ...Array(1025).fill(Buffer.alloc(34))])],
    ['an unknown want', Buffer.concat([Buffer.of(5, 1), Buffer.alloc(33), Buffer.of(4)])],
    ['a range beyond every log', Buffer.concat([Buffer.of(5, 1), Buffer.alloc(32), varint(2 ** 48), Buffer.of(0)])],
    ['a frame of nothing', Buffer.of(6)],
    ['a frame cut short', examples.frame.subarray(0, -1)],
    ['a frame with more', Buffer.concat([examples.frame, Buffer.of(1)])],
    ['a run of more than 1 MiB', messages.encodeFrame([wide.run(0, 3)])],
    ['a run that claims 4097 events', Buffer.concat([Buffer.of(6), Buffer.alloc(34), varint(4097), Buffer.alloc(200)])],
    ['513 runs', messages.encodeFrame(Array<Run>(513).fill(log.run(0, 1)))],
    ['an ack in a longer form', Buffer.of(7, 0x81, 0)],
    ['a fork proof that is too long', messages.encodeFork(Buffer.alloc(MAX_FORK_PROOF_BYTES + 1))],
    ['a ping with more', Buffer.of(9, 0)],
    ['1001 heads that are asked for', messages.encodeTell(true, Array(1001).fill(Buffer.alloc(16)))],
    ['heads asked for in an unknown way', Buffer.of(14, 2, 0)],
    ['a reason that is too long', messages.encodeGoodbye(0, 'x'.repeat(257))],
    ['a reason that is no text', Buffer.of(2, 0, 1, 0xff)],
    ['4 MiB of nothing', Buffer.alloc(MAX_MESSAGE_BYTES)],
  ]

  it.each(cases)('%s ends the session, before and after admission', (_, bytes) => {
    const before = honest(5)
    before.stranger.send(bytes).expectEnd('protocol-violation', /malformed/)
    const after = honest(5)
    after.stranger
      .meet()
      .send(bytes)
      .expectEnd('protocol-violation', /malformed/)
    expect(after.node.store.position).toBe(5)
  })
})

describe('a member that lies about what it holds', () => {
  it('and never delivers is let go', () => {
    const { stranger, node } = honest(5)
    stranger.meet([{ ...oneHead, length: 2 ** 48 - 1 }])
    expect(stranger.readTypes()).toContain('request')
    expect(node.claims.size).toBe(1)
    expect(stranger.end.session.inSync).toBe(false)
    stranger.linger(STALL_TIMEOUT_MS + 2000).expectEnd('stalled', /had announced/)
  })

  it('and delivers something else instead is let go as well', () => {
    const { stranger } = honest(5)
    stranger.meet([{ ...oneHead, length: 1000 }])
    const other = foreignLog(52, 200)
    for (let i = 0; i < 30 && stranger.end.ended === null; i++) {
      stranger.send(messages.encodeFrame([other.run(i, i + 1)])).linger(1000)
    }
    stranger.expectEnd('stalled')
  })

  it('cannot keep a log from being pulled elsewhere, even while it drips', () => {
    const { world, stranger, node } = honest(1)
    const author = world.node()
    author.append(1000)
    const own = foreignLog(53, 100)
    const lie = { author: Buffer.from(author.store.author, 'hex'), length: 5000, start: 0, tag: Buffer.alloc(8) }
    stranger.meet([lie, headOf(own)])
    world.meet(node, author)
    let drip = 0
    const from = world.now
    while (node.lengthOf(author) < 1000) {
      stranger.send(messages.encodeFrame([own.run(drip, drip + 1)]))
      drip++
      world.pass(1000)
    }
    stranger.expectFine()
    expect(world.now - from).toBeLessThan(8000)
  })

  it('cannot make us ask for more than so many ranges at once', () => {
    const { stranger } = honest(1)
    const heads = Array.from({ length: 1000 }, (_, i) => ({ ...oneHead, author: hash(Buffer.from(`${i}`)) }))
    stranger.meet(heads)
    expect(stranger.ranges()).toHaveLength(MAX_PULLS)
  })

  it('cannot fill the memory with logs', () => {
    const { stranger } = honest(1)
    stranger.hello().send(examples.root)
    for (let part = 0; part < 200 && stranger.end.ended === null; part++) {
      const heads = Array.from({ length: 1000 }, (_, i) => ({ ...oneHead, author: hash(Buffer.from(`${part} ${i}`)) }))
      stranger.send(messages.encodeHeads('more', heads))
      stranger.world.now += 10
    }
    stranger.expectEnd('flood', /more logs/)
  })

  it('about the past cannot make us ask for what we have', () => {
    const { stranger, node } = honest(5)
    const ours = node.store.log(node.store.author)
    if (ours === undefined) throw new Error('no log')
    stranger.meetEqual()
    stranger.readTypes()
    for (let length = 1; length < 5; length++) {
      stranger.send(messages.encodeHeads('news', [{ author: ours.author, length, start: 0, tag: Buffer.alloc(8) }]))
    }
    expect(stranger.readTypes()).toEqual([])
  })
})

describe('a member that sends', () => {
  it('peaks that nobody asked for is turned away', () => {
    const { stranger } = honest(5)
    stranger.meet([oneHead]).send(messages.encodeFrame([log.run(4, 10, true)]))
    stranger.expectEnd('protocol-violation', /peaks/)
  })

  it('peaks twice is turned away', () => {
    const { stranger, node } = honest(0)
    node.store.ingest([log.run(0, 10)])
    stranger.meet([{ ...oneHead, tag: Buffer.alloc(8, 9) }])
    expect(stranger.ranges()).toMatchObject([{ from: 10, want: 'peaks' }])
    stranger.send(messages.encodeFrame([log.run(10, 10, true)])).expectFine()
    stranger.send(messages.encodeFrame([log.run(10, 10, true)])).expectEnd('protocol-violation', /peaks/)
  })

  it('events that nobody signed is turned away: at once at the beginning of a log', () => {
    const { stranger, node } = honest(5)
    stranger.meet().send(messages.encodeFrame([withBadSignature(log.run(0, 10))]))
    stranger.expectEnd('invalid-events')
    expect(node.store.position).toBe(5)
  })

  it('events that nobody signed is asked for its peaks, once, and turned away for them', () => {
    const { stranger, node } = honest(5)
    node.store.ingest([log.run(0, 5)])
    stranger.meetEqual()
    stranger.readTypes()
    const ingest = vi.spyOn(node.store, 'ingest')
    const bad = messages.encodeFrame([withBadSignature(log.run(5, 8))])
    for (let i = 0; i < 50; i++) stranger.send(bad)
    const said = stranger.read()
    expect(said.filter(({ type }) => type === 'request')).toMatchObject([{ ranges: [{ from: 5, want: 'peaks' }] }])
    expect(said.filter(({ type }) => type === 'ack')).toHaveLength(50)
    // Only the first cost a signature check.
    expect(ingest).toHaveBeenCalledTimes(1)
    stranger.send(messages.encodeFrame([withBadSignature(log.run(5, 8, true))]))
    stranger.expectEnd('invalid-events')
    expect(node.store.position).toBe(10)
  })

  it('events that nobody signed, and then keeps quiet, is let go', () => {
    const { stranger, node } = honest(5)
    node.store.ingest([log.run(0, 5)])
    stranger.meetEqual().send(messages.encodeFrame([withBadSignature(log.run(5, 8))]))
    stranger.linger(STALL_TIMEOUT_MS + 2000).expectEnd('stalled')
  })

  it('somebody else’s peaks proves nothing against the author', () => {
    const { stranger, node } = honest(0)
    node.store.ingest([log.run(0, 5)])
    stranger.meet([{ ...headOf(log, 5), tag: Buffer.alloc(8, 9) }])
    const peaks = Buffer.alloc(64, 5)
    stranger.send(messages.encodeFrame([{ ...log.run(5, 8), peaks }])).expectEnd('invalid-events')
    expect(node.store.log(log.keys.publicKey.toString('hex'))?.fork).toBe(null)
  })

  it('events of a database with the same authors is turned away', () => {
    const { stranger } = honest(5)
    const other = makeLog([plainBody()], { keys: testAuthor(54), databaseTag: Buffer.alloc(32, 1) })
    stranger
      .meet()
      .send(messages.encodeFrame([other.run(0, 1)]))
      .expectEnd('invalid-events')
  })

  it('what we have, over and over, is told to be lazy and turned away at last', () => {
    const { stranger, node } = honest(0)
    const big = foreignLog(55, 1, Buffer.alloc(1_000_000, 1))
    node.store.ingest([big.run(0, 1)])
    stranger.meetEqual()
    const frame = messages.encodeFrame([big.run(0, 1)])
    let sent = 0
    while (stranger.end.ended === null && sent < 100_000_000) {
      stranger.send(frame)
      sent += frame.length
    }
    stranger.expectEnd('flood')
    expect(sent).toBeGreaterThan(MAX_USELESS_BYTES)
    expect(sent).toBeLessThan(MAX_USELESS_BYTES + 2_100_000)
    expect(stranger.readTypes().filter((type) => type === 'lazy')).toHaveLength(1)
  })

  it('something new now and then is turned away for the rest all the same', () => {
    const { stranger, node } = honest(0)
    const big = foreignLog(55, 1, Buffer.alloc(1_000_000, 1))
    const small = foreignLog(56, 200)
    node.store.ingest([big.run(0, 1)])
    stranger.meetEqual()
    let rounds = 0
    while (stranger.end.ended === null && rounds < 100) {
      stranger.send(messages.encodeFrame([big.run(0, 1), small.run(rounds, rounds + 1)]))
      rounds++
    }
    stranger.expectEnd('flood')
  })

  it('events after a gap is asked for what is missing', () => {
    const { stranger } = honest(5)
    stranger.meet().send(messages.encodeFrame([log.run(4, 6)]))
    expect(stranger.ranges()).toMatchObject([{ from: 0 }])
    stranger.linger(STALL_TIMEOUT_MS + 2000).expectEnd('stalled')
  })

  it('acks for what it was not sent is turned away', () => {
    honest(5)
      .stranger.meet()
      .send(messages.encodeAck(1))
      .expectEnd('protocol-violation', /acknowledged/)
    honest(5)
      .stranger.meet()
      .send(messages.encodeAck(0))
      .expectEnd('protocol-violation', /acknowledged/)
    const { stranger, node } = honest(5)
    const ask = messages.encodeRequest([{ author: Buffer.from(node.store.author, 'hex'), from: 0, want: 'events' }])
    stranger.meet().send(ask, messages.encodeAck(1)).expectFine()
    stranger.send(messages.encodeAck(1)).expectEnd('protocol-violation', /acknowledged/)
  })

  it.each(['ping', 'lazy', 'eager', 'request', 'news'] as const)('%s without end is turned away', (name) => {
    const { stranger } = honest(5)
    stranger.meetEqual()
    for (let i = 0; i < CONTROL_BURST + 10; i++) stranger.send(examples[name])
    stranger.expectEnd('flood', /control/)
    expect(stranger.end.sent.length).toBeLessThan(20)
  })

  it('control messages at a steady pace is fine', () => {
    const { stranger } = honest(5)
    stranger.meetEqual()
    for (let i = 0; i < 20_000; i++) {
      stranger.world.now += 5
      stranger.send(examples.ping)
    }
    stranger.expectFine()
  })
})

describe('a member that wastes our time', () => {
  it('with events after a gap makes no progress, and is let go', () => {
    const { stranger, node } = honest(5)
    const long = foreignLog(57, 60)
    stranger.meet([{ ...headOf(long), length: 1_000_000 }])
    for (let i = 1; i < 60 && stranger.end.ended === null; i++) {
      stranger.send(messages.encodeFrame([long.run(i, i + 1)])).linger(1000)
    }
    stranger.expectEnd('stalled', /had announced/)
    expect(node.store.position).toBe(5)
  })

  it('with tiny events that are here is a flooder long before it has sent 16 MiB', () => {
    const { stranger, node } = honest(0)
    const small = foreignLog(58, 1)
    node.store.ingest([small.run(0, 1)])
    stranger.meetEqual()
    const frame = messages.encodeFrame([small.run(0, 1)])
    let sent = 0
    while (stranger.end.ended === null && sent < MAX_USELESS_BYTES) {
      stranger.send(frame)
      sent += frame.length
    }
    stranger.expectEnd('flood', /no use/)
    expect(sent / frame.length).toBeLessThan(MAX_USELESS_BYTES / USELESS_RUN_BYTES)
  })

  it('with what waits for an answer of its own is a flooder too', () => {
    const { stranger, node } = honest(0)
    const big = foreignLog(59, 3, Buffer.alloc(500_000, 1))
    node.store.ingest([big.run(0, 1)])
    stranger.meetEqual()
    const bad = messages.encodeFrame([withBadSignature(big.run(1, 3))])
    for (let i = 0; i < 100 && stranger.end.ended === null; i++) stranger.send(bad)
    stranger.expectEnd('flood')
  })

  it('asking for the same for ever is sent it once more, and then slowly', () => {
    const { world, node, stranger } = honest(0)
    for (let i = 0; i < 20; i++) node.append(1, Buffer.alloc(400_000, i))
    const author = Buffer.from(node.store.author, 'hex')
    const ask = messages.encodeRequest([{ author, from: 0, want: 'events' }])
    const dodges = [5, 2 ** 47, 0].map((from) => messages.encodeRequest([{ author, from, want: 'events' }]))
    stranger.meet()
    const seconds = 60
    for (let i = 0; i < seconds * 10; i++) {
      stranger.send(...(i % 7 === 0 ? dodges : [ask]))
      const frames = stranger.read().filter(({ type }) => type === 'frame').length
      if (frames > 0) stranger.send(messages.encodeAck(frames))
      world.pass(100)
      stranger.end.session.wake(world.now)
      stranger.end.pump()
    }
    stranger.expectFine()
    const logBytes = 20 * 400_000
    expect(stranger.end.sentBytes).toBeGreaterThan(logBytes + REPEAT_BURST_BYTES)
    const slowly = (seconds + 1) * REPEAT_BYTES_PER_SECOND
    expect(stranger.end.sentBytes).toBeLessThan(1.1 * logBytes + REPEAT_BURST_BYTES + slowly + SERVE_WINDOW_BYTES)
  })
})

describe('a database that has all the logs that it may', () => {
  function full(): { world: World; node: Node; stranger: Stranger } {
    const world = new World()
    worlds.push(world)
    const node = world.node(1, 0, ':memory:', { maxLogs: 3 })
    node.append(1)
    expect(node.store.ingest([foreignLog(100, 1).run(0, 1), foreignLog(101, 1).run(0, 1)])).toEqual([
      'stored',
      'stored',
    ])
    return { world, node, stranger: new Stranger(world, node) }
  }

  it('wants no more of them, and blames nobody who has more', () => {
    const { stranger } = full()
    const heads = Array.from({ length: 1000 }, (_, i) => ({ ...oneHead, author: hash(Buffer.from(`${i}`)) }))
    stranger.meet(heads)
    for (let i = 0; i < 200; i++) {
      stranger.send(messages.encodeHeads('news', heads)).linger(1000)
    }
    stranger.expectFine()
    expect(stranger.ranges()).toEqual([])
    expect(stranger.end.session.inSync).toBe(false)
  })

  it('goes on with those that it has', () => {
    const { stranger, node } = full()
    const known = foreignLog(100, 10)
    stranger.meet([headOf(known), oneHead])
    expect(stranger.ranges()).toMatchObject([{ from: 1, author: known.keys.publicKey }])
    stranger.send(messages.encodeFrame([known.run(1, 10)])).expectFine()
    node.append(3)
    expect(node.store.position).toBe(3 + 9 + 3)
  })

  it('takes whoever pushes others for a flooder in the end', () => {
    const { stranger, node } = full()
    stranger.meet()
    let pushed = 0
    for (; pushed < 20_000 && stranger.end.ended === null; pushed++) {
      stranger.send(messages.encodeFrame([foreignLog(200 + (pushed % 50), 1).run(0, 1)]))
    }
    stranger.expectEnd('flood', /no use/)
    expect(pushed).toBeGreaterThan(1000)
    expect(node.store.logs()).toHaveLength(3)
  })

  it('takes no forks of others either', () => {
    const { stranger, node } = full()
    const [a, b] = [foreignLog(300, 3, '1'), foreignLog(300, 3, '2')]
    const proof = encodeForkProof(a.run(1, 3, true), b.run(1, 3, true))
    expect(node.store.ingestForkProof(proof)).toBe(null)
    stranger.meet().send(messages.encodeFork(proof)).expectFine()
    expect(node.store.logs()).toHaveLength(3)
  })
})

describe('fork proofs', () => {
  const a = foreignLog(60, 4, '1')
  const b = foreignLog(60, 4, '2')
  const other = foreignLog(61, 4, '3')
  const valid = encodeForkProof(a.run(2, 4, true), b.run(2, 3, true))
  const elsewhere = (data: string): Run =>
    makeLog(
      [1, 2, 3].map((i) => plainBody({ time: i, data: Buffer.from(data) })),
      {
        keys: testAuthor(60),
        databaseTag: Buffer.alloc(32, 1),
      },
    ).run(2, 3, true)

  it.each([
    ['of zeros', Buffer.alloc(300)],
    ['of nothing', Buffer.alloc(0)],
    ['of a stub', Buffer.alloc(31, 1)],
    ['of one history, twice', encodeForkProof(a.run(2, 4, true), a.run(2, 3, true))],
    ['of two authors', encodeForkProof(a.run(2, 4, true), other.run(2, 3, true))],
    ['from two places', encodeForkProof(a.run(2, 4, true), b.run(1, 3, true))],
    ['without peaks', encodeForkProof(a.run(2, 4), b.run(2, 3, true))],
    ['with a bad signature', encodeForkProof(a.run(2, 4, true), withBadSignature(b.run(2, 3, true)))],
    ['of another database', encodeForkProof(elsewhere('1'), elsewhere('2'))],
    ['with more after it', Buffer.concat([valid, Buffer.of(0)])],
  ])('%s convict only who sent them', (_, proof) => {
    const { stranger, node } = honest(5)
    node.store.ingest([a.run(0, 4)])
    stranger
      .meet()
      .send(messages.encodeFork(proof))
      .expectEnd('protocol-violation', /proves nothing/)
    expect(node.store.logs().every(({ fork }) => fork === null)).toBe(true)
  })

  it('are sent on to others, once, but not back', () => {
    const { world, stranger, node } = honest(5)
    const third = new Stranger(world, node)
    third.meetEqual().readTypes()
    stranger.meetEqual().readTypes()
    stranger.send(messages.encodeFork(valid), messages.encodeFork(valid))
    expect(stranger.readTypes()).toEqual([])
    expect(third.readTypes()).toEqual(['fork'])
    const range = { author: a.keys.publicKey, from: 0, want: 'proof' } as const
    for (let i = 0; i < 100; i++) third.send(messages.encodeRequest([range]), messages.encodeHeads('news', [headOf(a)]))
    expect(third.readTypes()).toEqual([])
    third.expectFine()
  })

  it('that are known already cost no check, and make a flood', () => {
    const { stranger, node } = honest(5)
    node.store.ingestForkProof(valid)
    const check = vi.spyOn(node.store, 'ingestForkProof')
    stranger.meet()
    const long = Buffer.concat([a.keys.publicKey, Buffer.alloc(MAX_FORK_PROOF_BYTES - 32)])
    for (let i = 0; i < 6; i++) stranger.send(messages.encodeFork(long))
    stranger.expectEnd('flood')
    expect(check).not.toHaveBeenCalled()
  })

  it('come only after the session is open, also for forks found on the way there', () => {
    const { stranger, node } = honest(5)
    stranger.hello()
    node.store.ingestForkProof(valid)
    stranger.send(messages.encodeRoot(Buffer.alloc(32, 1)))
    expect(stranger.readTypes()).toEqual(['hello', 'root', 'heads'])
    stranger.send(messages.encodeHeads('last', []))
    expect(stranger.readTypes()).toContain('fork')
    const equal = honest(5)
    equal.stranger.hello()
    const root = equal.node.store.frontierRoot()
    equal.node.store.ingestForkProof(valid)
    equal.stranger.send(messages.encodeRoot(root))
    expect(equal.stranger.readTypes()).toEqual(['hello', 'root', 'fork'])
  })

  it('stop what was being served of the log', () => {
    const { stranger, node } = honest(0)
    const wide = foreignLog(62, 40, Buffer.alloc(300_000, 1))
    for (let i = 0; i < 40; i++) node.store.ingest([wide.run(i, i + 1)])
    stranger.meet().send(messages.encodeRequest([{ author: wide.keys.publicKey, from: 0, want: 'events' }]))
    stranger.readTypes()
    const twin = foreignLog(62, 2, '9')
    const proof = encodeForkProof(wide.run(1, 2, true), twin.run(1, 2, true))
    expect(node.store.ingestForkProof(proof)).toBe(true)
    stranger.send(messages.encodeAck(1), messages.encodeAck(1))
    expect(stranger.readTypes()).toEqual(['fork'])
  })
})

describe('a member that asks', () => {
  function heavy(): { world: World; node: Node; stranger: Stranger; ask: Buffer } {
    const made = honest(0)
    for (let i = 0; i < 60; i++) made.node.append(1, Buffer.alloc(400_000, i))
    const author = Buffer.from(made.node.store.author, 'hex')
    return { ...made, ask: messages.encodeRequest([{ author, from: 0, want: 'events' }]) }
  }
  const inFlight = SERVE_WINDOW_BYTES + FRAME_TARGET_BYTES + MAX_EVENT_BYTES

  it('a thousand times gets no more than the window, until it acknowledges', () => {
    const { stranger, ask } = heavy()
    stranger.meet()
    for (let i = 0; i < 1000; i++) stranger.send(ask)
    expect(stranger.end.sentBytes).toBeGreaterThan(SERVE_START_BYTES)
    expect(stranger.end.sentBytes).toBeLessThan(SERVE_START_BYTES + FRAME_TARGET_BYTES + MAX_EVENT_BYTES)
    let acknowledged = 0
    for (let i = 0; i < 12; i++) {
      const frame = stranger.end.sent.filter((bytes) => bytes[0] === 6)[i] as Buffer
      const before = stranger.end.sentBytes
      stranger.send(messages.encodeAck(1))
      acknowledged += frame.length
      expect(stranger.end.sentBytes).toBeGreaterThan(before)
      expect(stranger.end.sentBytes).toBeLessThan(inFlight + acknowledged)
    }
    expect(stranger.end.sentBytes - acknowledged).toBeGreaterThan(SERVE_WINDOW_BYTES)
  })

  it('and never acknowledges is pushed a bounded amount, and then only told', () => {
    const { stranger, node, world } = honest(0)
    stranger.meet()
    for (let i = 0; i < 60; i++) {
      node.append(1, Buffer.alloc(400_000, i))
      world.pass(30)
      stranger.end.session.wake(world.now)
      stranger.end.pump()
    }
    const frames = stranger.read()
    expect(frames.filter(({ type }) => type === 'heads').length).toBeGreaterThan(10)
    expect(stranger.end.sentBytes).toBeLessThan(inFlight + MAX_PUSH_BYTES)
    stranger.expectFine()
  })

  it('and never acknowledges is let go, which is no offence', () => {
    const { stranger, ask } = heavy()
    stranger.meet().send(ask)
    for (let ms = 0; ms < ACK_TIMEOUT_MS - 10_000; ms += 5000) stranger.send(messages.PING_MESSAGE).linger(5000)
    stranger.expectFine()
    stranger.linger(12_000).expectEnd('silence', /acknowledge/)
    const other = heavy()
    other.stranger.meet().send(other.ask)
    for (let ms = 0; ms < 3 * ACK_TIMEOUT_MS; ms += 20_000) {
      other.stranger.send(messages.encodeAck(1)).linger(20_000)
    }
    other.stranger.expectFine()
  })

  it('for logs that do not exist, or that end before, gets nothing', () => {
    const { stranger, node } = honest(5)
    stranger.meet().readTypes()
    const author = Buffer.from(node.store.author, 'hex')
    const ranges = [
      { author: Buffer.alloc(32, 1), from: 0, want: 'events' },
      { author, from: 5, want: 'events' },
      { author, from: 2 ** 48 - 1, want: 'events' },
      { author, from: 0, want: 'proof' },
    ] as const
    for (const range of ranges.slice(0, 3)) {
      stranger.send(messages.encodeRequest([range]))
      expect(stranger.readTypes()).toEqual([])
    }
  })

  it('for peaks beyond the end gets those at the end', () => {
    const { stranger, node } = honest(5)
    stranger.meet().readTypes()
    const author = Buffer.from(node.store.author, 'hex')
    stranger.send(messages.encodeRequest([{ author, from: 900, want: 'peaks' }]))
    const [frame] = stranger.read()
    expect(frame).toMatchObject({ type: 'frame', runs: [{ from: 5, events: [] }] })
    expect(frame?.type === 'frame' ? frame.runs[0]?.peaks?.length : 0).toBe(64)
  })

  it('and reads nothing is let go, and makes nothing grow', () => {
    const { stranger, node, world } = honest(0)
    stranger.meet()
    stranger.end.isStuck = true
    const poll = vi.spyOn(stranger.end.session, 'poll')
    for (let second = 0; second < 29; second++) {
      node.append(10)
      stranger.linger(1000)
    }
    stranger.expectFine()
    // No timer runs hot meanwhile.
    expect(poll.mock.calls.length).toBeLessThan(300)
    expect(stranger.end.session.wakeAt).toBeGreaterThan(world.now)
    stranger.linger(5000)
    stranger.expectEnd('silence', /does not read/)
  })
})

describe('an honest peer', () => {
  it('is not blamed for peaks that were asked for when a proof comes from elsewhere first', () => {
    const { stranger, node } = honest(0)
    const a = foreignLog(70, 5, '1')
    const b = foreignLog(70, 5, '2')
    node.store.ingest([a.run(0, 5)])
    stranger.meet([headOf(b)])
    expect(stranger.ranges()).toMatchObject([{ want: 'peaks' }])
    node.store.ingestForkProof(encodeForkProof(a.run(2, 4, true), b.run(2, 3, true)))
    stranger.send(messages.encodeFrame([b.run(5, 5, true)])).expectFine()
  })

  it('is not blamed for peaks that were asked for when the log grows by another peer first', () => {
    const { stranger, node } = honest(0)
    const a = foreignLog(70, 9, '1')
    const b = foreignLog(70, 5, '2')
    node.store.ingest([a.run(0, 5)])
    stranger.meet([headOf(b)])
    node.store.ingest([a.run(5, 9)])
    stranger.send(messages.encodeFrame([b.run(5, 5, true)])).expectFine()
    expect(node.store.log(a.keys.publicKey.toString('hex'))?.fork).not.toBe(null)
  })

  it('is not called a flooder for sending what it was asked for, if others are faster', () => {
    const { stranger, node } = honest(0)
    const events = 50
    const big = foreignLog(71, events, Buffer.alloc(800_000, 1))
    stranger.meet([headOf(big)])
    for (let i = 0; i < events; i++) node.store.ingest([big.run(i, i + 1)])
    // It is told to go on after what is here; what was on its way comes all the same.
    expect(stranger.ranges().at(-1)).toMatchObject({ from: events })
    for (let i = 0; i < events; i++) stranger.send(messages.encodeFrame([big.run(i, i + 1)]))
    stranger.expectFine()
    expect(stranger.readTypes()).not.toContain('lazy')
    for (let i = 0; i < events && stranger.end.ended === null; i++) {
      stranger.send(messages.encodeFrame([big.run(i, i + 1)]))
    }
    stranger.expectEnd('flood')
  })

  it('with one long log and many others is not called stalled while it sends', () => {
    const { stranger } = honest(0)
    const long = foreignLog(72, 200)
    const others = Array.from({ length: 20 }, (_, i) => headOf(foreignLog(80 + i, 1)))
    stranger.meet([headOf(long), ...others])
    for (let i = 0; i < 60; i++) stranger.send(messages.encodeFrame([long.run(i, i + 1)])).linger(1000)
    stranger.expectFine()
  })

  it('that forwards the events of a clock that is ahead is not called a flooder', () => {
    const { stranger, world } = honest(0)
    const bodies = Array.from({ length: 60 }, (_, i) =>
      plainBody({ time: world.now + 3_600_000 + i, data: Buffer.alloc(500_000, 1) }),
    )
    const ahead = makeLog(bodies, { keys: testAuthor(73), databaseTag: keys.tag })
    stranger.meet()
    for (let i = 0; i < 60; i++) stranger.send(messages.encodeFrame([ahead.run(i, i + 1)]))
    stranger.expectFine()
  })
})

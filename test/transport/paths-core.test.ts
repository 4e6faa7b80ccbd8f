/**
 * Two cores of one connection, joined by paths that come, go silent, work again and are cut, with frames that take their
 * time: nothing may be lost, repeated or reordered, what is kept stays bounded, and it ends.
 */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { MAX_MESSAGE_BYTES } from '../../src/base/limits.ts'
import { ConnectionCore } from '../../src/transport/paths/connection-core.ts'
import {
  ACK,
  CLOSE,
  DATA,
  decodeFrame,
  encodeBare,
  encodeClose,
  encodeNumbered,
  encodeReceived,
  PART,
  PART_BYTES,
  PING,
  PONG,
  USE,
} from '../../src/transport/paths/frames.ts'
import {
  CONTROL_BURST,
  FRAME_COST_BYTES,
  INBOX_BYTES,
  PATH_DEAD_MS,
  PATH_GRACE_MS,
  PATH_SETTLE_MS,
  PATH_SUSPECT_MS,
  PATHS_WINDOW_BYTES,
} from '../../src/transport/paths/limits.ts'
import { MAX_UNREAD_BYTES } from '../../src/transport/paths/receive-buffer.ts'

const KEPT = PATHS_WINDOW_BYTES + MAX_MESSAGE_BYTES + 2 * (FRAME_COST_BYTES + 16)

type Side = 0 | 1

/** A path as a transport makes one: reliable and in order, unless it is silent, and until it is cut. */
interface Wire {
  id: number
  delay: number
  silent: boolean
  /** What is on its way to each side, and when it arrives. */
  inbox: [{ at: number; bytes: Buffer }[], { at: number; bytes: Buffer }[]]
}

class Pair {
  now = 1000
  readonly cores: [ConnectionCore, ConnectionCore] = [new ConnectionCore(true, 1000), new ConnectionCore(false, 1000)]
  readonly wires = new Map<number, Wire>()
  readonly received: [number[], number[]] = [[], []]
  readonly unread: [Buffer[], Buffer[]] = [[], []]
  readonly sent: [number, number] = [0, 0]
  readonly waiting: [Buffer[], Buffer[]] = [[], []]
  readonly ends: [string | null, string | null] = [null, null]
  readonly dropped: string[] = []
  readonly searches: [number, number] = [0, 0]
  readonly current: [number, number] = [0, 0]
  reads: [boolean, boolean] = [true, true]
  #lastWire = 0

  up(rank: number, delay = 5): number {
    const id = ++this.#lastWire
    this.wires.set(id, { id, delay, silent: false, inbox: [[], []] })
    const taken = this.cores.map((core) => core.takenOver)
    for (const side of [0, 1] as const) {
      expect(this.cores[side].attach(id, rank, taken[1 - side] as number, this.now)).toBe(null)
    }
    this.pump()
    return id
  }

  /** Both sides learn that it is gone; what was on its way is lost. */
  cut(id: number, lost = true): void {
    if (!this.wires.delete(id)) return
    for (const core of this.cores) core.detach(id, lost, this.now)
    this.pump()
  }

  send(side: Side, length = 8): void {
    const message = Buffer.alloc(Math.max(8, length))
    message.writeUInt32BE(this.sent[side]++)
    this.waiting[side].push(message)
    this.pump()
  }

  pump(): void {
    for (const side of [0, 1, 0, 1] as const) {
      const core = this.cores[side]
      do {
        for (let output; (output = core.poll(this.now)) !== null;) {
          if (this.ends[side] !== null) throw new Error(`${output.type} after the end`)
          switch (output.type) {
            case 'send': {
              const wire = this.wires.get(output.path)
              if (wire !== undefined && !wire.silent)
                wire.inbox[side === 0 ? 1 : 0].push({ at: this.now + wire.delay, bytes: output.bytes })
              break
            }
            case 'message':
              this.unread[side].push(output.message)
              break
            case 'drop':
              this.dropped.push(output.reason)
              this.#drop(output.path, side)
              break
            case 'current':
              this.current[side] = output.path
              break
            case 'search':
              this.searches[side]++
              break
            case 'end':
              this.ends[side] = output.lost ? `lost: ${output.reason}` : output.reason
          }
        }
      } while (this.#feed(side))
      this.#read(side)
      const { unacknowledged, unread } = core.held
      if (unacknowledged > KEPT || unread > MAX_UNREAD_BYTES) throw new Error(`${unacknowledged}, ${unread} bytes held`)
    }
  }

  #drop(id: number, side: Side): void {
    const wire = this.wires.get(id)
    this.wires.delete(id)
    // A silent path does not tell the other side either.
    if (wire?.silent === false) this.cores[side === 0 ? 1 : 0].detach(id, false, this.now)
  }

  #feed(side: Side): boolean {
    const [message] = this.waiting[side]
    if (message === undefined || !this.cores[side].hasRoom) return false
    this.waiting[side].shift()
    this.cores[side].send(message)
    return true
  }

  #read(side: Side): void {
    if (!this.reads[side]) return
    for (const message of this.unread[side].splice(0)) {
      const number = message.readUInt32BE()
      if (number !== this.received[side].length)
        throw new Error(`${number} after ${this.received[side].length} messages`)
      this.received[side].push(number)
      this.cores[side].read(message, this.now)
    }
  }

  /** Lets time pass, in the order of what happens in it. */
  pass(ms: number): void {
    const end = this.now + ms
    for (let steps = 0; ; steps++) {
      if (steps > 100_000) throw new Error('time stands still')
      let at = Math.min(...this.cores.map((core) => core.wakeAt))
      for (const { inbox } of this.wires.values()) for (const [first] of inbox) at = Math.min(at, first?.at ?? Infinity)
      if (at > end) break
      this.now = Math.max(this.now, at)
      for (const wire of this.wires.values()) {
        for (const side of [0, 1] as const) {
          while ((wire.inbox[side][0]?.at ?? Infinity) <= this.now) {
            const { bytes } = wire.inbox[side].shift() as { bytes: Buffer }
            if (!wire.silent) this.deliver(side, wire.id, bytes)
          }
        }
      }
      for (const core of this.cores) if (core.wakeAt <= this.now) core.wake(this.now)
      this.pump()
    }
    this.now = end
  }

  deliver(side: Side, path: number, bytes: Buffer): void {
    const frame = decodeFrame(bytes)
    if (typeof frame === 'string') throw new Error(frame)
    const violation = this.cores[side].receive(path, frame, this.now)
    if (violation !== null) throw new Error(`a violation: ${violation}`)
    this.pump()
  }

  expectAll(): void {
    expect([this.received[1].length, this.received[0].length]).toEqual(this.sent)
  }
}

type Step =
  | { type: 'send'; side: Side; length: number; count: number }
  | { type: 'up'; rank: number; delay: number }
  | { type: 'cut' | 'silence'; which: number }
  | { type: 'pass'; ms: number }
  | { type: 'sleep' | 'read'; side: Side }

const side = fc.constantFrom<Side>(0, 1)
const send = (length: number, max: number): fc.Arbitrary<Step> =>
  fc.record({
    type: fc.constant('send' as const),
    side,
    length: fc.constant(length),
    count: fc.integer({ min: 1, max }),
  })
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 8, arbitrary: send(8, 30) },
  { weight: 4, arbitrary: send(70_000, 5) },
  { weight: 1, arbitrary: fc.oneof(send(PART_BYTES, 1), send(MAX_MESSAGE_BYTES, 1)) },
  {
    weight: 4,
    arbitrary: fc.record({
      type: fc.constant('up' as const),
      rank: fc.integer({ min: -2, max: 1 }),
      delay: fc.integer({ min: 0, max: 400 }),
    }),
  },
  { weight: 4, arbitrary: fc.record({ type: fc.constantFrom('cut' as const, 'silence' as const), which: fc.nat(3) }) },
  {
    weight: 8,
    arbitrary: fc.record({
      type: fc.constant('pass' as const),
      ms: fc.oneof(fc.integer({ min: 1, max: 60 }), fc.integer({ min: 100, max: 1500 })),
    }),
  },
  { weight: 2, arbitrary: fc.record({ type: fc.constantFrom('sleep' as const, 'read' as const), side }) },
)

function perform(pair: Pair, step: Step): void {
  const pick = (which: number): Wire | undefined => [...pair.wires.values()][which % Math.max(1, pair.wires.size)]
  switch (step.type) {
    case 'send':
      for (let i = 0; i < step.count; i++) pair.send(step.side, step.length)
      return
    case 'up':
      if (pair.wires.size < 4) pair.up(step.rank, step.delay)
      return
    case 'cut': {
      const wire = pick(step.which)
      if (wire !== undefined) pair.cut(wire.id)
      return
    }
    case 'silence': {
      const wire = pick(step.which)
      if (wire !== undefined) wire.silent = true
      return
    }
    case 'pass':
      return pair.pass(step.ms)
    case 'sleep':
    case 'read':
      pair.reads[step.side] = step.type === 'read'
      pair.pump()
  }
}

describe('whatever happens to its paths, a connection', () => {
  it('loses, repeats and reorders nothing, keeps what is bounded, and ends', () => {
    fc.assert(
      fc.property(fc.array(step, { minLength: 1, maxLength: 40 }), (steps) => {
        const pair = new Pair()
        pair.up(1)
        for (const next of steps) {
          perform(pair, next)
          // Within the grace there is a path again.
          if (pair.wires.size === 0 || [...pair.wires.values()].every(({ silent }) => silent)) pair.up(1)
          if (pair.ends.some((end) => end !== null)) break
        }
        expect(pair.ends).toEqual([null, null])
        pair.reads = [true, true]
        pair.up(0)
        pair.pass(20_000)
        pair.expectAll()
        pair.cores[0].close('done', pair.now)
        pair.pump()
        pair.pass(1000)
        expect(pair.ends).toEqual(['', 'done'])
        expect(pair.cores.map((core) => core.wakeAt)).toEqual([Infinity, Infinity])
      }),
      { numRuns: 60 },
    )
  })

  it('ends when no path comes', () => {
    const pair = new Pair()
    pair.cut(pair.up(-1))
    pair.pass(PATH_GRACE_MS - 1)
    expect(pair.ends).toEqual([null, null])
    pair.pass(1)
    expect(pair.ends).toEqual(['lost: the peer is lost', 'lost: the peer is lost'])
  })
})

describe('the way', () => {
  it('goes over to a better path, and the leader closes the worse one once it has settled', () => {
    const pair = new Pair()
    const relay = pair.up(1, 20)
    pair.send(0)
    pair.pass(100)
    const direct = pair.up(-1, 20)
    for (let i = 0; i < 20; i++) pair.send(1)
    pair.pass(PATH_SETTLE_MS)
    expect(pair.current).toEqual([direct, direct])
    expect(pair.dropped).toEqual([])
    pair.pass(200)
    expect(pair.dropped).toEqual(['superseded'])
    expect([...pair.wires.keys()]).toEqual([direct])
    expect(relay).not.toBe(direct)
    pair.expectAll()
  })

  it('a relay that comes up beside a path that works is closed as soon as that has answered', () => {
    const pair = new Pair()
    const direct = pair.up(-1, 20)
    pair.pass(5000)
    pair.up(0, 1)
    pair.pass(60)
    expect(pair.dropped).toEqual(['superseded'])
    expect([...pair.wires.keys()]).toEqual([direct])
  })

  it('a relay that comes up beside a path that does not work takes over', () => {
    const pair = new Pair()
    const direct = pair.up(-1)
    pair.pass(4000)
    const wire = pair.wires.get(direct)
    if (wire !== undefined) wire.silent = true
    const relay = pair.up(0)
    pair.pass(PATH_SUSPECT_MS + 10)
    expect(pair.current).toEqual([relay, relay])
    pair.pass(PATH_DEAD_MS + 1000)
    expect(pair.dropped).toEqual(['silent', 'silent'])
    expect(pair.cores[0].directLost).toBe(true)
  })

  it('what was sent into a path that was cut arrives over the next, soon after it was missed', () => {
    const pair = new Pair()
    const direct = pair.up(-1)
    pair.pass(10_000)
    const wire = pair.wires.get(direct)
    if (wire !== undefined) wire.silent = true
    pair.send(0)
    pair.pass(PATH_SUSPECT_MS)
    expect(pair.searches[0]).toBe(1)
    pair.up(0, 30)
    pair.pass(40)
    pair.expectAll()
  })

  it('a path that is heard again is trusted again, after a while', () => {
    const pair = new Pair()
    const direct = pair.up(-1, 5)
    pair.pass(100)
    const wire = pair.wires.get(direct) as Wire
    wire.delay = 800
    pair.send(0)
    const relay = pair.up(0)
    pair.pass(PATH_SUSPECT_MS + 50)
    expect(pair.current[0]).toBe(relay)
    wire.delay = 5
    pair.pass(PATH_SETTLE_MS * 2)
    expect(pair.current[0]).toBe(direct)
    pair.expectAll()
  })

  it('is not changed because we were late ourselves', () => {
    const pair = new Pair()
    const direct = pair.up(-1, 20)
    pair.up(0, 20)
    pair.pass(30)
    pair.send(0)
    const { now } = pair
    // Nothing was done for five seconds; what came meanwhile is looked at after the timers.
    pair.now += 5000
    pair.cores[0].wake(pair.now)
    pair.pump()
    expect(pair.current[0]).toBe(direct)
    pair.now = now
  })
})

describe('a reader that does not read', () => {
  it('stops the sender, and both go on later', () => {
    const pair = new Pair()
    pair.up(-1)
    pair.reads[1] = false
    for (let i = 0; i < 400; i++) pair.send(0, 64 * 1024)
    pair.pass(5000)
    expect(pair.waiting[0].length).toBeGreaterThan(0)
    const { unread } = pair.cores[1].held
    expect(unread).toBeGreaterThanOrEqual(INBOX_BYTES + PATHS_WINDOW_BYTES / 2)
    // The other way is open, and the path is not suspected.
    pair.send(1)
    pair.pass(100)
    expect(pair.received[0]).toEqual([0])
    expect(pair.searches).toEqual([0, 0])
    pair.reads[1] = true
    pair.pump()
    pair.pass(5000)
    pair.expectAll()
  })
})

describe('a peer that lies', () => {
  const hostile = (frames: Buffer[]): string | null => {
    const core = new ConnectionCore(true, 0)
    core.attach(1, -1, 0, 0)
    core.send(Buffer.from('one'))
    while (core.poll(0) !== null);
    for (const bytes of frames) {
      const frame = decodeFrame(bytes)
      const violation = typeof frame === 'string' ? frame : core.receive(1, frame, 0)
      while (core.poll(0) !== null);
      if (violation !== null) return violation
    }
    return null
  }
  const part = Buffer.alloc(PART_BYTES)

  it.each([
    ['a number that is ahead', [encodeNumbered(DATA, 1, Buffer.of(1))], /out of order/],
    ['an acknowledgement of what was never sent', [encodeReceived(ACK, 2)], /never sent/],
    ['an answer to no question', [encodeBare(PONG), encodeBare(PONG)], /no question/],
    ['a message that is too long', [encodeNumbered(PART, 0, part), encodeNumbered(DATA, 1, part)], /too long/],
    ['a part after a part', [encodeNumbered(PART, 0, part), encodeNumbered(PART, 1, part)], /without its end/],
    ['an end within a message', [encodeNumbered(PART, 0, part), encodeClose(1, '')], /without its end/],
    ['PING without end', Array.from({ length: CONTROL_BURST + 1 }, () => encodeBare(PING)), /no use/],
    ['USE without end', Array.from({ length: CONTROL_BURST + 1 }, () => encodeBare(USE)), /no use/],
    [
      'old acknowledgements without end',
      Array.from({ length: CONTROL_BURST + 2 }, () => encodeReceived(ACK, 1)),
      /no use/,
    ],
    [
      'the same again and again',
      [encodeBare(USE), ...Array.from({ length: 4 }, () => encodeNumbered(DATA, 0, part))],
      /again/,
    ],
    ['more than the window', Array.from({ length: 5 }, (_, i) => encodeNumbered(DATA, i, part)), /window/],
  ])('with %s is found out', (_name, frames, expected) => {
    expect(hostile(frames)).toMatch(expected)
  })

  it('with any bytes is answered by nothing but a violation', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 30 }), (all) => {
        hostile(all.map((bytes) => Buffer.from(bytes)))
      }),
    )
  })

  it('and never acknowledges is kept a window of, and then waits', () => {
    const core = new ConnectionCore(true, 0)
    core.attach(1, -1, 0, 0)
    let messages = 0
    for (; core.hasRoom; messages++) {
      core.send(Buffer.alloc(64 * 1024))
      while (core.poll(0) !== null);
    }
    expect(messages).toBeLessThanOrEqual(PATHS_WINDOW_BYTES / 64 / 1024)
    expect(core.held.unacknowledged).toBeLessThanOrEqual(KEPT)
  })

  it('closes when it says so, once', () => {
    expect(hostile([encodeClose(0, 'bye'), encodeClose(0, 'bye')])).toBe(null)
    const frame = decodeFrame(encodeClose(7, 'x'.repeat(1000)))
    expect(frame).toMatchObject({ type: CLOSE, number: 7, reason: 'x'.repeat(256) })
  })

  it('gives no reason but in UTF-8', () => {
    for (const hex of ['0a00c328', '0dc328', '0deda080']) {
      expect(decodeFrame(Buffer.from(hex, 'hex'))).toBe('a malformed frame')
    }
  })
})

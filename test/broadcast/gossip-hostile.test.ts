/** Members gone bad, spoofed addresses, replays and noise. PEERLOG_SEED says which. */
import { describe, expect, it, onTestFinished } from 'vitest'
import { dice } from '../../src/base/dice.ts'
import { hash } from '../../src/base/hash.ts'
import { encodeForkProof } from '../../src/event/fork.ts'
import type { Run } from '../../src/event/run.ts'
import { BloomFilter } from '../../src/reconcile/bloom/bloom-filter.ts'
import { MAX_AMPLIFICATION, MAX_REMOTES, MAX_STAGED_BYTES, MAX_STRANGERS } from '../../src/broadcast/gossip/limits.ts'
import * as messages from '../../src/broadcast/gossip/messages.ts'
import { EVERYTHING } from '../../src/broadcast/gossip/place.ts'
import type { GossipNode, NetOptions } from './gossip-net.ts'
import { Net, Rogue } from './gossip-net.ts'
import { expectSound } from './world.ts'

const SEED = Number(process.env['PEERLOG_SEED'] ?? 20261129)

function network(options: NetOptions = {}): Net {
  const net = new Net({ seed: SEED, ...options })
  onTestFinished(() => net.close())
  return net
}

/** The run from a seq on as a node would send it. */
function runOf(node: GossipNode, from = 0): Run {
  return node.store.readRun(node.store.author, from, 0, true) as Run
}

function eventsOf(run: Run, change: Partial<messages.EventsMessage> = {}): Buffer {
  const head = { length: run.from + run.events.length, signature: run.signature }
  const events = run.events.slice(0, 3).map((bytes, i) => ({ seq: run.from + i, time: 1_760_000_000_000, bytes }))
  return messages.encodeEvents({ author: run.author, head, events, ...change })
}

function partOf(run: Run, change: Partial<messages.Part> = {}): Buffer {
  const [bytes] = run.events as [Buffer]
  const head = { length: run.from + run.events.length, signature: run.signature }
  const event = { seq: run.from, time: 1_760_000_000_000, head }
  const part = {
    author: run.author,
    id: hash(bytes),
    total: bytes.length,
    index: 0,
    bytes: bytes.subarray(0, 960),
    event,
  }
  return messages.encodePart({ ...part, ...change })
}

function refusals(node: GossipNode): string[] {
  return node.events.flatMap((event) => (event.type === 'violation' ? [event.detail] : []))
}

describe('an address', () => {
  it('that has not echoed its cookie gets at most three times what came from it, and nothing of the database', () => {
    const net = network()
    const a = net.node()
    a.append(1000)
    const rogue = new Rogue(net, 1)
    rogue.isPolite = false
    let received = 0
    for (let i = 0; i < 50; i++) {
      const digest = messages.encodeFilter({
        ...EVERYTHING,
        items: 0,
        fingerprint: Buffer.alloc(16),
        filter: BloomFilter.create({ count: 0, maxBytes: 1 }, Buffer.alloc(16)),
      })
      for (const body of [heartbeat(net), digest]) {
        const bytes = rogue.sealed({ address: 'nowhere', receive: () => {} }, body)
        received += bytes.length
        net.inject(bytes, rogue.address, a)
      }
      net.pass(50)
    }
    net.pass(20_000)
    const got = rogue.heard.filter(
      ({ message }) => message.type === 'heartbeat' && !message.cookie.equals(messages.NO_COOKIE),
    )
    expect(got.length).toBeGreaterThan(0)
    const bytes = got.reduce((sum, one) => sum + one.bytes, 0)
    expect(bytes).toBeLessThanOrEqual(MAX_AMPLIFICATION * received)
    expect(rogue.heard.every(({ message }) => message.type === 'heartbeat')).toBe(true)
    expect(a.gossip.peers()).toEqual([])
    expect(a.gossip.dropped.unproven).toBeGreaterThan(50)
  })

  it('that a member takes from another gets three times what came, and is not its own', () => {
    const net = network()
    const a = net.node()
    const victim = {
      address: '203.0.113.1:53',
      bytes: 0,
      receive: (bytes: Buffer) => void (victim.bytes += bytes.length),
    }
    net.stations.push(victim)
    const rogue = new Rogue(net, 1)
    rogue.join(a)
    // Only what is sent to that address alone: heartbeats to everybody go there anyway.
    const before = (): number => a.sentTo.get(victim.address) ?? 0
    net.pass(10_000)
    const usual = before()
    let sent = 0
    for (let i = 0; i < 20; i++) {
      const bytes = rogue.sealed(a, heartbeat(net))
      sent += bytes.length
      net.inject(bytes, victim.address, a)
    }
    net.pass(10_000)
    expect(before() - 2 * usual).toBeLessThanOrEqual(MAX_AMPLIFICATION * sent)
    expect(a.gossip.peers().map(({ address }) => address)).toEqual([rogue.address])
  })

  it('of which many come is not remembered for long', () => {
    const net = network()
    const a = net.node()
    const rogue = new Rogue(net, 1)
    for (let i = 0; i < 2 * MAX_STRANGERS; i++) net.inject(rogue.sealed(a, heartbeat(net)), `203.0.113.9:${i + 1}`, a)
    net.pass(5000)
    expect(a.gossip.strangers).toBeLessThanOrEqual(MAX_STRANGERS)
    const b = net.node()
    b.append(5)
    net.converge(10_000)
    expect(b.store.position).toBe(5)
  })

  it('proved by many members leaves room for newcomers that bring something', () => {
    const net = network()
    const a = net.node()
    const rogues = Array.from({ length: MAX_REMOTES }, (_, i) => new Rogue(net, i + 1))
    for (const rogue of rogues) rogue.greet(a)
    net.run(() => a.gossip.peers().length === MAX_REMOTES, 20_000)
    net.pass(6000)
    const b = net.node()
    b.append(50)
    net.run(() => a.store.position === 50, 60_000)
    expect(a.gossip.peers().length).toBeLessThanOrEqual(MAX_REMOTES)
  })
})

function heartbeat(net: Net): Buffer {
  const root = hash(Buffer.from('root'))
  return messages.encodeHeartbeat({ root, items: 1, time: net.now, heard: null, delay: 0, cookie: Buffer.alloc(8) })
}

describe('a stranger', () => {
  it('without the key is not heard, whatever it sends', () => {
    const net = network()
    const [a] = [net.node(), net.node()]
    const random = dice(SEED)
    const wire: Buffer[] = []
    net.onSend = (bytes) => wire.push(bytes)
    a.append(20)
    net.converge()
    const outsider = new Rogue(net, 1, { key: Buffer.alloc(32, 1) })
    const before = JSON.stringify(a.gossip.peers())
    let count = 0
    for (let i = 0; i < 3000; i++) {
      const bytes = Buffer.from(wire[Math.floor(random() * wire.length)] as Buffer)
      const at = Math.floor(random() * bytes.length)
      bytes[at] = (bytes[at] as number) ^ (1 << Math.floor(random() * 8))
      const cut = random() < 0.2 ? bytes.subarray(0, Math.floor(random() * bytes.length)) : bytes
      a.gossip.receive(cut, '198.51.100.77:1', net.now)
      count++
    }
    for (const size of [0, 1, 8, 9, 48, 49, 50, 1233, 65_507]) a.gossip.receive(Buffer.alloc(size, 1), 'x', net.now)
    a.gossip.receive(outsider.sealed(a, heartbeat(net)), outsider.address, net.now)
    expect(a.gossip.dropped.unauthentic).toBe(count + 10)
    expect(a.gossip.poll(net.now)).toBeNull()
    expect(JSON.stringify(a.gossip.peers())).toBe(before)
  })

  it('that replays what it has recorded changes nothing', () => {
    const net = network()
    const [a, b] = [net.node(), net.node()]
    const wire: { bytes: Buffer; from: string }[] = []
    net.onSend = (bytes, from, to) => {
      if (to === b) wire.push({ bytes: Buffer.from(bytes), from: from.address })
    }
    a.append(200)
    net.converge()
    net.pass(3000)
    const events = b.events.length
    const recorded = [...wire]
    const count = (): number => b.gossip.dropped.replayed + b.gossip.dropped.unproven
    const before = count()
    const spoofed = '203.0.113.5:1'
    net.stations.push({ address: spoofed, receive: () => {} })
    for (const datagram of recorded) b.receive(datagram.bytes, datagram.from)
    expect(count() - before).toBe(recorded.length)
    expect(b.gossip.dropped.replayed).toBeGreaterThan(recorded.length / 2)
    // From another address, it is at most asked for a cookie.
    for (const datagram of recorded) b.receive(datagram.bytes, spoofed)
    net.pass(1000)
    expect(b.gossip.strangers).toBe(1)
    expect(b.sentTo.get(spoofed) ?? 0).toBeLessThan(3 * recorded.reduce((sum, { bytes }) => sum + bytes.length, 0))
    expect(b.events.length).toBe(events)
    expect(b.gossip.peers().map(({ address }) => address)).toEqual([a.address])
    // Nor does what was recorded of the time before a restart.
    b.gossip.stop()
    const again = net.node({ author: 2 })
    for (const { bytes, from } of recorded) again.receive(bytes, from)
    expect(again.gossip.peers()).toEqual([])
    expect(again.store.position).toBe(0)
  })
})

describe('a member gone bad', () => {
  interface Attack {
    name: string
    detail: string | null
    send: (rogue: Rogue, to: GossipNode, honest: GossipNode) => void
  }

  const attacks: Attack[] = [
    { name: 'nonsense', detail: 'malformed', send: (rogue, to) => rogue.send(to, Buffer.of(99)) },
    {
      name: 'an event that is none',
      detail: 'not what it said',
      send: (rogue, to, honest) =>
        rogue.send(to, eventsOf(runOf(honest), { events: [{ seq: 0, time: 1, bytes: Buffer.alloc(80, 1) }] })),
    },
    {
      name: 'an event under another seq',
      detail: 'not what it said',
      send: (rogue, to, honest) => {
        const run = runOf(honest)
        rogue.send(to, eventsOf(run, { events: [{ seq: 1, time: 1, bytes: run.events[0] as Buffer }] }))
      },
    },
    {
      name: 'events under a signature that is none',
      detail: 'has not signed',
      send: (rogue, to, honest) => {
        const run = runOf(honest)
        rogue.send(to, eventsOf(run, { head: { length: 3, signature: { suite: 1, bytes: Buffer.alloc(64, 1) } } }))
      },
    },
    {
      name: 'a large event whose parts are not its own',
      detail: 'not what it said',
      send: (rogue, to, honest) => {
        const run = runOf(honest, 20)
        const total = 1500
        rogue.send(to, partOf(run, { total, bytes: Buffer.alloc(960) }))
        rogue.send(to, partOf(run, { total, index: 1, bytes: Buffer.alloc(540) }))
      },
    },
    {
      name: 'a fork proof that proves nothing',
      detail: 'proves nothing',
      send: (rogue, to, honest) => {
        const proof = encodeForkProof(runOf(honest), runOf(honest))
        for (let index = 0; index * 960 < proof.length; index++) {
          const bytes = proof.subarray(index * 960, (index + 1) * 960)
          rogue.send(to, partOf(runOf(honest), { id: hash(proof), total: proof.length, index, bytes, event: null }))
        }
      },
    },
    {
      name: 'a fork proof whose parts are not its own',
      detail: 'not what it said',
      send: (rogue, to, honest) =>
        rogue.send(to, partOf(runOf(honest), { total: 100, bytes: Buffer.alloc(100), event: null })),
    },
  ]

  it.each(attacks)('that sends $name is turned away, and honest peers become equal meanwhile', ({ detail, send }) => {
    const net = network()
    const [a, b] = [net.node(), net.node()]
    net.cut(a, b)
    b.append(20)
    b.append(1, () => Buffer.alloc(5000, 3))
    const rogue = new Rogue(net, 1)
    rogue.join(a)
    send(rogue, a, b)
    net.run(() => refusals(a).length > 0 || detail === null, 10_000)
    expect(refusals(a)).toEqual([expect.stringContaining(detail ?? '')])
    expect(a.events.at(-1)).toMatchObject({ type: 'gone', peerId: rogue.peerId.toString('hex') })
    // Not heard any more, for a while.
    rogue.greet(a)
    net.pass(1000)
    expect(a.gossip.peers()).toEqual([])
    expect(a.gossip.dropped.banned).toBeGreaterThan(0)
    net.cuts.clear()
    net.converge(30_000)
    expectSound(a.store)
    expect(a.gossip.waiting.bytes).toBe(0)
  })

  it('can spoil what others send only until it is kept apart from it', () => {
    const net = network({ loss: 0.2 })
    const [a, b] = [net.node(), net.node()]
    net.cut(a, b)
    b.append(300)
    const rogue = new Rogue(net, 1)
    rogue.join(a)
    const run = runOf(b)
    // The event before the last, of another database's log; a signature that is none; parts of what is no event.
    const wrong = Buffer.from(run.events[5] as Buffer)
    wrong[wrong.length - 1] = (wrong.at(-1) as number) ^ 1
    rogue.send(a, eventsOf(run, { events: [{ seq: 5, time: net.now, bytes: wrong }] }))
    rogue.send(a, eventsOf(run, { head: { length: 250, signature: { suite: 1, bytes: Buffer.alloc(64, 9) } } }))
    net.pass(100)
    net.cuts.clear()
    net.run(() => a.store.position === 300, 30_000)
    expect(a.events.filter((event) => event.type === 'violation' && event.peerId === b.peerId)).toEqual([])
    expectSound(a.store)
  })

  it('that contradicts what is stored is found out when it has no peaks to show', () => {
    const net = network()
    const [a, b] = [net.node(), net.node()]
    b.append(20)
    net.converge()
    const rogue = new Rogue(net, 1)
    rogue.join(a)
    const run = runOf(b)
    const wrong = Buffer.from(run.events[5] as Buffer)
    wrong[wrong.length - 1] = (wrong.at(-1) as number) ^ 1
    rogue.send(a, eventsOf(run, { events: [{ seq: 5, time: net.now, bytes: wrong }] }))
    net.run(() => rogue.heard.some(({ message }) => message.type === 'want'), 5000)
    // Peaks of a log that begins otherwise, under a signature that does not cover them.
    rogue.send(a, messages.encodePeaks({ author: run.author, seq: 6, peaks: Buffer.alloc(64, 5) }))
    rogue.send(
      a,
      eventsOf(run, {
        head: { length: 6, signature: run.signature },
        events: [{ seq: 5, time: net.now, bytes: wrong }],
      }),
    )
    net.run(() => refusals(a).length > 0, 5000)
    expect(refusals(a)).toEqual([expect.stringContaining('has not signed')])
    expect(a.store.log(b.store.author)?.fork).toBeNull()
  })

  it('that sends pieces of which nothing follows takes no more than its share', () => {
    const net = network()
    const a = net.node()
    const b = net.node()
    net.cut(a, b)
    const rogue = new Rogue(net, 1)
    rogue.join(a)
    const author = hash(Buffer.from('somebody'))
    const head = { length: 1_000_000, signature: { suite: 1, bytes: Buffer.alloc(64) } }
    const bytes = Buffer.alloc(960)
    // Enough to fill all the memory there is for what waits.
    for (let i = 0; i < MAX_STAGED_BYTES / 960; i++) {
      const event = { seq: 5 + i, time: net.now, head }
      const part = messages.encodePart({
        author,
        id: hash(Buffer.from(`${i}`)),
        total: 1_000_000,
        index: 0,
        bytes,
        event,
      })
      a.gossip.receive(rogue.sealed(a, part), rogue.address, net.now)
    }
    expect(a.gossip.waiting.bytes).toBeLessThanOrEqual(MAX_STAGED_BYTES)
    expect(a.gossip.waiting.bytes).toBeGreaterThan(MAX_STAGED_BYTES / 2)
    b.append(2000)
    net.cuts.clear()
    net.run(() => a.store.position === 2000, 30_000)
    net.pass(70_000)
    expect(a.gossip.waiting.bytes).toBe(0)
  })

  it('that asks without end is answered within bounds', () => {
    const net = network()
    const a = net.node()
    a.append(5000)
    const rogue = new Rogue(net, 1)
    rogue.join(a)
    const filter = messages.encodeFilter({
      ...EVERYTHING,
      items: 0,
      fingerprint: Buffer.alloc(16),
      filter: BloomFilter.create({ count: 0, maxBytes: 1 }, Buffer.alloc(16)),
    })
    const digest = messages.encodeDigest([{ ...EVERYTHING, items: 7, fingerprint: Buffer.alloc(16) }])
    const before = a.sentTo.get(rogue.address) as number
    for (let i = 0; i < 100; i++) {
      for (const body of [filter, digest, messages.encodeWant({ author: runOf(a).author, kind: 'seq', value: 7 })]) {
        for (let k = 0; k < 20; k++) rogue.send(a, body)
      }
      net.pass(10)
    }
    // A second at 4 MiB, and what was allowed at once.
    expect((a.sentTo.get(rogue.address) as number) - before).toBeLessThan(5 * 1024 * 1024)
  })

  it.each(['another epoch', 'the same epoch'])('under the name of another, with %s, does not disturb it', (epoch) => {
    const net = network()
    const [a, b] = [net.node(), net.node()]
    const rogue = new Rogue(net, 1, { peerId: Buffer.from(b.peerId, 'hex') })
    net.onSend = (bytes, from) => {
      const header = messages.decodeHeader(rogue.envelope.open(bytes) as Buffer)?.header
      if (from === b && epoch === 'the same epoch' && header !== undefined) header.epoch.copy(rogue.epoch)
    }
    rogue.counter = 1_000_000
    net.converge()
    net.run(() => a.gossip.peers().length === 1)
    rogue.greet(a)
    net.pass(500)
    // From the other's address, with a counter far ahead; but without the cookie that was sent there.
    rogue.counter = 2 ** 40
    rogue.cookies.delete(a.address)
    rogue.send(a, heartbeat(net), b.address)
    rogue.counter = 2_000_000
    rogue.cookies.clear()
    rogue.greet(a)
    net.pass(500)
    // Says that it has all that a has, and that there is nothing to compare; and then that it is no member.
    rogue.greet(a, a.store.frontierRoot())
    rogue.send(a, messages.encodeDigest([{ ...EVERYTHING, items: 0, fingerprint: Buffer.alloc(16) }]))
    b.append(10)
    net.converge(5000)
    rogue.send(a, Buffer.of(99))
    net.pass(500)
    b.append(10)
    a.append(10)
    net.converge(5000)
    expect(a.gossip.peers().map(({ address }) => address)).toEqual([b.address])
    expect(a.events.filter(({ type }) => type === 'gone')).toEqual([])
    expect(refusals(a).length).toBe(1)
  })
})

describe('fuzz', () => {
  /** Everything that honest nodes say to each other. */
  function transcript(): Buffer[] {
    const net = network({ loss: 0.1 })
    const bodies: Buffer[] = []
    const listener = new Rogue(net, 9)
    net.onSend = (bytes) => {
      const body = messages.decodeHeader(listener.envelope.open(bytes) as Buffer)?.body
      if (body !== undefined) bodies.push(Buffer.from(body))
    }
    const [a, b] = [net.node({ author: 9 }), net.node({ author: 9 })]
    const c = net.node({ beginning: { last: 5 } })
    a.append(30)
    b.append(30)
    c.append(1, () => Buffer.alloc(20_000, 1))
    net.converge()
    a.gossip.stop()
    a.pump()
    return bodies
  }

  it('of the decoder: it never throws, and takes only what it would have written', () => {
    const bodies = transcript()
    const types = new Set(bodies.map((body) => body[0]))
    expect([...types].toSorted((a = 0, b = 0) => a - b)).toEqual([1, 2, 3, 4, 5, 6, 7, 8])
    const random = dice(SEED)
    for (const body of bodies) expect(messages.decodeBody(body)).not.toBeNull()
    let taken = 0
    for (let i = 0; i < 40_000; i++) if (messages.decodeBody(damaged(bodies, random)) !== null) taken++
    expect(taken).toBeGreaterThan(100)
  })

  it('with the right key: bounded memory, no exception, honest peers become equal', () => {
    const bodies = transcript()
    const random = dice(SEED + 1)
    const net = network({ loss: 0.1 })
    const [a, b] = [net.node(), net.node()]
    a.append(100)
    b.append(100, undefined, true)
    for (let i = 0; i < 150; i++) {
      const rogue = new Rogue(net, i + 1)
      rogue.greet(a)
      net.pass(60)
      for (let k = 0; k < 40; k++) rogue.send(a, damaged(bodies, random))
      net.pass(30)
      expect(a.gossip.waiting.bytes).toBeLessThan(4 * 1024 * 1024)
      if (i % 20 === 0) a.append(2)
    }
    // What the transcript was about is another database's, but its key is the same: its true events may be stored.
    net.run(
      () =>
        [a, b].every(({ store }) =>
          [a, b].every(
            (other) => store.log(other.store.author)?.mmr.length === other.store.log(other.store.author)?.mmr.length,
          ),
        ),
      60_000,
    )
    for (const { store } of [a, b]) expectSound(store)
    expect(refusals(a).length).toBeGreaterThan(20)
  })

  function damaged(bodies: readonly Buffer[], random: () => number): Buffer {
    const below = (count: number): number => Math.floor(random() * count)
    const bytes = Buffer.from(bodies[below(bodies.length)] as Buffer)
    switch (below(5)) {
      case 0:
        bytes[below(bytes.length)] = below(256)
        return bytes
      case 1:
        return bytes.subarray(0, below(bytes.length + 1))
      case 2:
        return Buffer.concat([bytes, Buffer.alloc(below(9), below(256))])
      case 3: {
        const other = bodies[below(bodies.length)] as Buffer
        return Buffer.concat([bytes.subarray(0, below(bytes.length)), other.subarray(below(other.length))])
      }
      default:
        for (let i = 0; i < 4; i++) bytes[below(bytes.length)] = random() < 0.5 ? 0 : 255
        return bytes
    }
  }
})

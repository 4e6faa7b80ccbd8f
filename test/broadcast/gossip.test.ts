/** Gossip over a network that loses, repeats and reorders. PEERLOG_SEED says how. */
import { describe, expect, it, onTestFinished } from 'vitest'
import { decodeBody, decodeHeader } from '../../src/broadcast/gossip/messages.ts'
import { Envelope } from '../../src/broadcast/gossip/envelope.ts'
import { MAX_LOG_LENGTH } from '../../src/base/limits.ts'
import type { NetOptions } from './gossip-net.ts'
import { keys, Net } from './gossip-net.ts'
import { expectSound } from './world.ts'

const SEED = Number(process.env['PEERLOG_SEED'] ?? 20261128)

function network(options: NetOptions = {}): Net {
  const net = new Net({ seed: SEED, ...options })
  onTestFinished(() => net.close())
  return net
}

function expectPeace(net: Net): void {
  expect(net.isEqual, net.describe()).toBe(true)
  for (const { store, gossip, events } of net.nodes) {
    expectSound(store)
    expect(events.filter(({ type }) => type === 'violation')).toEqual([])
    expect(gossip.dropped.unauthentic).toBe(0)
  }
}

/** Rounds that FACTS' formula gives for so many datagrams at a loss, with one filter in a hundred wrong. */
function expectedRounds(datagrams: number, loss: number): number {
  return (Math.log(datagrams) + 0.58) / -Math.log(1 - (1 - loss) ** 2 * 0.99) + 0.5
}

describe('two peers', () => {
  it.each([
    { loss: 0 },
    { loss: 0.1, duplicates: 0.1, late: 0.1 },
    { loss: 0.3, duplicates: 0.05, late: 0.2 },
    { loss: 0.5, duplicates: 0.05, late: 0.1 },
  ])('become equal: $loss lost', (options) => {
    const net = network(options)
    const [a, b] = [net.node(), net.node()]
    a.append(1000, undefined, true)
    b.append(1000)
    net.converge()
    expect(a.store.position).toBe(2000)
    expectPeace(net)
    net.run(
      () => net.nodes.every((node) => node.count('in-sync') > 0 && node.gossip.peers()[0]?.inSync === true),
      30_000,
    )
    // Of use are about 165 bytes of each event, and every datagram has to be sent 1 / (1 − loss) times.
    for (const { sentBytes } of net.nodes) expect(sentBytes).toBeLessThan((2.2 * 165 * 1000) / (1 - options.loss))
    for (const { gossip } of net.nodes) expect(gossip.waiting).toEqual({ bytes: 0, logs: 0, refused: 0 })
  })

  it.each([0.1, 0.3, 0.5])('need about as many rounds as they should: %f lost', (loss) => {
    let rounds = 0
    for (let seed = 0; seed < 4; seed++) {
      const net = network({ loss, seed: SEED + seed })
      const [a, b] = [net.node(), net.node()]
      a.append(1000)
      // Met first: what is counted is what it takes from there.
      net.run(() => net.nodes.every(({ gossip }) => gossip.peers().length === 1))
      net.converge()
      rounds += b.gossip.rounds / 4
    }
    const expected = expectedRounds(1000 / 8, loss)
    expect(rounds, `${expected} were expected`).toBeGreaterThan(expected / 2.5)
    expect(rounds, `${expected} were expected`).toBeLessThan(expected * 1.8)
  })

  it('are quiet once they are equal', () => {
    const net = network()
    const [a, b] = [net.node(), net.node()]
    a.append(3000)
    net.converge()
    net.pass(10_000)
    const before = a.sentBytes + b.sentBytes
    net.pass(60_000)
    // Two heartbeats each every two seconds: to the peer, and to whoever may be there.
    const perSecond = (a.sentBytes + b.sentBytes - before) / 60
    expect(perSecond).toBeLessThan(2 * 250)
    expect(b.count('gone')).toBe(0)
  })

  it('find one missing event among 20 000 for a few kilobytes', () => {
    const net = network()
    const [a, b] = [net.node(), net.node()]
    a.append(20_000, (i) => i)
    for (let seq = 0; seq < 20_000;) {
      const run = a.store.readRun(a.store.author, seq, 1 << 16, false)
      if (run === null) throw new Error('missing')
      b.store.ingest([run])
      seq += run.events.length
    }
    net.cut(a, b)
    a.append()
    net.pass(1000)
    net.cuts.clear()
    const before = a.sentBytes + b.sentBytes
    net.converge()
    expect(a.sentBytes + b.sentBytes - before).toBeLessThan(8000)
    expectPeace(net)
  })

  it('get a new event across at once, without being asked', () => {
    const net = network({ delay: 5 })
    const [a, b] = [net.node(), net.node()]
    net.run(() => net.nodes.every(({ gossip }) => gossip.peers().length === 1))
    net.pass(500)
    const { rounds } = b.gossip
    const at = net.now
    a.append()
    net.converge()
    expect(net.now - at).toBeLessThan(20)
    expect(b.gossip.rounds).toBe(rounds)
  })

  it('get the largest event through, in a thousand parts', () => {
    const net = network({ loss: 0.3, late: 0.1 })
    const [a, b] = [net.node(), net.node()]
    a.append(1, () => Buffer.alloc(1_048_000, 7))
    b.append(2)
    net.converge()
    expectPeace(net)
    expect(a.sentBytes).toBeLessThan(3_300_000)
  })

  it('repair false positives: nothing stays hidden behind a filter', () => {
    // Every filter has to be wrong about some of so many, and the first rounds lose nothing else.
    const net = network({ delay: 1 })
    const [a, b] = [net.node(), net.node()]
    net.cut(a, b)
    for (const node of [a, b]) node.append(4000, (i) => i)
    net.cuts.clear()
    net.converge()
    expect(a.gossip.rounds + b.gossip.rounds).toBeGreaterThan(2)
    expectPeace(net)
  })

  it('get 10 000 events across while a third is lost', () => {
    const net = network({ loss: 0.3, duplicates: 0.02, late: 0.05 })
    const [a, b] = [net.node(), net.node()]
    a.append(5000, (i) => ({ i, text: 'x'.repeat(150) }))
    b.append(5000, (i) => ({ i, text: 'y'.repeat(150) }))
    const at = net.now
    net.converge()
    expectPeace(net)
    // About three seconds as a rule; a tail of lost digests and filters may take longer.
    expect(net.now - at).toBeLessThan(40_000)
  })
})

describe('several peers', () => {
  it.each([3, 5])('%d of them become equal', (count) => {
    const net = network({ loss: 0.3, late: 0.1 })
    for (let i = 0; i < count; i++) net.node().append(200, undefined, i % 2 === 0)
    net.converge()
    expectPeace(net)
    // Some may have been equal before they met all the others.
    net.run(() => net.nodes.every(({ gossip }) => gossip.peers().length === count - 1))
  })

  it('pass on what others have, along a chain', () => {
    const net = network({ loss: 0.2 })
    const [a, b, c] = [net.node(), net.node(), net.node()]
    net.cut(a, c)
    a.append(300)
    c.append(300)
    net.converge()
    expect(a.gossip.peers().map(({ address }) => address)).toEqual([b.address])
    expectPeace(net)
  })

  it('heal after a partition, and tell who is gone meanwhile', () => {
    const net = network({ loss: 0.1 })
    const [a, b, c] = [net.node(), net.node(), net.node()]
    net.converge()
    net.run(() => net.nodes.every(({ gossip }) => gossip.peers().length === 2))
    for (const other of [a, b]) net.cut(c, other)
    for (const node of net.nodes) node.append(100)
    net.run(() => c.count('gone') === 2 && a.count('gone') === 1, 60_000)
    expect(a.store.frontierRoot()).toEqual(b.store.frontierRoot())
    net.cuts.clear()
    net.converge()
    expect(c.count('appeared')).toBe(4)
    expectPeace(net)
  })

  it('say goodbye', () => {
    const net = network()
    const [a, b] = [net.node(), net.node()]
    net.run(() => net.nodes.every(({ gossip }) => gossip.peers().length === 1))
    a.gossip.stop()
    a.pump()
    expect(a.gossip.wakeAt).toBe(Infinity)
    net.run(() => b.count('gone') === 1, 100)
    expect(b.events.at(-1)).toMatchObject({ type: 'gone', reason: 'closing', peerId: a.peerId })
  })

  it('stay in touch when a clock is set back', () => {
    const net = network()
    const [a, b] = [net.node(), net.node()]
    net.run(() => net.nodes.every(({ gossip }) => gossip.peers().length === 1))
    net.now -= 3_600_000
    a.append(10)
    net.run(() => net.isEqual, 3_700_000)
    expect(b.store.position).toBe(10)
  })
})

describe('logs that can not simply be taken', () => {
  it('a fork is proved, and the proof spreads', () => {
    const net = network({ loss: 0.3 })
    const [a, b, c] = [net.node({ author: 9 }), net.node({ author: 9 }), net.node()]
    a.append(5)
    a.append(5)
    b.append(7)
    c.append(3)
    net.converge()
    for (const { store } of net.nodes) expect(store.log(a.store.author)?.fork).not.toBeNull()
    expect(a.store.frontierRoot()).toEqual(c.store.frontierRoot())
    // And then there is nothing more to say about it.
    net.pass(10_000)
    const before = a.sentBytes
    net.pass(20_000)
    expect(a.sentBytes - before).toBeLessThan(20_000)
  })

  it('a fork of large events is proved too', () => {
    const net = network({ loss: 0.1 })
    const [a, b, c] = [net.node({ author: 9 }), net.node({ author: 9 }), net.node()]
    a.append(1, () => Buffer.alloc(60_000, 1))
    b.append(1, () => Buffer.alloc(60_000, 2))
    net.converge()
    expect(c.store.log(a.store.author)?.fork).not.toBeNull()
  })

  it.each([{ last: 20 }, { time: 1_760_000_000_000 + 5000 }])('a log begins in the middle: %j', (beginning) => {
    const net = network({ loss: 0.3 })
    const a = net.node()
    a.append(100)
    net.now += 10_000
    a.append(50, undefined, true)
    const b = net.node({ beginning })
    net.converge()
    const start = 'last' in beginning ? 130 : 99
    expect(b.store.log(a.store.author)).toMatchObject({ start })
    expect(b.store.position).toBe(150 - start)
    expectSound(b.store)
  })

  it('what only a log that begins in the middle holds is not asked for over and over', () => {
    const net = network()
    const [a, b] = [net.node(), net.node({ beginning: { last: 20 } })]
    a.append(500)
    net.converge()
    const c = net.node()
    net.cut(a, c)
    net.pass(200_000)
    const before = b.sentTo.get(c.address) as number
    expect(c.store.position).toBe(0)
    net.pass(100_000)
    expect((b.sentTo.get(c.address) as number) - before).toBeLessThan(100_000)
    // The whole is still taken when it comes.
    net.cuts.clear()
    net.converge(600_000)
    expect(c.store.position).toBe(500)
  })

  it('a clock that is ahead is waited for', () => {
    const net = network({ loss: 0.2 })
    const [a, b] = [net.node({ clockAhead: 6 * 60_000 }), net.node()]
    a.append(30)
    net.pass(30_000)
    expect(b.store.position).toBe(0)
    const before = a.sentBytes
    net.pass(20_000)
    expect(a.sentBytes - before).toBeLessThan(60_000)
    net.converge(300_000)
    expectPeace(net)
  })

  it('logs for which there is no room are left, and not asked for over and over', () => {
    const net = network({ loss: 0.2 })
    const [a, b, c] = [net.node({ maxLogs: 2 }), net.node(), net.node()]
    a.append(5)
    b.append(50)
    c.append(50)
    net.run(() => b.store.position === 105 && c.store.position === 105, 30_000)
    net.pass(70_000)
    expect(a.store.logs().length).toBe(2)
    expect(a.gossip.waiting.bytes).toBe(0)
    const before = b.sentBytes + c.sentBytes
    net.pass(60_000)
    expect(b.sentBytes + c.sentBytes - before).toBeLessThan(200_000)
  })
})

describe('what others can see', () => {
  it('is neither a database, nor an author, a subject, an id or a peer', () => {
    const net = network({ loss: 0.1 })
    const wire: Buffer[] = []
    net.onSend = (bytes) => wire.push(bytes)
    const [a, b] = [net.node(), net.node()]
    a.append(50, (i) => ({ secret: `hidden ${i}` }))
    b.append(1, () => 'hidden')
    net.converge()
    net.pass(5000)
    const all = Buffer.concat(wire)
    expect(wire.length).toBeGreaterThan(20)
    for (const text of ['gossip', 'hidden', 'secret', 'peerlog']) expect(all.includes(text)).toBe(false)
    const secrets: Buffer[] = [a.peerId, b.peerId, a.store.author, b.store.author].map((hex) => Buffer.from(hex, 'hex'))
    secrets.push(keys.datagrams, keys.tag, a.store.frontierRoot())
    const { items } = a.store.items.after(0, MAX_LOG_LENGTH)
    secrets.push(...items.map(({ id }) => id))
    for (const secret of secrets) expect(all.includes(secret.subarray(0, 8))).toBe(false)
    // Nothing but version and tag is ever the same.
    const rests = new Set(wire.map((bytes) => bytes.subarray(9, 33).toString('hex')))
    expect(rests.size).toBe(new Set(wire).size)
    for (const bytes of wire) expect(bytes.length).toBeLessThanOrEqual(1232)
  })

  it('filters name no events: members learn by them only of what they hold themselves', () => {
    const net = network()
    const envelope = new Envelope(keys.datagrams, (bytes) => Buffer.alloc(bytes))
    const types = new Map<string, number>()
    let asked: Buffer[] = []
    net.onSend = (bytes, from) => {
      const message = decodeBody(decodeHeader(envelope.open(bytes) as Buffer)?.body as Buffer)
      const type = message?.type ?? 'none'
      types.set(type, (types.get(type) ?? 0) + 1)
      if (from === net.nodes[1] && type !== 'events') asked.push(envelope.open(bytes) as Buffer)
    }
    const [a] = [net.node(), net.node()]
    a.append(200)
    net.converge()
    const { items } = a.store.items.after(0, 1000)
    const said = Buffer.concat(asked)
    for (const { id } of items) expect(said.includes(id.subarray(0, 8))).toBe(false)
    expect(said.includes(Buffer.from(a.store.author, 'hex'))).toBe(false)
    expect([...types.keys()].sort()).toEqual(['digest', 'events', 'filter', 'heartbeat'])
    asked = []
  })
})

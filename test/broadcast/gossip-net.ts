/**
 * A network without sockets and clocks: gossip cores over real stores, joined by a network that loses, repeats, delays and
 * reorders datagrams as a seed says. Time passes only in it.
 */
import { expect } from 'vitest'
import { dice } from '../../src/base/dice.ts'
import { Heap } from '../../src/base/heap.ts'
import { hash } from '../../src/base/hash.ts'
import type { GossipOutput } from '../../src/broadcast/gossip/output.ts'
import { Gossip } from '../../src/broadcast/gossip/gossip.ts'
import { encodeData } from '../../src/event/data.ts'
import { deriveDatabaseKeys } from '../../src/event/keys.ts'
import { EventStore } from '../../src/store/event-store.ts'
import type { EventStoreOptions } from '../../src/store/options.ts'
import { Envelope } from '../../src/broadcast/gossip/envelope.ts'
import type { Message } from '../../src/broadcast/gossip/messages.ts'
import {
  decodeBody,
  decodeHeader,
  encodeHeartbeat,
  encodeMessage,
  NO_COOKIE,
} from '../../src/broadcast/gossip/messages.ts'
import { START } from './world.ts'

export const DATABASE = 'gossip'
export const keys = await deriveDatabaseKeys(DATABASE, Buffer.alloc(32, 7))

/** Bytes of chance, the same for the same seed. */
function bytesFrom(seed: number): (bytes: number) => Buffer {
  const random = dice(seed)
  return (bytes) => Buffer.from(Array.from({ length: bytes }, () => Math.floor(random() * 256)))
}

export interface NetOptions {
  seed?: number
  /** Shares of datagrams that are lost, that come twice, and that come late by up to ten times the delay. */
  loss?: number
  duplicates?: number
  late?: number
  /** Milliseconds, one way. */
  delay?: number
}

/** Something at an address: a node, or whoever a test puts there. */
export interface Station {
  readonly address: string
  receive(bytes: Buffer, address: string): void
}

interface Flight {
  at: number
  no: number
  bytes: Buffer
  from: string
  to: Station
}

export class Net {
  now: number = START
  readonly random: () => number
  readonly nodes: GossipNode[] = []
  /** All that can be heard by others: the nodes, and whoever a test adds. */
  readonly stations: Station[] = []
  readonly options: Required<NetOptions>
  /** Who can't hear whom. */
  readonly cuts = new Set<string>()
  readonly #flights = new Heap<Flight>((a, b) => a.at < b.at || (a.at === b.at && a.no < b.no))
  #sent = 0
  /** Every datagram that was sent. */
  onSend: (bytes: Buffer, from: Station, to: Station) => void = () => {}

  constructor(options: NetOptions = {}) {
    this.options = { seed: 1, loss: 0, duplicates: 0, late: 0, delay: 5, ...options }
    this.random = dice(this.options.seed)
  }

  node(options: NodeOptions = {}): GossipNode {
    const node = new GossipNode(this, this.nodes.length + 1, options)
    this.nodes.push(node)
    this.stations.push(node)
    return node
  }

  cut(a: Station, b: Station): void {
    this.cuts.add(`${a.address} ${b.address}`).add(`${b.address} ${a.address}`)
  }

  send(from: GossipNode, output: Extract<GossipOutput, { type: 'send' }>): void {
    for (const to of this.stations) {
      if (to === from || (output.to !== 'all' && output.to !== to.address)) continue
      from.sentBytes += output.bytes.length
      from.sentTo.set(to.address, (from.sentTo.get(to.address) ?? 0) + output.bytes.length)
      this.onSend(output.bytes, from, to)
      if (this.cuts.has(`${from.address} ${to.address}`)) continue
      for (let copy = 0; copy < 2; copy++) {
        if (copy === 1 && this.random() >= this.options.duplicates) break
        if (this.random() < this.options.loss) continue
        const factor = this.random() < this.options.late ? 1 + 9 * this.random() : 1
        this.inject(output.bytes, from.address, to, this.options.delay * factor)
      }
    }
  }

  /** Lets a datagram arrive, from whatever address it says. */
  inject(bytes: Buffer, from: string, to: Station, delay = 0): void {
    this.#flights.push({ at: this.now + delay, no: this.#sent++, bytes: Buffer.from(bytes), from, to })
  }

  /** Goes on until a condition holds; time passes as needed. */
  run(until: () => boolean, withinMs = 120_000): void {
    const end = this.now + withinMs
    for (let steps = 0; !until(); steps++) {
      if (steps > 3_000_000) throw new Error('too many steps')
      const flight = this.#flights.first()
      const wakeAt = Math.min(...this.nodes.map((node) => node.wakeAt))
      const at = Math.max(this.now, Math.min(flight?.at ?? Infinity, wakeAt))
      if (at > end) throw new Error(`not in time: ${this.describe()}`)
      this.now = at
      if (flight !== undefined && flight.at <= at) {
        this.#flights.pop()
        flight.to.receive(flight.bytes, flight.from)
      }
      for (const node of this.nodes) if (node.wakeAt <= this.now) node.wake()
    }
  }

  pass(ms: number): void {
    const end = this.now + ms
    try {
      this.run(() => this.now > end, ms)
    } catch (error) {
      if (!(error as Error).message.startsWith('not in time')) throw error
    }
    this.now = end
  }

  describe(): string {
    return this.nodes
      .map(
        ({ address, store, gossip }) =>
          `${address}: ${store.position} events, waiting ${JSON.stringify(gossip.waiting)}, peers ${JSON.stringify(gossip.peers())}`,
      )
      .join('; ')
  }

  get isEqual(): boolean {
    const roots = new Set(this.nodes.map(({ store }) => store.frontierRoot().toString('hex')))
    return roots.size === 1
  }

  converge(withinMs?: number): void {
    this.run(() => this.isEqual, withinMs)
  }

  close(): void {
    for (const { store } of this.nodes) store.close()
  }
}

export type NodeOptions = Pick<EventStoreOptions, 'beginning' | 'maxLogs'> & { author?: number; clockAhead?: number }

export class GossipNode implements Station {
  readonly net: Net
  readonly address: string
  readonly store: EventStore
  readonly gossip: Gossip
  readonly peerId: string
  readonly events: GossipOutput[] = []
  sentBytes = 0
  readonly sentTo = new Map<string, number>()
  wakeAt = 0
  #held = Infinity

  constructor(net: Net, no: number, { author = no, clockAhead = 0, ...options }: NodeOptions) {
    this.net = net
    this.address = `192.0.2.${no}:4000`
    this.store = EventStore.open({
      path: ':memory:',
      databaseId: DATABASE,
      keys,
      authorSeed: Buffer.alloc(32, author),
      ...options,
      now: () => net.now + clockAhead,
    })
    this.peerId = hash(Buffer.from(`peer ${no}`)).toString('hex')
    this.gossip = new Gossip({
      replica: this.store,
      key: keys.datagrams,
      peerId: this.peerId,
      random: bytesFrom(1000 + no + net.options.seed),
    })
    this.store.onCommit((commit) => {
      this.gossip.changed(commit, this.net.now)
      this.pump()
    })
    this.gossip.start(net.now)
    this.pump()
  }

  append(count = 1, data: (i: number) => unknown = (i) => ({ text: 'hello', i }), separately = false): void {
    const items = Array.from({ length: count }, (_, i) => {
      const value = data(i)
      return { subject: 'a', type: '', data: value, encoded: encodeData(value) }
    })
    for (const group of separately ? items.map((item) => [item]) : [items]) {
      this.store.append(group).catch(() => undefined)
      this.store.flush()
    }
  }

  receive(bytes: Buffer, address: string): void {
    this.gossip.receive(bytes, address, this.net.now)
    this.pump()
  }

  wake(): void {
    if (this.#held <= this.net.now) this.#held = this.store.releaseHeld() ?? Infinity
    this.gossip.wake(this.net.now)
    this.pump()
    expect(this.wakeAt, 'a timer in the past').toBeGreaterThan(this.net.now)
  }

  #pumping = false

  pump(): void {
    if (this.#pumping) return
    this.#pumping = true
    for (let output = this.gossip.poll(this.net.now); output !== null; output = this.gossip.poll(this.net.now)) {
      this.#perform(output)
    }
    this.#pumping = false
    this.wakeAt = Math.min(this.gossip.wakeAt, this.#held)
  }

  #perform(output: GossipOutput): void {
    if (output.type === 'send') return this.net.send(this, output)
    if (output.type === 'ingest') {
      const statuses = this.store.ingest(output.runs)
      this.gossip.ingested(statuses, this.net.now)
      if (statuses.includes('held')) this.#held = this.store.releaseHeld() ?? Infinity
    } else if (output.type === 'ingest-proof') {
      this.gossip.proofIngested(this.store.ingestForkProof(output.proof))
    } else this.events.push(output)
  }

  count(type: GossipOutput['type']): number {
    return this.events.filter((event) => event.type === type).length
  }
}

/** A member that is not one of ours: knows the key, and sends what it likes from an address that it has proved. */
export class Rogue implements Station {
  readonly address: string
  readonly peerId: Buffer
  readonly net: Net
  readonly envelope: Envelope
  readonly epoch: Buffer
  /** By address: the cookie that was given to us there. */
  readonly cookies = new Map<string, Buffer>()
  readonly heard: { from: string; message: Message; bytes: number }[] = []
  counter = 0
  /** Answer heartbeats, as whoever wants to be let in does. */
  isPolite = true

  constructor(net: Net, no: number, options: { peerId?: Buffer; key?: Buffer } = {}) {
    this.net = net
    this.address = `198.51.100.${no}:5000`
    this.peerId = options.peerId ?? hash(Buffer.from(`rogue ${no}`))
    this.epoch = hash(Buffer.from(`epoch ${no}`)).subarray(0, 8)
    this.envelope = new Envelope(options.key ?? keys.datagrams, bytesFrom(77 + no))
    net.stations.push(this)
  }

  receive(bytes: Buffer, from: string): void {
    const opened = this.envelope.open(bytes)
    if (opened === null) return
    const decoded = decodeHeader(opened)
    const message = decoded === null ? null : decodeBody(decoded.body)
    if (message === null) throw new Error('an honest node sent nonsense')
    this.heard.push({ from, message, bytes: bytes.length })
    if (message.type !== 'heartbeat') return
    if (!message.cookie.equals(NO_COOKIE)) this.cookies.set(from, Buffer.from(message.cookie))
    const to = this.net.nodes.find(({ address }) => address === from)
    if (this.isPolite && to !== undefined) this.greet(to)
  }

  sealed(to: Station, body: Buffer): Buffer {
    const echo = this.cookies.get(to.address) ?? NO_COOKIE
    const header = { sender: this.peerId, epoch: this.epoch, counter: this.counter++, echo }
    return this.envelope.seal(encodeMessage(header, body))
  }

  send(to: Station, body: Buffer, from = this.address): void {
    this.net.inject(this.sealed(to, body), from, to, this.net.options.delay)
  }

  greet(to: Station, root: Buffer = hash(Buffer.from('another root'))): void {
    const { now } = this.net
    this.send(to, encodeHeartbeat({ root, items: 1, time: now, heard: null, delay: 0, cookie: Buffer.alloc(8, 1) }))
  }

  /** Gets let in by a node. */
  join(to: GossipNode): void {
    this.greet(to)
    this.net.run(() => to.gossip.peers().some(({ address }) => address === this.address), 5000)
  }
}

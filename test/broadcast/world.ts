/**
 * A world without sockets and clocks: session cores over real stores, joined by pipes that keep the order, lose
 * nothing and hold a bounded number of bytes. A seed decides who is heard when; time passes only when nobody has
 * anything left to say.
 */
import { expect } from 'vitest'
import { dice } from '../../src/base/dice.ts'
import { ClaimTable } from '../../src/broadcast/claims.ts'
import type { EndReason } from '../../src/broadcast/end-reason.ts'
import { isOffence } from '../../src/broadcast/end-reason.ts'
import type { Output } from '../../src/broadcast/output.ts'
import { SharedPace } from '../../src/broadcast/pace.ts'
import { Session } from '../../src/broadcast/session.ts'
import { encodeData } from '../../src/event/data.ts'
import { decodeEventHeader } from '../../src/event/event.ts'
import type { DatabaseKeys } from '../../src/event/keys.ts'
import { deriveDatabaseKeys } from '../../src/event/keys.ts'
import { Mmr } from '../../src/event/mmr.ts'
import { hash } from '../../src/base/hash.ts'
import { EventStore } from '../../src/store/event-store.ts'
import type { EventStoreOptions } from '../../src/store/options.ts'
import type { NewEvent } from '../../src/store/own-log.ts'

export const DATABASE = 'world'
export const keys: DatabaseKeys = await deriveDatabaseKeys(DATABASE)
/** When every world begins. */
export const START = 1_760_000_000_000

export function newEvent(data: unknown, subject = 'a'): NewEvent {
  return { subject, type: '', data, encoded: encodeData(data) }
}

export interface WorldOptions {
  seed?: number
  /** Bytes that a pipe holds before its sender must wait. */
  pipeBytes?: number
}

/** What a node's store is opened with besides. */
export type NodeOptions = Pick<EventStoreOptions, 'beginning' | 'maxLogs'>

export class World {
  now: number = START
  readonly random: () => number
  readonly nodes: Node[] = []
  readonly links: Link[] = []
  readonly pipeBytes: number
  #authors = 0

  constructor(options: WorldOptions = {}) {
    this.random = dice(options.seed ?? 1)
    this.pipeBytes = options.pipeBytes ?? 1 << 20
  }

  below(count: number): number {
    return Math.floor(this.random() * count)
  }

  /** @param author number that the author's key is made from; by default a key of its own. */
  node(author: number = ++this.#authors, clockAhead = 0, path = ':memory:', options: NodeOptions = {}): Node {
    const node = new Node(this, author, clockAhead, path, options)
    this.nodes.push(node)
    return node
  }

  meet(a: Node, b: Node): Link {
    const link = new Link(this, a, b)
    this.links.push(link)
    return link
  }

  close(): void {
    for (const link of this.links.slice()) link.cut()
    for (const { store } of this.nodes) store.close()
  }

  /** One thing that can happen now: a message arrives, or a store's news is heard. False if there is none. */
  step(): boolean {
    const ends = this.links.flatMap(({ ends }) => ends).filter((end) => end.inbox.length > 0)
    const releasing = this.nodes.filter(({ released }) => released.length > 0)
    const choice = this.below(ends.length + releasing.length)
    const end = ends[choice]
    if (end !== undefined) end.deliver()
    else releasing[choice - ends.length]?.unblock()
    return ends.length + releasing.length > 0
  }

  /** The next moment at which somebody wants to be woken. */
  get wakeAt(): number {
    let at = Infinity
    for (const { ends } of this.links) for (const end of ends) at = Math.min(at, end.session.wakeAt)
    for (const node of this.nodes) at = Math.min(at, node.heldAt)
    return at
  }

  /** Lets time pass until that moment, and wakes whoever wants to be. */
  wake(at: number): void {
    this.now = Math.max(this.now, at)
    for (const node of this.nodes) node.releaseHeld()
    for (const { ends } of this.links) {
      for (const end of ends) {
        if (end.session.wakeAt > this.now) continue
        end.session.wake(this.now)
        end.pump()
        if (!end.isBlocked) expect(end.session.wakeAt, 'a timer in the past').toBeGreaterThan(this.now)
      }
    }
  }

  /** Goes on until nothing is on its way, and no timer but those of idle connections is left. Time passes as needed. */
  settle(options: { withinMs?: number; until?: () => boolean } = {}): void {
    const until = this.now + (options.withinMs ?? 60_000)
    const isDone = options.until ?? (() => this.isSettled)
    for (let steps = 0; ; steps++) {
      if (steps > 2_000_000) throw new Error('the world does not come to rest')
      if (this.step()) continue
      if (isDone()) return
      if (this.wakeAt > until) throw new Error(`not settled in time: ${this.describe()}`)
      this.wake(this.wakeAt)
    }
  }

  /** Lets so many milliseconds pass, and everything happen that happens meanwhile. */
  pass(ms: number): void {
    const until = this.now + ms
    for (;;) {
      while (this.step());
      if (this.wakeAt > until) break
      this.wake(this.wakeAt)
    }
    this.now = until
  }

  get isSettled(): boolean {
    return this.links.every(({ ends }) => ends.every(({ session }) => session.ended || session.inSync))
  }

  describe(): string {
    return this.links
      .flatMap(({ ends }) => ends)
      .map(({ name, session, ended }) => `${name}: inSync ${session.inSync}, ended ${ended?.reason ?? session.ended}`)
      .join('; ')
  }

  /** What must be true of all connected replicas at rest. */
  expectAgreement(nodes: readonly Node[] = this.nodes): void {
    const [first] = nodes
    for (const node of nodes) {
      expect(node.store.frontierRoot().toString('hex'), `root of ${node.name}`).toBe(
        first?.store.frontierRoot().toString('hex'),
      )
      node.expectSound()
      expect(node.claims.size, `claims of ${node.name}`).toBe(0)
    }
    for (const { ends } of this.links) {
      for (const end of ends) {
        if (end.ended !== null)
          expect(isOffence(end.ended.reason), `${end.name} ended: ${end.ended.detail}`).toBe(false)
        else expect(end.session.inSync, `${end.name} in sync`).toBe(true)
      }
    }
  }
}

export class Node {
  readonly world: World
  readonly name: string
  readonly store: EventStore
  readonly ends = new Set<End>()
  released: string[] = []
  readonly claims = new ClaimTable((author) => this.released.push(author))
  /** The end whose session has received what is being stored. */
  ingesting: End | null = null
  heldAt = Infinity
  readonly delivered: string[] = []

  constructor(world: World, author: number, clockAhead: number, path: string, options: NodeOptions) {
    this.world = world
    this.name = `node ${world.nodes.length}`
    this.store = EventStore.open({
      path,
      databaseId: DATABASE,
      keys,
      authorSeed: Buffer.alloc(32, author),
      ...options,
      now: () => world.now + clockAhead,
    })
    this.store.onCommit(({ runs, forks }) => {
      for (const { ids } of runs) this.delivered.push(...ids.map((id) => id.toString('hex')))
      for (const end of this.ends) {
        end.session.changed(runs, end === this.ingesting)
        if (forks.length > 0) end.session.forked(forks)
        end.pump()
      }
    })
  }

  append(count = 1, data: unknown = { text: 'hello' }): void {
    const items = Array.from({ length: count }, () => newEvent(data))
    this.store.append(items).catch(() => undefined)
    this.store.flush()
  }

  /** Takes over everything of another node, without a session. */
  copy(from: Node): void {
    for (const { hex, mmr } of from.store.logs()) {
      for (let seq = 0; seq < mmr.length;) {
        const run = from.store.readRun(hex, seq, 1 << 16, false)
        if (run === null) throw new Error('a stored event is missing')
        expect(this.store.ingest([run])).toEqual(['stored'])
        seq += run.events.length
      }
    }
  }

  /** What has arrived so far of another author. */
  lengthOf(other: Node): number {
    return this.store.log(other.store.author)?.mmr.length ?? 0
  }

  ingest(end: End, output: Extract<Output, { type: 'ingest' | 'ingest-proof' }>): void {
    this.ingesting = end
    if (output.type === 'ingest') {
      const statuses = this.store.ingest(output.runs)
      end.session.ingested(statuses, this.world.now)
      this.ingesting = null
      if (statuses.includes('held')) this.releaseHeld()
    } else {
      end.session.proofIngested(this.store.ingestForkProof(output.proof))
    }
    this.ingesting = null
  }

  releaseHeld(): void {
    this.heldAt = Math.max(this.store.releaseHeld() ?? Infinity, this.world.now + 1)
  }

  unblock(): void {
    const { released } = this
    this.released = []
    for (const end of this.ends) {
      end.session.unblock(released)
      end.pump()
    }
  }

  /** Every event is here once, was told once, and verifies from the stored bytes alone. */
  expectSound(): void {
    expectSound(this.store)
    expect(new Set(this.delivered).size, `events told by ${this.name}`).toBe(this.delivered.length)
    expect(this.delivered.length).toBe(this.store.position)
  }
}

export function expectSound(store: EventStore): void {
  let events = 0
  for (const log of store.logs()) {
    const peaks = store.readRun(log.hex, log.start, 1, true)?.peaks
    const mmr = Mmr.from(log.start, peaks ?? Buffer.alloc(0))
    while (mmr.length < log.mmr.length) {
      const run = store.readRun(log.hex, mmr.length, 1 << 20, false)
      if (run === null) throw new Error('a stored event is missing')
      for (const bytes of run.events) {
        const header = decodeEventHeader(bytes)
        if (typeof header === 'string') throw new Error(header)
        expect(header.seq).toBe(mmr.length)
        mmr.append(hash(bytes))
        events++
      }
    }
    expect(mmr.root().equals(log.root)).toBe(true)
  }
  expect(store.position).toBe(events)
}

let handshakes = 0

/** A connection between two nodes. */
export class Link {
  readonly ends: readonly [End, End]
  readonly #world: World

  constructor(world: World, a: Node, b: Node) {
    this.#world = world
    const handshakeHash = hash(Buffer.from(`handshake ${handshakes++}`))
    const first = new End(world, a, handshakeHash, true, `${a.name}→${b.name}`)
    const second = new End(world, b, handshakeHash, false, `${b.name}→${a.name}`)
    first.peer = second
    second.peer = first
    this.ends = [first, second]
    for (const end of this.ends) end.start()
  }

  /** The network is gone: what is on its way is lost. */
  cut(): void {
    for (const end of this.ends) end.lost()
    this.#world.links.splice(this.#world.links.indexOf(this), 1)
  }
}

/** One side of a connection, as `PeerLink` is one over a real one. */
export class End {
  readonly name: string
  readonly node: Node
  readonly session: Session
  peer: End | null = null
  /** The other side reads nothing. */
  isStuck = false
  /** What is on its way here. */
  inbox: Buffer[] = []
  inboxBytes = 0
  /** Everything that was sent from here. */
  sentBytes = 0
  readonly sent: Buffer[] = []
  readonly events: Output[] = []
  ended: { reason: EndReason; detail: string; byPeer: boolean } | null = null
  #pumping = false
  readonly #world: World

  constructor(world: World, node: Node, handshakeHash: Buffer, initiator: boolean, name: string) {
    this.#world = world
    this.node = node
    this.name = name
    const { store: replica, claims } = node
    const marks = replica.marks.of(this.#peerName)
    const pace = new SharedPace(() => node.ends.size)
    const admissionKey = keys.admission
    this.session = new Session({ initiator, handshakeHash, admissionKey, replica, claims, pace, marks })
    node.ends.add(this)
  }

  get #peerName(): string {
    return this.name.split('→').at(-1) as string
  }

  get isBlocked(): boolean {
    return this.isStuck || (this.peer?.inboxBytes ?? 0) >= this.#world.pipeBytes
  }

  start(): void {
    this.session.start(this.#world.now)
    this.pump()
  }

  deliver(): void {
    const message = this.inbox.shift()
    if (message === undefined) return
    this.inboxBytes -= message.length
    this.session.receive(message, this.#world.now)
    this.pump()
    this.peer?.pump()
  }

  pump(): void {
    if (this.#pumping || this.ended !== null) return
    this.#pumping = true
    for (;;) {
      const output = this.session.poll(this.#world.now, !this.isBlocked)
      if (output === null) break
      if (output.type === 'send') this.#send(output.bytes)
      else if (output.type === 'ingest' || output.type === 'ingest-proof') this.node.ingest(this, output)
      else if (output.type === 'mark') this.node.store.marks.remember(this.#peerName, output.mark)
      else this.events.push(output)
      if (output.type !== 'end') continue
      if (output.farewell !== null) this.#send(output.farewell)
      this.ended = output
      this.node.ends.delete(this)
      break
    }
    this.#pumping = false
  }

  #send(bytes: Buffer): void {
    this.sent.push(bytes)
    this.sentBytes += bytes.length
    if (this.peer === null || this.peer.session.ended) return
    this.peer.inbox.push(Buffer.from(bytes))
    this.peer.inboxBytes += bytes.length
  }

  lost(): void {
    this.session.lost()
    this.inbox = []
    this.inboxBytes = 0
    this.peer = null
    this.node.ends.delete(this)
  }

  /** How often the session came to be in sync. */
  get inSyncs(): number {
    return this.events.filter(({ type }) => type === 'in-sync').length
  }
}

import { hash } from '../base/hash.ts'
import { BanList } from '../broadcast/ban-list.ts'
import { ClaimTable } from '../broadcast/claims.ts'
import { isOffence } from '../broadcast/end-reason.ts'
import type { EndReason } from '../broadcast/end-reason.ts'
import { SharedPace } from '../broadcast/pace.ts'
import type { StoreCommit } from '../broadcast/replication-options.ts'
import type { RunStatus } from '../broadcast/receiver.ts'
import { Session } from '../broadcast/session.ts'
import type { NewEvent } from '../store/own-log.ts'
import { EventStore } from '../store/event-store.ts'
import type { Event } from '../store/stored-event.ts'
import type { Device } from './device.ts'
import { DatagramLink } from './datagram-link.ts'
import { Dialer } from './dialer.ts'
import type { SessionHandlers } from './peer-session.ts'
import { PeerSession } from './peer-session.ts'
import { ProcessTime } from './process-time.ts'
import type { StreamEnd } from './stream.ts'
import { Streams } from './streams.ts'
import { DATABASE } from './limits.ts'
import type { World } from './world.ts'

/** Sessions of one peer: two, because both sides may have dialled. */
const MAX_SESSIONS_PER_PEER = 2

type IngestOutput = Parameters<SessionHandlers['ingest']>[1]

/** One life of a device, from its start to its end or crash: a store, and sessions over streams. */
export class Process implements SessionHandlers {
  readonly time: ProcessTime
  readonly store: EventStore
  readonly claims: ClaimTable = new ClaimTable((author) => this.#onRelease(author))
  readonly links: Set<PeerSession> = new Set()
  readonly #device: Device
  readonly #world: World
  readonly #streams: Streams
  readonly #dialer: Dialer
  readonly #datagrams: DatagramLink | null
  readonly #bans = new BanList()
  readonly #pace = new SharedPace(() => this.links.size)
  #released: string[] = []
  #ingesting: PeerSession | null = null
  #heldTimer = 0

  constructor(device: Device, world: World) {
    this.#device = device
    this.#world = world
    this.time = new ProcessTime(world.scheduler, (task) => device.guard(task))
    const { chance } = device
    this.#streams = new Streams({
      device: device.number,
      time: this.time,
      network: world.network,
      newId: () => world.newStreamId(),
      accept: (end) => this.#serve(end),
    })
    this.#dialer = new Dialer(
      this.time,
      () => chance.next(),
      (peer) => this.#serve(this.#streams.dial(peer)),
    )
    this.store = EventStore.open({
      path: device.path,
      databaseId: DATABASE,
      keys: world.keys,
      authorSeed: device.authorSeed,
      now: () => device.clock.now(),
      random: (into) => device.nonces.fill(into),
      openFile: device.disk.open,
    })
    const { store, time } = this
    const ingested = this.#ingested.bind(this)
    this.#datagrams = world.usesDatagrams ? new DatagramLink({ device, world, time, store, ingested }) : null
  }

  /** After the device has looked at the store. */
  start(): void {
    this.store.onCommit((commit) => this.#onCommit(commit))
    this.#world.network.attach(this.#device.number, (from, packet) => {
      if (!this.time.isAwake) return
      this.#device.guard(() => {
        if (packet.kind === 'datagram') this.#datagrams?.receive(from, packet.datagram)
        else this.#streams.receive(from, packet)
      })
    })
    this.want()
    this.#datagrams?.start()
    this.#checkHeld()
  }

  /** Dials those whom the device knows now. */
  want(): void {
    if (this.#world.usesStreams) this.#dialer.want(this.#world.dialled(this.#device.number))
  }

  hurry(): void {
    this.#dialer.hurry()
  }

  append(items: NewEvent[]): Promise<Event[]> {
    const appended = this.store.append(items)
    this.store.flush()
    return appended
  }

  /** Says goodbye to everybody and closes. */
  close(): void {
    this.#dialer.want([])
    for (const link of this.links) link.close()
    this.#datagrams?.stop()
    this.store.close()
    this.time.end()
    this.#world.network.attach(this.#device.number, null)
  }

  /** What is left to do after a crash: nothing of it is heard of any more. */
  end(): void {
    this.time.end()
    this.#streams.drop()
    this.#world.network.attach(this.#device.number, null)
  }

  /** A liar may be asked for something at any time: it is let in again and again. */
  get meetsLiar(): boolean {
    for (const { peer } of this.links) if (this.#world.device(peer).isLiar) return true
    return false
  }

  get isAtRest(): boolean {
    for (const { session, peer } of this.links) {
      if (!session.inSync && !this.#world.device(peer).isLiar) return false
    }
    const heard = this.#datagrams?.peers ?? []
    return heard.every(({ number, inSync }) => inSync || this.#world.device(number).isLiar)
  }

  // ---- sessions ---------------------------------------------------------------------------------------------------

  #serve(stream: StreamEnd): void {
    const { peer, initiator } = stream
    const isBanned = (): boolean => this.#bans.isBanned(this.#world.peerId(peer), this.#device.clock.now())
    if (!initiator) {
      if (isBanned() || this.#sessionsOf(peer) >= MAX_SESSIONS_PER_PEER) return stream.close()
      return this.#begin(stream)
    }
    stream.handlers = {
      opened: () => {
        if (!isBanned()) return this.#begin(stream)
        stream.drop()
        this.#dialer.ended(peer)
      },
      message: () => {},
      writable: () => {},
      closed: () => this.#dialer.ended(peer),
    }
  }

  #sessionsOf(peer: number): number {
    let count = 0
    for (const link of this.links) if (link.peer === peer) count++
    return count
  }

  #begin(stream: StreamEnd): void {
    const { initiator, peer } = stream
    const session = new Session({
      initiator,
      handshakeHash: hash(Buffer.from(`stream ${stream.id}`, 'utf8')),
      admissionKey: this.#world.keys.admission,
      replica: this.store,
      claims: this.claims,
      pace: this.#pace,
      marks: this.store.marks.of(this.#world.peerId(peer)),
    })
    const link = new PeerSession(stream, session, this.time, this.#device.clock, this)
    this.links.add(link)
    link.start()
  }

  ingest(link: PeerSession, output: IngestOutput): void {
    const { store } = this
    this.#ingesting = link
    try {
      if (output.type === 'ingest-proof') return link.session.proofIngested(store.ingestForkProof(output.proof))
      const statuses = store.ingest(output.runs)
      link.session.ingested(statuses, this.#device.clock.now())
      this.#ingested(
        statuses,
        output.runs.map(({ events }) => events.length),
      )
    } finally {
      this.#ingesting = null
    }
  }

  #ingested(statuses: readonly RunStatus[], events: readonly number[]): void {
    for (const [i, status] of statuses.entries()) {
      if (status === 'duplicate') this.#world.gauge.redundant(events[i] ?? 0)
    }
    if (statuses.includes('held')) this.time.in(0, () => this.#checkHeld())
  }

  sent(link: PeerSession, message: Buffer): Buffer {
    const bytes = this.#device.tongue?.altered(message) ?? message
    this.#world.sent(this.#device.number, link.peer, bytes)
    return bytes
  }

  received(link: PeerSession, message: Buffer): void {
    this.#world.received(this.#device.number, link.peer, message)
  }

  admitted(link: PeerSession): void {
    if (link.initiator) this.#dialer.succeeded(link.peer)
  }

  mark(link: PeerSession, { mark }: Parameters<SessionHandlers['mark']>[1]): void {
    this.store.marks.remember(this.#world.peerId(link.peer), mark)
  }

  ended(link: PeerSession, end: { reason: EndReason; detail: string; byPeer: boolean } | null): void {
    this.links.delete(link)
    if (link.initiator) this.#dialer.ended(link.peer)
    if (end === null || end.reason === 'closing') return
    if (isOffence(end.reason)) this.#bans.add(this.#world.peerId(link.peer), this.#device.clock.now())
    this.#world.blamed(this.#device, link.peer, end)
  }

  #onRelease(author: string): void {
    if (this.links.size < 2 || this.#released.push(author) > 1) return
    this.time.in(0, () => {
      const released = this.#released
      this.#released = []
      for (const link of this.links) {
        link.session.unblock(released)
        link.pump()
      }
    })
  }

  // ---- the store --------------------------------------------------------------------------------------------------

  #onCommit(commit: StoreCommit): void {
    this.#device.stored(commit)
    for (const link of this.links) {
      link.session.changed(commit.runs, link === this.#ingesting)
      if (commit.forks.length > 0) link.session.forked(commit.forks)
      link.pump()
    }
    this.#datagrams?.changed(commit)
  }

  /** Stores what was held back and is due, and comes back when more of it is. */
  #checkHeld(): void {
    const next = this.store.releaseHeld()
    if (next === null) return
    const number = ++this.#heldTimer
    const wait = Math.max(1000, next - this.#device.clock.now())
    this.time.in(this.#device.clock.trueMs(wait), () => {
      if (number === this.#heldTimer) this.#checkHeld()
    })
  }
}

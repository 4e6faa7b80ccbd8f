import { createHash } from 'node:crypto'
import type { Client } from '../client.ts'
import { MAX_CARDS } from '../frames.ts'
import type { NatsOptions } from '../relay-options.ts'
import type { RelayLogger } from '../relay.ts'
import type { Member, Room } from '../room.ts'
import type { Elsewhere, Switchboard } from '../switchboard.ts'
import { type BusFrame, type BusMessage, decodeBusMessage } from './bus-frames.ts'
import { Bus, idOf } from './bus.ts'
import { Drops } from './drops.ts'
import { Instance } from './instance.ts'
import { BEAT_MS, MAX_INSTANCES, MAX_MISSED_BEATS, SEEK_JITTER_MS } from './limits.ts'
import { Lookups } from './lookups.ts'
import { Matchmaker } from './matchmaker.ts'
import { Seeks } from './seeks.ts'
import { parseNats } from './servers.ts'
import type { ClusterStats } from './stats.ts'

interface OpenRoom {
  subject: string
  /** Whether others reach it, as far as they can be reached at all. */
  reachable: boolean
  unsubscribe(): void
}

/** The other instances of the service, met on NATS. */
export class Cluster implements Elsewhere {
  readonly #bus: Bus
  readonly #prefix: string
  readonly #logger: RelayLogger | undefined
  readonly #matchmaker: Matchmaker
  readonly #seeks: Seeks
  readonly #lookups = new Lookups()
  readonly #drops = new Drops()
  readonly #rooms = new Map<Room, OpenRoom>()
  /** By id. */
  readonly #instances = new Map<string, Instance>()
  /** Ids of those who fell silent: if they are back, it was NATS that was torn. */
  readonly #buried = new Set<string>()
  readonly #held = new Set<Client>()
  readonly #heart: NodeJS.Timeout
  #jitter: NodeJS.Timeout | undefined
  /** Heartbeats since the last of ours that came back. */
  #silentBeats = 0
  #formerSecret: Buffer | undefined
  #isDown = false
  #framesIn = 0
  #bytesIn = 0

  private constructor(options: NatsOptions, switchboard: Switchboard, logger: RelayLogger | undefined) {
    const servers = parseNats(options)
    this.#prefix = servers.prefix
    this.#logger = logger
    this.#bus = new Bus(servers, {
      onUp: () => this.#onUp(),
      onDown: (reason) => this.#onDown(reason),
      onRelief: () => this.#onRelief(),
    })
    this.#seeks = new Seeks((member, frame) => {
      const subject = this.#rooms.get(member.room)?.subject
      if (subject !== undefined) this.#bus.send(subject, frame)
    })
    this.#matchmaker = new Matchmaker(this.#bus, switchboard, this.#seeks, this.#drops)
    this.#heart = setInterval(() => this.#beat(), BEAT_MS)
    switchboard.join(this)
  }

  /**
   * Joins the others. Resolves after the first attempt to reach NATS: without it the relay serves its own clients, and
   * it is tried again for ever.
   * @throws {RangeError} if the options are wrong
   */
  static async join(options: NatsOptions, switchboard: Switchboard, logger?: RelayLogger): Promise<Cluster> {
    const cluster = new Cluster(options, switchboard, logger)
    await cluster.#bus.start()
    return cluster
  }

  /** Whether its clients can meet those of other instances. */
  get ready(): boolean {
    return this.#bus.up
  }

  stats(): ClusterStats {
    let remoteChannels = 0
    for (const { ends } of this.#instances.values()) remoteChannels += ends.size
    return {
      connected: this.#bus.up,
      instances: this.#instances.size,
      remoteChannels,
      waitingBytes: this.#bus.waitingBytes,
      framesIn: this.#framesIn,
      framesOut: this.#bus.framesOut,
      bytesIn: this.#bytesIn,
      bytesOut: this.#bus.bytesOut,
      drops: { ...this.#drops.counts },
    }
  }

  /** Says goodbye to the others and leaves NATS. */
  async close(): Promise<void> {
    clearInterval(this.#heart)
    if (this.#bus.up) this.#bus.send(`${this.#prefix}.beat`, { kind: 'bye', secret: this.#bus.secret })
    this.#forgetAll()
    await this.#bus.close()
  }

  // ---- for the switchboard ----------------------------------------------------------------------------------------

  onRoom(room: Room, open: boolean): void {
    if (open) {
      const opened = { subject: this.#roomSubject(room.rendezvous), reachable: false, unsubscribe: () => {} }
      this.#rooms.set(room, opened)
      this.#listen(room, opened)
    } else {
      this.#rooms.get(room)?.unsubscribe()
      this.#rooms.delete(room)
    }
  }

  whenReachable(room: Room, done: () => void): void {
    const opened = this.#rooms.get(room)
    if (opened === undefined || opened.reachable || !this.#bus.up) done()
    else void this.#reach(opened, done)
  }

  seek(member: Member): void {
    if (this.#bus.up) this.#seeks.add(member)
  }

  lookup(rendezvous: Uint8Array, cards: Uint8Array[], done: (cards: Uint8Array[]) => void): void {
    const request = this.#lookups.start(cards, this.#instances.size, done)
    if (request !== undefined) this.#bus.send(this.#roomSubject(rendezvous), { kind: 'ask', request })
  }

  holdBack(client: Client): void {
    if (this.#held.has(client)) return
    this.#held.add(client)
    client.hold()
  }

  // ---- NATS -------------------------------------------------------------------------------------------------------

  #onUp(): void {
    this.#isDown = false
    this.#silentBeats = 0
    const beat = `${this.#prefix}.beat`
    this.#bus.subscribe(beat, (bytes) => this.#take(bytes, (sender, frame) => this.#onBeat(sender, frame)))
    this.#bus.subscribe(this.#inboxOf(this.#bus.id), (bytes) =>
      this.#take(bytes, (sender, frame) => this.#onInbox(sender, frame)),
    )
    for (const [room, opened] of this.#rooms) this.#listen(room, opened)
    if (this.#formerSecret !== undefined) this.#bus.send(beat, { kind: 'bye', secret: this.#formerSecret })
    this.#formerSecret = this.#bus.secret
    this.#bus.send(beat, { kind: 'alive' })
    this.#seekForAll()
    this.#logger?.info({ id: this.#bus.id.toString('base64url') }, 'NATS is connected')
  }

  #onDown(reason: string): void {
    // Told once: it is tried again for ever.
    if (!this.#isDown) this.#logger?.warn({ reason }, 'NATS is not connected: only clients of this instance can meet')
    this.#isDown = true
    this.#forgetAll()
  }

  #forgetAll(): void {
    clearTimeout(this.#jitter)
    this.#seeks.clear()
    for (const instance of this.#instances.values()) this.#forget(instance)
    this.#buried.clear()
    this.#lookups.finishAll()
  }

  #onRelief(): void {
    for (const client of this.#held) client.release()
    this.#held.clear()
  }

  #listen(room: Room, opened: OpenRoom): void {
    opened.reachable = false
    opened.unsubscribe = this.#bus.subscribe(opened.subject, (bytes) =>
      this.#take(bytes, (sender, frame) => this.#onRoomFrame(room, sender, frame)),
    )
  }

  async #reach(opened: OpenRoom, done: () => void): Promise<void> {
    await this.#bus.settled()
    opened.reachable = true
    done()
  }

  /** Everyone looks for pairs, a moment later and spread: other instances may do the same. */
  #seekForAll(): void {
    clearTimeout(this.#jitter)
    this.#jitter = setTimeout(() => {
      for (const room of this.#rooms.keys()) for (const member of room) this.#seeks.add(member)
    }, Math.random() * SEEK_JITTER_MS)
  }

  #beat(): void {
    if (!this.#bus.up) return
    if (++this.#silentBeats > MAX_MISSED_BEATS) {
      this.#logger?.warn({}, 'NATS passes nothing on')
      return this.#bus.drop()
    }
    this.#bus.send(`${this.#prefix}.beat`, { kind: 'alive' })
    for (const [key, instance] of this.#instances) {
      this.#matchmaker.beat(instance)
      if (++instance.silentBeats <= MAX_MISSED_BEATS) continue
      this.#logger?.warn({ instance: instance.id.toString('base64url') }, 'an instance has fallen silent')
      this.#forget(instance)
      if (this.#buried.size < MAX_INSTANCES) this.#buried.add(key)
    }
    this.#seeks.beat()
  }

  // ---- what others send --------------------------------------------------------------------------------------------

  /** Every frame of a message of somebody else. */
  #take(bytes: Uint8Array, onFrame: (sender: Buffer, frame: BusFrame) => void): void {
    const message: BusMessage | null = decodeBusMessage(bytes)
    if (message === null) return this.#drops.count('malformed')
    if (message.sender.equals(this.#bus.id)) {
      this.#silentBeats = 0
      return
    }
    this.#bytesIn += bytes.length
    this.#framesIn += message.frames.length
    for (const frame of message.frames) onFrame(message.sender, frame)
  }

  #onBeat(sender: Buffer, frame: BusFrame): void {
    if (frame.kind === 'alive') {
      this.#instance(sender)
    } else if (frame.kind === 'bye') {
      const instance = this.#instances.get(idOf(frame.secret).toString('latin1'))
      if (instance !== undefined) this.#forget(instance)
    } else {
      this.#drops.count('misplaced')
    }
  }

  #onRoomFrame(room: Room, sender: Buffer, frame: BusFrame): void {
    if (frame.kind !== 'seek' && frame.kind !== 'ask') return this.#drops.count('misplaced')
    const instance = this.#instance(sender)
    if (instance === undefined) return
    if (!instance.spend()) return this.#drops.count('flood')
    if (frame.kind === 'seek') return this.#matchmaker.onSeek(instance, room, frame)
    const cards = room.pick(MAX_CARDS, (member) => member.announce).map(({ card }) => card)
    instance.send({ kind: 'cards', request: frame.request, cards })
  }

  #onInbox(sender: Buffer, frame: BusFrame): void {
    const instance = this.#instance(sender)
    if (instance === undefined) return
    switch (frame.kind) {
      case 'pass':
        return this.#matchmaker.onPass(instance, frame)
      case 'offer':
        return this.#matchmaker.onOffer(instance, frame)
      case 'accept':
        return this.#matchmaker.onAccept(instance, frame)
      case 'decline':
        return this.#matchmaker.onDecline(instance, frame.offered)
      case 'gone':
        return this.#matchmaker.onGone(instance, frame.channel)
      case 'cards':
        // Copies: they wait for others, and are views of a network chunk.
        this.#lookups.answer(
          frame.request,
          frame.cards.map((card) => Uint8Array.from(card)),
        )
        return
      default:
        return this.#drops.count('misplaced')
    }
  }

  /** The sender of a message, which is alive by that. */
  #instance(id: Buffer): Instance | undefined {
    const key = id.toString('latin1')
    let instance = this.#instances.get(key)
    if (instance === undefined) {
      if (this.#instances.size >= MAX_INSTANCES) {
        this.#drops.count('stranger')
        return undefined
      }
      instance = new Instance(id, this.#inboxOf(id), this.#bus)
      this.#instances.set(key, instance)
      this.#logger?.info({ instance: id.toString('base64url') }, 'an instance has appeared')
      // So that it need not wait for our next heartbeat.
      this.#bus.send(`${this.#prefix}.beat`, { kind: 'alive' })
      if (this.#buried.delete(key)) this.#seekForAll()
    }
    instance.silentBeats = 0
    return instance
  }

  #forget(instance: Instance): void {
    this.#instances.delete(instance.id.toString('latin1'))
    this.#matchmaker.part(instance)
  }

  #inboxOf(id: Buffer): string {
    return `${this.#prefix}.inbox.${id.toString('base64url')}`
  }

  #roomSubject(rendezvous: Uint8Array): string {
    const name = createHash('sha256').update('peerlog bus room 1').update(rendezvous).digest('base64url')
    return `${this.#prefix}.room.${name}`
  }
}

import type { EndReason } from '../broadcast/end-reason.ts'
import { DEAF } from '../broadcast/sender.ts'
import type { StoreCommit } from '../broadcast/replication-options.ts'
import type { DatabaseKeys } from '../event/keys.ts'
import type { Event } from '../store/stored-event.ts'
import { Chance } from './chance.ts'
import { Device } from './device.ts'
import { Failures } from './failures.ts'
import { Gauge, kindOf } from './gauge.ts'
import { Journal } from './journal.ts'
import type { DatagramPacket } from './network.ts'
import { Network } from './network.ts'
import type { SimPartition } from './record.ts'
import type { Conditions, Scenario, ScenarioEvent } from './scenario.ts'
import { Scheduler } from './scheduler.ts'
import type { StreamPacket } from './stream.ts'
import type { Topology } from './topology.ts'
import { linksOf } from './topology.ts'
import { TRACED, Trace } from './trace.ts'
import { Truth } from './truth.ts'
import { Wire } from './wire.ts'

/** Honest devices that a liar knows. */
const LIAR_LINKS = 2
/** Part of the links that both sides dial. */
const BOTH_DIAL = 0.15
/** Part of the packets lost, bytes per second, and milliseconds after sleep, with which a peer must answer in time. */
const CALM_LOSS = 0.05
const CALM_BANDWIDTH = 1_000_000
const CALM_MS = 60_000

/** The devices, the network between them, and what happens in the world. */
export class World {
  readonly scheduler: Scheduler = new Scheduler()
  readonly trace: Trace = new Trace()
  readonly failures: Failures = new Failures(() => this.scheduler.now, this.trace)
  readonly truth: Truth = new Truth(this.failures)
  readonly network: Network<StreamPacket | DatagramPacket>
  readonly gauge: Gauge
  readonly journal: Journal
  readonly keys: DatabaseKeys
  readonly usesStreams: boolean
  readonly usesDatagrams: boolean
  readonly devices: Device[]
  readonly partitions: SimPartition[] = []
  readonly #scenario: Scenario
  readonly #byName = new Map<string, Device>()
  readonly #wire: Wire
  #dialled: number[][] = []
  #topology: Topology
  #streams = 0
  #numbers = 0
  crashes = 0
  /** Appends that have not resolved. */
  writing: Promise<void>[] = []
  /** When something was last stored anywhere. */
  changedAt = 0

  /** @param folder where files go; null: everything is kept in memory. */
  constructor(scenario: Scenario, keys: DatabaseKeys, folder: string | null) {
    const { seed, conditions, devices } = scenario
    this.#scenario = scenario
    this.keys = keys
    this.usesStreams = scenario.transport !== 'datagrams'
    this.usesDatagrams = scenario.transport !== 'stream'
    this.#wire = new Wire(keys.datagrams)
    this.network = new Network(this.scheduler, new Chance(seed, 'network'), this.trace, conditions)
    this.gauge = new Gauge(devices.length)
    this.journal = new Journal(folder === null ? ':memory:' : `${folder}/sim.db`)
    this.devices = devices.map((device, number) => {
      const path = folder === null ? ':memory:' : `${folder}/${device.name}.db`
      return new Device(this, number, device, seed, path)
    })
    for (const device of this.devices) {
      this.#byName.set(device.name, device)
      this.truth.author(device.author, device.name)
    }
    this.#topology = scenario.topology
    this.#connect(scenario.topology)
    for (const [i, { joins }] of devices.entries()) this.scheduler.at(joins, () => this.#join(this.device(i)))
  }

  device(number: number): Device {
    return this.devices[number] as Device
  }

  #named(name: string): Device {
    return this.#byName.get(name) as Device
  }

  peerId(number: number): string {
    return `peer-${number}`
  }

  newStreamId(): number {
    return ++this.#streams
  }

  newNumber(): number {
    return this.#numbers++
  }

  dialled(number: number): readonly number[] {
    return this.#dialled[number] ?? []
  }

  /** Those who are linked to a device, whoever dials. */
  neighbours(number: number): number[] {
    const others = this.devices.filter((other) => other.number !== number)
    const known = this.dialled(number)
    return others
      .map((other) => other.number)
      .filter((other) => known.includes(other) || this.dialled(other).includes(number))
  }

  #connect(topology: Topology): void {
    const chance = new Chance(this.#scenario.seed, `topology ${topology}`)
    this.#topology = topology
    const there = this.devices.filter(({ isLiar, hasLeft }) => !isLiar && !hasLeft)
    const honest = there.map(({ number }) => number)
    this.#dialled = this.devices.map(() => [])
    for (const [a, b] of linksOf(topology, honest.length, chance)) {
      const [one, other] = [honest[a] as number, honest[b] as number]
      this.#dialled[one]?.push(other)
      if (chance.happens(BOTH_DIAL)) this.#dialled[other]?.push(one)
    }
    for (const { number, isLiar } of this.devices) {
      if (isLiar) this.#dialled[number]?.push(...chance.shuffled(honest).slice(0, LIAR_LINKS))
    }
  }

  #reconnect(topology: Topology): void {
    this.#connect(topology)
    for (const device of this.devices) device.guard(() => device.process?.want())
  }

  // ---- what happens -----------------------------------------------------------------------------------------------

  #join(device: Device): void {
    if (!device.hasLeft && device.start()) this.note('join', device, '')
  }

  perform(event: ScenarioEvent): void {
    switch (event.kind) {
      case 'message': {
        const device = this.#named(event.device)
        if (!device.isLiar) this.writing.push(device.write(event.count, event.bytes))
        return
      }
      case 'network':
        return this.#change(event)
      case 'partition':
        return this.#split(event.groups)
      case 'heal':
        return this.#heal()
      case 'topology':
        this.#reconnect(event.topology)
        return this.note('topology', null, event.topology)
      default:
        return this.#happen(event, this.#named(event.device))
    }
  }

  #happen(
    event: Exclude<ScenarioEvent, { kind: 'message' | 'network' | 'partition' | 'heal' | 'topology' }>,
    device: Device,
  ): void {
    switch (event.kind) {
      case 'crash':
        return device.crash(event)
      case 'restart':
        if (device.restart()) this.note('restart', device, '')
        return
      case 'clock':
        device.clock.jump(event.ms)
        return this.note('clock', device, `set by ${event.ms} ms`)
      case 'offline':
      case 'online':
        device.offline(event.kind === 'offline')
        break
      case 'sleep':
        device.sleep()
        break
      case 'wake':
        device.wake()
        break
      case 'leave':
        device.leave()
        // Those who knew each other through it do so without it.
        this.#reconnect(this.#topology)
        break
    }
    this.note(event.kind, device, '')
  }

  #change({ from, to, change }: Extract<ScenarioEvent, { kind: 'network' }>): void {
    const number = (name: string | undefined): number | null => (name === undefined ? null : this.#named(name).number)
    this.network.change(number(from), number(to), change)
    const where = from === undefined && to === undefined ? 'everywhere' : `from ${from ?? 'all'} to ${to ?? 'all'}`
    this.note('loss' in change ? 'loss' : 'network', null, `${described(change)} ${where}`)
  }

  #split(names: readonly (readonly string[])[]): void {
    this.#endPartition()
    const groups = names.map((group) => group.map((name) => this.#named(name).number))
    this.network.partition(groups, this.devices.length)
    const grouped = new Set(groups.flat())
    const alone = this.devices.filter(({ number }) => !grouped.has(number)).map(({ name }) => [name])
    this.partitions.push({
      from: this.scheduler.now,
      to: Infinity,
      groups: [...names.map((group) => group.slice()), ...alone],
    })
    this.note('partition', null, names.map((group) => group.join(' ')).join(' | '))
  }

  #heal(): void {
    this.#endPartition()
    this.network.partition(null, this.devices.length)
    this.note('heal', null, '')
    for (const device of this.devices) if (device.state === 'online') device.guard(() => device.process?.hurry())
  }

  #endPartition(): void {
    const last = this.partitions.at(-1)
    if (last?.to === Infinity) last.to = this.scheduler.now
  }

  /** All is mended; everybody who has not left is there. */
  mend(): void {
    this.#heal()
    for (const device of this.devices) device.mend()
  }

  /** Devices that must be equal in the end. */
  get members(): Device[] {
    return this.devices.filter(({ isLiar, hasLeft, process }) => !isLiar && !hasLeft && process !== null)
  }

  note(kind: string, device: Device | null, detail: string): void {
    const { now } = this.scheduler
    this.trace.text(TRACED.world, now, device?.number ?? -1, `${kind} ${detail}`)
    this.journal.note(now, kind, device?.name ?? null, detail)
  }

  // ---- what devices tell --------------------------------------------------------------------------------------------

  acknowledged(device: Device, events: readonly Event[]): void {
    const ids = events.map(({ id }) => id)
    this.#wrote('message', device, events[0]?.seq ?? 0, ids)
  }

  recovered(device: Device, seq: number, ids: readonly string[]): void {
    this.#wrote('recovered', device, seq, ids)
  }

  #wrote(kind: 'message' | 'recovered', device: Device, seq: number, ids: readonly string[]): void {
    const { now } = this.scheduler
    const detail = ids.length === 1 ? `event ${seq}` : `events ${seq} to ${seq + ids.length - 1}`
    this.trace.text(TRACED.world, now, device.number, `${kind} ${detail}`)
    this.journal.wrote(now, kind, device.name, detail, device.author, seq, ids)
  }

  crashed(device: Device, detail: string): void {
    this.crashes++
    this.note('crash', device, detail)
  }

  committed(device: Device, { runs }: StoreCommit): void {
    const { now } = this.scheduler
    this.changedAt = now
    for (const { ids } of runs) for (const id of ids) this.trace.add(TRACED.commit, now, device.number, -1, id)
  }

  sent(from: number, to: number, message: Uint8Array): void {
    this.gauge.message(kindOf(message), message.length)
    this.trace.add(TRACED.message, this.scheduler.now, from, to, message)
  }

  sendDatagram(device: Device, to: number, bytes: Buffer): void {
    const datagram = device.isLiar ? this.#wire.altered(bytes, device.datagrams) : bytes
    this.gauge.message(this.#wire.kind(datagram), datagram.length)
    this.trace.add(TRACED.message, this.scheduler.now, device.number, to, datagram)
    this.network.send(device.number, to, { kind: 'datagram', datagram, bytes: datagram.length, again: false })
  }

  received(from: number, to: number, message: Uint8Array): void {
    this.trace.add(TRACED.session, this.scheduler.now, from, to, message.subarray(0, 1))
  }

  /** A session was ended for what the peer did or did not do, or so one of them says. */
  blamed(device: Device, peer: number, end: { reason: EndReason; detail: string; byPeer: boolean }): void {
    const other = this.device(peer)
    this.trace.text(TRACED.session, this.scheduler.now, device.number, end.reason)
    if (device.isLiar || other.isLiar || end.byPeer) return
    const detail = `${other.name} ${end.detail}`
    // A stream that is silent ends before a session does: this peer answered, and said nothing.
    if (end.reason === 'silence' && end.detail !== DEAF.detail) return
    if ((end.reason === 'stalled' || end.reason === 'silence') && !this.#isCalm(device, other)) {
      return this.note('stalled', device, detail)
    }
    this.failures.add('offence', device.name, `says that ${detail} (${end.reason})`)
  }

  /** False where what was asked for can take too long although the peer is heard of. */
  #isCalm(...devices: readonly Device[]): boolean {
    const { conditions, events } = this.#scenario
    const { now } = this.scheduler
    const isFast = ({ loss = 0, bandwidth = 0 }: Partial<Conditions>): boolean => {
      return loss <= CALM_LOSS && (bandwidth === 0 || bandwidth >= CALM_BANDWIDTH)
    }
    return (
      isFast(conditions) &&
      events.every((event) => {
        if (event.kind === 'network') return isFast(event.change)
        // Who was asleep, or whose clock was set, does not know how long it has waited.
        if (event.kind !== 'wake' && event.kind !== 'sleep' && event.kind !== 'clock') return true
        return event.at > now || event.at < now - CALM_MS || devices.every(({ name }) => name !== event.device)
      })
    )
  }

  end(): void {
    this.#endPartition()
    for (const device of this.devices) device.end()
  }
}

function described(change: Partial<Conditions>): string {
  return Object.entries(change)
    .map(([name, value]) => `${name} ${value}`)
    .join(', ')
}

import type { Chance } from './chance.ts'
import { PACKET_OVERHEAD_BYTES } from './limits.ts'
import type { Conditions } from './scenario.ts'
import type { Scheduler } from './scheduler.ts'
import { TRACED, type Trace } from './trace.ts'

/** What packets carry; the network looks at its size only. */
export interface Packet {
  /** Of what it carries. */
  bytes: number
  /** That the same packet is sent once more because it may have been lost. */
  again: boolean
}

/** A datagram, as it is: nothing is sent again. */
export interface DatagramPacket extends Packet {
  kind: 'datagram'
  datagram: Buffer
}

export type Receive<P> = (from: number, packet: P) => void

/** Milliseconds that a packet is held up so that later ones overtake it, at most. */
const OVERTAKEN_MS = 150

/** The way from one device to another, in that direction. */
interface Way {
  conditions: Conditions
  /** Until when it is busy with what was sent before. */
  busyUntil: number
  /** When the last packet arrives that was not held up. */
  lastArrival: number
  /** Packets that were sent, and the number of the latest of them that has arrived. */
  sent: number
  arrived: number
}

/** A change of conditions; null: whoever it is. */
interface Change {
  from: number | null
  to: number | null
  change: Partial<Conditions>
}

/** Above all numbers of devices. */
const MAX_NUMBER = 65_536

function concerns(change: Change, from: number, to: number): boolean {
  return (change.from === null || change.from === from) && (change.to === null || change.to === to)
}

export interface NetworkFigures {
  packets: number
  bytes: number
  lost: number
  duplicated: number
  reordered: number
}

/** Carries packets between devices, and loses, doubles, delays and reorders them. */
export class Network<P extends Packet> {
  readonly figures: NetworkFigures = { packets: 0, bytes: 0, lost: 0, duplicated: 0, reordered: 0 }
  readonly #scheduler: Scheduler
  readonly #chance: Chance
  readonly #trace: Trace
  readonly #receivers: (Receive<P> | null)[] = []
  readonly #ways = new Map<number, Way>()
  readonly #conditions: Conditions
  /** All that was changed, in order: for ways that are used for the first time. */
  readonly #changes: Change[] = []
  /** Group of each device; null: all reach each other. */
  #groups: number[] | null = null
  readonly #offline = new Set<number>()

  constructor(scheduler: Scheduler, chance: Chance, trace: Trace, conditions: Conditions) {
    this.#scheduler = scheduler
    this.#chance = chance
    this.#trace = trace
    this.#conditions = conditions
  }

  /** Who gets what is sent to a device; null: nobody is there. */
  attach(device: number, receive: Receive<P> | null): void {
    this.#receivers[device] = receive
  }

  /** @param groups of devices; those in none are alone. Null heals. */
  partition(groups: readonly (readonly number[])[] | null, devices: number): void {
    if (groups === null) {
      this.#groups = null
      return
    }
    this.#groups = Array.from({ length: devices }, (_, i) => -1 - i)
    for (const [group, members] of groups.entries()) for (const member of members) this.#groups[member] = group
  }

  setOffline(device: number, isOffline: boolean): void {
    if (isOffline) this.#offline.add(device)
    else this.#offline.delete(device)
  }

  change(from: number | null, to: number | null, change: Partial<Conditions>): void {
    const made: Change = { from, to, change }
    this.#changes.push(made)
    for (const [key, way] of this.#ways) {
      if (!concerns(made, Math.floor(key / MAX_NUMBER), key % MAX_NUMBER)) continue
      way.conditions = { ...way.conditions, ...change }
    }
  }

  reaches(from: number, to: number): boolean {
    if (this.#offline.has(from) || this.#offline.has(to)) return false
    return this.#groups === null || this.#groups[from] === this.#groups[to]
  }

  send(from: number, to: number, packet: P): void {
    const { figures } = this
    const size = packet.bytes + PACKET_OVERHEAD_BYTES
    figures.packets++
    figures.bytes += size
    const way = this.#way(from, to)
    const { loss, duplication } = way.conditions
    const isLost = this.#chance.happens(loss)
    const isDoubled = this.#chance.happens(duplication)
    this.#trace.add(isLost ? TRACED.lost : TRACED.packet, this.#scheduler.now, from, to, NOTHING)
    if (isLost || !this.reaches(from, to)) {
      figures.lost++
      return
    }
    this.#carry(way, from, to, packet, size)
    if (!isDoubled) return
    figures.duplicated++
    this.#carry(way, from, to, packet, size)
  }

  #carry(way: Way, from: number, to: number, packet: P, size: number): void {
    const { latency, jitter, reordering, bandwidth } = way.conditions
    const { now } = this.#scheduler
    way.busyUntil = Math.max(way.busyUntil, now) + (bandwidth > 0 ? (size * 1000) / bandwidth : 0)
    // Jitter alone keeps the order, as routers do; what is overtaken is held up on purpose.
    let arrival = Math.max(way.lastArrival, way.busyUntil + latency + this.#chance.below(jitter + 1))
    if (this.#chance.happens(reordering)) {
      arrival += 1 + this.#chance.below(OVERTAKEN_MS)
    } else {
      way.lastArrival = arrival
    }
    const number = ++way.sent
    this.#scheduler.at(arrival, () => {
      if (number < way.arrived) this.figures.reordered++
      way.arrived = Math.max(way.arrived, number)
      // What is under way when the network splits is lost too.
      if (this.reaches(from, to)) this.#receivers[to]?.(from, packet)
      else this.figures.lost++
    })
  }

  #way(from: number, to: number): Way {
    const key = from * MAX_NUMBER + to
    let way = this.#ways.get(key)
    if (way === undefined) {
      way = { conditions: this.#conditions, busyUntil: 0, lastArrival: 0, sent: 0, arrived: 0 }
      for (const change of this.#changes) {
        if (concerns(change, from, to)) way.conditions = { ...way.conditions, ...change.change }
      }
      this.#ways.set(key, way)
    }
    return way
  }
}

const NOTHING = new Uint8Array(0)

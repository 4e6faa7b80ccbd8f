import { hash } from '../base/hash.ts'
import { MAX_CLOCK_AHEAD_MS } from '../base/limits.ts'
import { Mmr } from '../event/mmr.ts'
import type { StoreCommit } from '../broadcast/replication-options.ts'
import type { EventStore } from '../store/event-store.ts'
import type { Event } from '../store/stored-event.ts'
import type { Failures } from './failures.ts'

/** An event as its author made it. */
interface Made {
  id: string
  bytes: number
  /** Number that its data carries. */
  number: number
  /** Of its clock, in milliseconds since 1970; 0 until it is acknowledged. */
  time: number
  /** What its author had seen of the others when it wrote it: lengths by author. */
  seen: ReadonlyMap<string, number>
}

interface MadeLog {
  device: string
  events: Made[]
  /** Events whose append has resolved. */
  acknowledged: number
}

/** What one device is known to hold, whoever runs on it. */
export class Holding {
  readonly device: string
  /** Lengths by author that its processes have told of. */
  readonly lengths: Map<string, number> = new Map()
  /** Of what was read in causal order: lengths by author, and how far. */
  readonly causal: Map<string, number> = new Map()
  causalPlace = 0
  events = 0

  constructor(device: string) {
    this.device = device
  }
}

/** An append under way. */
export interface Pending {
  numbers: number[]
  seen: ReadonlyMap<string, number>
}

/** All that was ever made, and the comparison of what devices hold with it. */
export class Truth {
  readonly #failures: Failures
  readonly #logs = new Map<string, MadeLog>()
  made = 0
  acknowledged = 0
  /** The latest clock of an event. */
  latest = 0

  constructor(failures: Failures) {
    this.#failures = failures
  }

  author(hex: string, device: string): void {
    if (!this.#logs.has(hex)) this.#logs.set(hex, { device, events: [], acknowledged: 0 })
  }

  lengthOf(hex: string): number {
    return this.#logs.get(hex)?.events.length ?? 0
  }

  /** How many events of each log must be held by all of these: of an author that has left, what any of them holds. */
  expected(members: readonly { holding: Holding; author: string }[]): Map<string, number> {
    const authors = new Set(members.map(({ author }) => author))
    const expected = new Map<string, number>()
    for (const [hex, { events }] of this.#logs) {
      const most = members.map(({ holding }) => holding.lengths.get(hex) ?? 0)
      expected.set(hex, authors.has(hex) ? events.length : Math.max(0, ...most))
    }
    return expected
  }

  *logs(): Generator<{ hex: string; device: string; ids: string[] }> {
    for (const [hex, { device, events }] of this.#logs) yield { hex, device, ids: events.map(({ id }) => id) }
  }

  /**
   * A process has stored something. Returns bytes of the events that are new here.
   *
   * @param now the device's clock: events too far ahead of it are to be held back.
   */
  stored(holding: Holding, commit: StoreCommit, pending: Pending | null, now: number): number {
    let bytes = 0
    for (const { run, ids, log } of commit.runs) {
      const { hex } = log
      const from = holding.lengths.get(hex) ?? 0
      if (run.from !== from) {
        this.#fail('order', holding, `told of events from ${run.from} of ${this.#name(hex)} on, after ${from} of them`)
      }
      for (const [i, id] of ids.entries()) {
        const size = run.events[i]?.length ?? 0
        bytes += size
        if (this.#logs.get(hex)?.device === holding.device && pending !== null)
          this.#make(hex, id.toString('hex'), size, pending)
        this.#compare(holding, hex, run.from + i, id)
        this.#checkClock(holding, hex, run.from + i, now)
      }
      holding.lengths.set(hex, run.from + ids.length)
      holding.events += ids.length
    }
    return bytes
  }

  #make(hex: string, id: string, bytes: number, { numbers, seen }: Pending): void {
    const log = this.#logs.get(hex) as MadeLog
    log.events.push({ id, bytes, number: numbers.shift() ?? -1, time: 0, seen })
    this.made++
  }

  #compare(holding: Holding, hex: string, seq: number, id: Buffer): void {
    const made = this.#logs.get(hex)?.events[seq]
    if (made?.id === id.toString('hex')) return
    this.#fail('authenticity', holding, `holds event ${seq} of ${this.#name(hex)}, which that never made`)
  }

  #checkClock(holding: Holding, hex: string, seq: number, now: number): void {
    const log = this.#logs.get(hex)
    const time = log?.events[seq]?.time ?? 0
    if (time <= now + MAX_CLOCK_AHEAD_MS || log?.device === holding.device) return
    this.#fail('clock', holding, `delivers event ${seq} of ${this.#name(hex)}, whose clock is ${time - now} ms ahead`)
  }

  /** An append has resolved. */
  acknowledge(holding: Holding, hex: string, events: readonly Event[], count: number): void {
    const log = this.#logs.get(hex) as MadeLog
    if (events.length !== count)
      this.#fail('acknowledgement', holding, `was told of ${events.length} of ${count} events`)
    for (const { seq, id, timestamp } of events) {
      this.latest = Math.max(this.latest, timestamp)
      const made = log.events[seq]
      if (made?.id === id) made.time = timestamp
      else this.#fail('acknowledgement', holding, `was told that event ${seq} is durable, before it was`)
    }
    log.acknowledged += events.length
    this.acknowledged += events.length
  }

  /**
   * A process has opened what the one before it left behind: nothing that was told is missing, and an append that was cut
   * off is there as a whole or not at all. Returns the ids of what it turned out to have made, or null.
   */
  reopened(holding: Holding, store: EventStore, cutOff: Pending | null): string[] | null {
    for (const [hex, length] of holding.lengths) {
      const now = store.log(hex)?.mmr.length ?? 0
      if (now < length)
        this.#fail(
          'durability',
          holding,
          `held ${length} events of ${this.#name(hex)} and holds ${now} after a restart`,
        )
    }
    const own = store.author
    const made = this.lengthOf(own)
    const length = store.log(own)?.mmr.length ?? 0
    let recovered: string[] | null = null
    if (length > made) {
      recovered = []
      if (cutOff === null || length - made !== cutOff.numbers.length) {
        this.#fail('atomicity', holding, `has ${length - made} events of an append of ${cutOff?.numbers.length ?? 0}`)
      }
      for (const bytes of readLog(store, own, made)) {
        const id = hash(bytes).toString('hex')
        recovered.push(id)
        this.#make(own, id, bytes.length, cutOff ?? { numbers: [], seen: new Map() })
      }
    }
    holding.lengths.clear()
    holding.causal.clear()
    holding.causalPlace = 0
    holding.events = 0
    for (const log of store.logs()) {
      holding.lengths.set(log.hex, log.mmr.length)
      holding.events += log.mmr.length - log.start
    }
    return recovered
  }

  /** Reads what has come since in causal order, and checks that nothing comes before what its author had seen. */
  readCausal(holding: Holding, store: EventStore): ReadonlyMap<string, number> {
    const { causal } = holding
    for (const batch of store.scan(null, holding.causalPlace, false, 'causal')) {
      for (const { author, seq, data } of batch) {
        const made = this.#logs.get(author)?.events[seq]
        const before = causal.get(author) ?? 0
        if (seq !== before)
          this.#fail('author-order', holding, `reads event ${seq} of ${this.#name(author)} after ${before} of them`)
        causal.set(author, seq + 1)
        if (made === undefined) continue
        for (const [hex, length] of made.seen) {
          if ((causal.get(hex) ?? 0) >= length) continue
          this.#fail(
            'causal-order',
            holding,
            `reads event ${seq} of ${this.#name(author)} before what that had seen of ${this.#name(hex)}`,
          )
        }
        if ((data as { number?: unknown } | null)?.number !== made.number) {
          this.#fail(
            'content',
            holding,
            `reads something else in event ${seq} of ${this.#name(author)} than was written`,
          )
        }
      }
    }
    holding.causalPlace = store.end('causal')
    return causal
  }

  /** Compares all that a device holds, byte by byte, with what was made; and reads it in every order. */
  compareAll(holding: Holding, store: EventStore, expected: ReadonlyMap<string, number>): void {
    let events = 0
    for (const hex of this.#logs.keys()) {
      const wanted = expected.get(hex) ?? 0
      const log = store.log(hex)
      const mmr = new Mmr()
      let seq = 0
      for (const bytes of readLog(store, hex, 0)) {
        const id = hash(bytes)
        mmr.append(id)
        this.#compare(holding, hex, seq++, id)
      }
      events += seq
      if (seq !== wanted) this.#fail('convergence', holding, `holds ${seq} of ${wanted} events of ${this.#name(hex)}`)
      if (log !== undefined && (log.mmr.length !== seq || !log.root.equals(mmr.root()))) {
        this.#fail('integrity', holding, `the root of the log of ${this.#name(hex)} is not that of its events`)
      }
    }
    for (const { hex } of store.logs()) {
      if (!this.#logs.has(hex)) this.#fail('authenticity', holding, `holds a log of somebody who does not exist`)
    }
    if (store.position !== events) this.#fail('integrity', holding, `has ${store.position} rows for ${events} events`)
    this.readCausal(holding, store)
    const readable = [...holding.causal.values()].reduce((sum, length) => sum + length, 0)
    if (readable !== events)
      this.#fail('causal-order', holding, `reads ${readable} of ${events} events in causal order`)
  }

  /** The order by clock, in which nothing comes before what its author had seen either. */
  readByClock(holding: Holding, store: EventStore): string {
    const order: string[] = []
    const lengths = new Map<string, number>()
    for (const batch of store.scanByClock(null)) {
      for (const { author, seq } of batch) {
        order.push(`${author} ${seq}`)
        lengths.set(author, seq + 1)
        for (const [hex, length] of this.#logs.get(author)?.events[seq]?.seen ?? NOTHING_SEEN) {
          if ((lengths.get(hex) ?? 0) >= length) continue
          this.#fail(
            'clock-order',
            holding,
            `has event ${seq} of ${this.#name(author)} before what that had seen, by clock`,
          )
        }
      }
    }
    return order.join('\n')
  }

  #name(hex: string): string {
    return this.#logs.get(hex)?.device ?? hex.slice(0, 8)
  }

  #fail(check: string, { device }: Holding, detail: string): void {
    this.#failures.add(check, device, detail)
  }
}

const READ_BYTES = 1 << 20
const NOTHING_SEEN: ReadonlyMap<string, number> = new Map()

function* readLog(store: EventStore, hex: string, from: number): Generator<Buffer> {
  for (let seq = from; ;) {
    const run = store.readRun(hex, seq, READ_BYTES, false)
    if (run === null || run.events.length === 0) return
    yield* run.events
    seq += run.events.length
  }
}

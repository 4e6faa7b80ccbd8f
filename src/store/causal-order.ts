import { toHex } from '../base/bytes.ts'
import { Heap } from '../base/heap.ts'
import type { Timestamp } from '../event/clock.ts'
import { compareTimestamps } from '../event/clock.ts'
import type { Link } from '../event/event.ts'
import { decodeEventBody, decodeEventHeader } from '../event/event.ts'
import { CausalRanks } from './causal-ranks.ts'
import type { EventTable } from './event-table.ts'
import type { Log } from './log.ts'
import type { Logs } from './logs.ts'
import type { Database, Statement } from './sqlite.ts'

/** Rows of a waiting log that are read at once, at most. */
const ROWS_AHEAD = 16

/** An event of a run, and the heads of other logs that its author had seen. */
export interface LinkedEvent {
  seq: number
  links: readonly Link[]
}

/** A place in a log. */
interface Place {
  hex: string
  seq: number
}

/** A log whose events from `seq` on wait. */
interface WaitingLog extends Place {
  /** The author's number. */
  no: number
}

/** The next event of a waiting log, when it waits no more. */
interface ReadyEvent {
  waiting: WaitingLog
  position: number
}

type WaitingRow = [position: number, readable: number, bytes: Buffer]

const NOBODY: Place = { hex: '', seq: 0 }
const NO_LOGS: ReadonlyMap<string, Log> = new Map()
const NO_LINKS: readonly Link[] = []

/**
 * The order in which every event comes after its predecessor in its author's log and after all that it links to. An
 * event that arrives before something it links to waits, and with it what follows in its log; whenever several can be
 * delivered, the one that arrived first is. So the order follows from the order of arrival alone, and what is
 * delivered keeps its rank for ever.
 *
 * What is never going to arrive is not waited for: events after the end of a frozen log, or before the first one here.
 */
export class CausalOrder {
  readonly ranks: CausalRanks
  readonly #table: EventTable
  readonly #logs: Logs
  readonly #sealKey: Buffer | null
  /** By author. */
  readonly #waiting = new Map<string, WaitingLog>()
  /** By author and seq of an event that is not delivered yet: those who wait for it. Each waits for one event at a time. */
  readonly #waiters = new Map<string, Map<number, WaitingLog[]>>()
  readonly #ready = new Heap<ReadyEvent>((a, b) => a.position < b.position)
  /** Authors of whom something has been delivered in this transaction. */
  readonly #advanced = new Set<string>()
  /** Logs as the transaction has changed them so far. */
  #staged: ReadonlyMap<string, Log> = NO_LOGS
  /** The log of which events are arriving, and the first that has not been delivered yet. */
  #arriving: Place = NOBODY
  readonly #save: Statement<[number, number]>
  readonly #delete: Statement<[number]>
  readonly #load: Statement<[], { author: number; seq: number }>
  readonly #rows: Statement<[number, number, number], WaitingRow>
  readonly #lastClock: Statement<[number, number], Timestamp>

  constructor(db: Database, table: EventTable, logs: Logs, sealKey: Buffer | null) {
    this.#table = table
    this.#logs = logs
    this.#sealKey = sealKey
    this.ranks = new CausalRanks(db)
    this.#save = db.prepare('INSERT OR REPLACE INTO waiting (author, seq) VALUES (?, ?)')
    this.#delete = db.prepare('DELETE FROM waiting WHERE author = ?')
    this.#load = db.prepare('SELECT author, seq FROM waiting ORDER BY author')
    this.#rows = db
      .prepare<[number, number, number]>(
        `SELECT position, subject IS NOT NULL, bytes FROM events
         WHERE position >= ? AND position < ? ORDER BY position LIMIT ?`,
      )
      .raw() as unknown as Statement<[number, number, number], WaitingRow>
    this.#lastClock = db.prepare(
      `SELECT time, tick FROM events
       WHERE position >= ? AND position < ? AND subject IS NOT NULL ORDER BY position DESC LIMIT 1`,
    )
    this.#restore()
  }

  /** Back to what the file says, after a rollback. */
  reset(): void {
    this.#waiting.clear()
    this.#waiters.clear()
    this.#ready.clear()
    this.#advanced.clear()
    this.#staged = NO_LOGS
    this.#arriving = NOBODY
    this.ranks.reset()
    this.#restore()
  }

  #restore(): void {
    const rows = this.#load.all()
    if (rows.length === 0) return
    const logs = new Map(this.#logs.all().map((log) => [log.no, log]))
    for (const { author, seq } of rows) {
      const log = logs.get(author)
      // For a reader beside the writer the log may be shorter than what it reads now.
      if (log === undefined || seq >= log.mmr.length) continue
      this.#waiting.set(log.hex, { hex: log.hex, no: author, seq })
    }
    for (const waiting of this.#waiting.values()) this.#check(waiting)
  }

  // ---- what arrives ---------------------------------------------------------------------------------------------

  /**
   * Inside a transaction: takes the events that a log has more after it than before it.
   *
   * @param linked those of them that link to something, in order.
   * @param staged the logs that the transaction has changed.
   */
  arrived(before: Log, after: Log, linked: readonly LinkedEvent[], staged: ReadonlyMap<string, Log> = NO_LOGS): void {
    const { hex } = after
    const arriving: Place = { hex, seq: before.mmr.length }
    this.#staged = staged
    if (this.#waiting.has(hex)) return this.#drain()
    this.#arriving = arriving
    // What precedes the first event here is not waited for any more.
    if (before.position === 0) this.#release(hex, (seq) => seq < arriving.seq)
    this.#drain()
    /** Position of seq 0, were it here. */
    const base = after.position - after.mmr.length + 1
    for (const { seq, links } of linked) {
      this.#pass(arriving, seq, base)
      const missing = this.#missing(links)
      if (missing === null) continue
      const waiting: WaitingLog = { hex, no: after.no, seq }
      this.#waiting.set(hex, waiting)
      this.#save.run(waiting.no, seq)
      this.#await(waiting, missing)
      this.#arriving = NOBODY
      return
    }
    this.#pass(arriving, after.mmr.length, base)
    this.#arriving = NOBODY
  }

  /** Delivers the arriving log's events up to `end`, as though they came one by one. */
  #pass(arriving: Place, end: number, base: number): void {
    if (arriving.seq < end) this.#advanced.add(arriving.hex)
    while (arriving.seq < end) {
      const waiters = this.#waiters.get(arriving.hex)
      let next = waiters === undefined ? end : arriving.seq
      while (next < end) if (waiters?.has(next++) === true) break
      this.ranks.add(base + arriving.seq, next - arriving.seq)
      arriving.seq = next
      if (waiters === undefined) continue
      this.#wake(arriving.hex, next - 1)
      this.#drain()
    }
  }

  /** Inside a transaction: a log has been frozen. What it lacks never comes. */
  frozen(log: Log, staged: ReadonlyMap<string, Log>): void {
    this.#staged = staged
    this.#release(log.hex, (seq) => seq >= log.mmr.length)
  }

  // ---- what waits -----------------------------------------------------------------------------------------------

  /** Looks again at those who wait for these events of a log, and delivers what waits for nothing else. */
  #release(hex: string, isOver: (seq: number) => boolean): void {
    const over = [...(this.#waiters.get(hex)?.keys() ?? [])].filter(isOver)
    for (const seq of over) this.#wake(hex, seq)
    this.#drain()
  }

  #wake(hex: string, seq: number): void {
    const waiters = this.#waiters.get(hex)
    const woken = waiters?.get(seq)
    if (waiters === undefined || woken === undefined) return
    waiters.delete(seq)
    if (waiters.size === 0) this.#waiters.delete(hex)
    for (const waiting of woken) this.#check(waiting)
  }

  /** The next event of a waiting log goes on waiting, for what it still misses, or is ready. */
  #check(waiting: WaitingLog): void {
    for (const row of this.#rowsFrom(waiting, 1)) {
      const missing = this.#missing(this.#linksIn(row))
      if (missing === null) this.#ready.push({ waiting, position: row[0] })
      else this.#await(waiting, missing)
      return
    }
  }

  #await(waiting: WaitingLog, missing: Place): void {
    const waiters = this.#waiters.get(missing.hex)
    if (waiters === undefined) this.#waiters.set(missing.hex, new Map([[missing.seq, [waiting]]]))
    else if (!waiters.has(missing.seq)) waiters.set(missing.seq, [waiting])
    else waiters.get(missing.seq)?.push(waiting)
  }

  #drain(): void {
    for (let next = this.#ready.pop(); next !== undefined; next = this.#ready.pop()) this.#deliver(next.waiting)
  }

  /** Delivers the next event of a waiting log, and more of it, until another log has an earlier one that is ready. */
  #deliver(waiting: WaitingLog): void {
    const { hex, no, seq } = waiting
    this.#advanced.add(hex)
    for (const row of this.#rowsFrom(waiting, 2)) {
      const [position] = row
      if (waiting.seq > seq) {
        const missing = this.#missing(this.#linksIn(row))
        if (missing !== null) {
          this.#save.run(no, waiting.seq)
          return this.#await(waiting, missing)
        }
        const first = this.#ready.first()
        if (first !== undefined && first.position < position) {
          this.#save.run(no, waiting.seq)
          return this.#ready.push({ waiting, position })
        }
      }
      this.ranks.add(position, 1)
      this.#wake(hex, waiting.seq++)
    }
    this.#waiting.delete(hex)
    this.#delete.run(no)
  }

  /** The events of a waiting log that are not delivered: first a few at a time, then more. */
  *#rowsFrom({ hex, seq }: WaitingLog, atFirst: number): Generator<WaitingRow> {
    const log = this.#log(hex)
    if (log === undefined) return
    let limit = atFirst
    for (const { position, count } of this.#table.stretches(log, seq)) {
      const end = position + count
      for (let from = position; from < end;) {
        const rows = this.#rows.all(from, end, limit)
        yield* rows
        from = (rows.at(-1)?.[0] ?? end) + 1
        limit = Math.min(2 * limit, ROWS_AHEAD)
      }
    }
  }

  /** What can't be read links to nothing. */
  #linksIn([, readable, bytes]: WaitingRow): readonly Link[] {
    if (readable === 0 || !Buffer.isBuffer(bytes)) return NO_LINKS
    const header = decodeEventHeader(bytes)
    if (typeof header === 'string') return NO_LINKS
    const body = decodeEventBody(bytes, header, this.#sealKey)
    return typeof body === 'string' ? NO_LINKS : body.links
  }

  // ---- what is missing ------------------------------------------------------------------------------------------

  /** Of the links that are not delivered the one with the latest clock: it is likely to come last. */
  #missing(links: readonly Link[]): Place | null {
    let latest: Link | null = null
    let missing: Place | null = null
    for (const link of links) {
      const hex = toHex(link.author)
      const log = this.#log(hex)
      // A log that has been frozen ends where it is.
      const seq = log === undefined || log.fork === null ? link.seq : Math.min(link.seq, log.mmr.length - 1)
      if (this.#deliveredLength(hex, log) > seq) continue
      if (latest !== null && compareTimestamps(link, latest) <= 0) continue
      latest = link
      missing = { hex, seq }
    }
    return missing
  }

  #log(hex: string): Log | undefined {
    return this.#staged.get(hex) ?? this.#logs.get(hex)
  }

  #deliveredLength(hex: string, log: Log | undefined): number {
    if (hex === this.#arriving.hex) return this.#arriving.seq
    return this.#waiting.get(hex)?.seq ?? log?.mmr.length ?? 0
  }

  // ---- what is delivered ----------------------------------------------------------------------------------------

  /** After a transaction: the heads of the logs of which something has been delivered in it, for us to link to. */
  takeHeads(): Link[] {
    this.#staged = NO_LOGS
    const heads = [...this.#advanced].flatMap((hex) => this.#head(hex) ?? [])
    this.#advanced.clear()
    return heads
  }

  /** The heads of the logs of which something has been delivered after an author's last event, in that order. */
  headsSince(author: string): Link[] {
    const ranks = new Map(this.#logs.all().map((log) => [log.hex, this.#rankOf(log)]))
    const since = ranks.get(author) ?? 0
    const later = [...ranks].filter(([, rank]) => rank > since).sort((a, b) => a[1] - b[1])
    return later.flatMap(([hex]) => this.#head(hex) ?? [])
  }

  /** The newest delivered event of a log, as others link to it; null where nothing is readable. */
  #head(hex: string): Link | null {
    const log = this.#log(hex)
    if (log === undefined) return null
    const seq = this.#waiting.get(hex)?.seq
    const { time, tick } = seq === undefined ? log : this.#clockBefore(log, seq)
    return time === 0 ? null : { author: log.author, seq: (seq ?? log.mmr.length) - 1, time, tick }
  }

  #clockBefore(log: Log, seq: number): Timestamp {
    for (const { position, count } of this.#table.stretchesBefore(log, seq)) {
      const clock = this.#lastClock.get(position, position + count)
      if (clock !== undefined) return clock
    }
    return { time: 0, tick: 0 }
  }

  /** The rank of the newest delivered event of a log; 0 if there is none. */
  #rankOf(log: Log): number {
    const waiting = this.#waiting.get(log.hex)
    if (waiting === undefined) return this.ranks.upTo(log.position)
    for (const { position, count } of this.#table.stretchesBefore(log, waiting.seq)) {
      return this.ranks.upTo(position + count - 1)
    }
    return 0
  }

  /** How many events of each author wait. */
  waiting(): Map<string, number> {
    const counts = new Map<string, number>()
    for (const { hex, seq } of this.#waiting.values()) counts.set(hex, (this.#log(hex)?.mmr.length ?? seq) - seq)
    return counts
  }
}

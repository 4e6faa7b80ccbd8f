import { Heap } from '../base/heap.ts'
import type { Timestamp } from '../event/clock.ts'
import { compareTimestamps } from '../event/clock.ts'
import type { EventTable } from './event-table.ts'
import type { Log } from './log.ts'
import type { Database, Statement } from './sqlite.ts'

/** Rows that are read ahead of each log. */
const ROWS_AHEAD = 32

type ClockRow = [time: number, tick: number, position: number, subject: number]

interface Cursor {
  rows: Generator<ClockRow>
  row: ClockRow
  /** Place of the author among all, which are sorted by key. */
  rank: number
}

/** An event's place in the order by clock. No two events of an author have the same. */
export interface ClockPlace extends Timestamp {
  /** Author in hex. */
  hex: string
}

/**
 * The order that is the same on every replica: by clock, then author, then seq. An author's clock only advances, so each
 * log is in that order already, and merging the logs gives it for all without another index.
 */
export class ClockOrder {
  readonly #table: EventTable
  readonly #range: Statement<[number, number, number], ClockRow>
  readonly #rangeReverse: Statement<[number, number, number], ClockRow>

  constructor(db: Database, table: EventTable) {
    this.#table = table
    const range = (direction: string): Statement<[number, number, number], ClockRow> =>
      db
        .prepare<[number, number, number]>(
          `SELECT time, tick, position, subject FROM events
           WHERE position >= ? AND position < ? AND subject IS NOT NULL ORDER BY position ${direction} LIMIT ?`,
        )
        .raw() as unknown as Statement<[number, number, number], ClockRow>
    this.#range = range('')
    this.#rangeReverse = range('DESC')
  }

  /**
   * Positions and subjects of the readable events of these logs, as far as they go now.
   *
   * @param from leaves out what does not come after this place, or in reverse before it.
   * @param included the event at that place is not left out.
   */
  *merge(
    logs: readonly Log[],
    from: ClockPlace | null,
    included: boolean,
    reverse: boolean,
  ): Generator<{ position: number; subject: number }> {
    const heap = new Heap<Cursor>(reverse ? (a, b) => isBefore(b, a) : isBefore)
    for (const [rank, log] of logs.entries()) {
      const rows = reverse ? this.#rowsBefore(log, from, included) : this.#rowsFrom(log, from, included)
      const first = rows.next()
      if (first.done !== true) heap.push({ rows, row: first.value, rank })
    }
    for (let cursor = heap.first(); cursor !== undefined; cursor = heap.first()) {
      const [, , position, subject] = cursor.row
      yield { position, subject }
      const next = cursor.rows.next()
      if (next.done === true) {
        heap.pop()
        continue
      }
      cursor.row = next.value
      heap.replaceFirst(cursor)
    }
  }

  *#rowsFrom(log: Log, from: ClockPlace | null, included: boolean): Generator<ClockRow> {
    const seq = from === null ? log.start : this.#seqFrom(log, from, included)
    for (const { position, count } of this.#table.stretches(log, seq)) {
      const end = position + count
      for (let next = position; next < end;) {
        const rows = this.#range.all(next, end, ROWS_AHEAD)
        yield* rows
        const last = rows.at(-1)
        next = last === undefined || rows.length < ROWS_AHEAD ? end : last[2] + 1
      }
    }
  }

  *#rowsBefore(log: Log, from: ClockPlace | null, included: boolean): Generator<ClockRow> {
    const seq = from === null ? log.mmr.length : this.#seqFrom(log, from, !included)
    for (const { position, count } of this.#table.stretchesBefore(log, seq)) {
      for (let end = position + count; end > position;) {
        const rows = this.#rangeReverse.all(position, end, ROWS_AHEAD)
        yield* rows
        const last = rows.at(-1)
        end = last === undefined || rows.length < ROWS_AHEAD ? position : last[2]
      }
    }
  }

  /** The seq from which on a log's readable events come after a place, or at it if that is included. */
  #seqFrom(log: Log, from: ClockPlace, included: boolean): number {
    const isAfter = (clock: Timestamp): boolean => {
      const order = compareTimestamps(clock, from)
      return order > 0 || (order === 0 && (log.hex > from.hex || (included && log.hex === from.hex)))
    }
    let high = log.mmr.length
    if (!isAfter(log)) return high
    let low = log.start
    while (low < high) {
      const middle = Math.floor((low + high) / 2)
      const found = this.#readableFrom(log, middle)
      if (found === null || isAfter(found)) high = middle
      else low = found.seq + 1
    }
    return low
  }

  /** The first readable event of a log at a seq or after it. */
  #readableFrom(log: Log, from: number): (Timestamp & { seq: number }) | null {
    let seq = from
    for (const { position, count } of this.#table.stretches(log, from)) {
      const [row] = this.#range.all(position, position + count, 1)
      if (row !== undefined) return { time: row[0], tick: row[1], seq: seq + (row[2] - position) }
      seq += count
    }
    return null
  }
}

function isBefore(a: Cursor, b: Cursor): boolean {
  return (a.row[0] - b.row[0] || a.row[1] - b.row[1] || a.rank - b.rank) < 0
}

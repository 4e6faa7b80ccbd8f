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

/**
 * The order that is the same on every replica: by clock, then author, then seq. An author's clock only advances, so each
 * log is in that order already, and merging the logs gives it for all without another index.
 */
export class ClockOrder {
  readonly #table: EventTable
  readonly #range: Statement<[number, number, number], ClockRow>

  constructor(db: Database, table: EventTable) {
    this.#table = table
    this.#range = db
      .prepare<[number, number, number]>(
        `SELECT time, tick, position, subject FROM events
         WHERE position >= ? AND position < ? AND subject IS NOT NULL ORDER BY position LIMIT ?`,
      )
      .raw() as unknown as Statement<[number, number, number], ClockRow>
  }

  /** Positions and subjects of the readable events of these logs, as far as they go now. */
  *merge(logs: readonly Log[]): Generator<{ position: number; subject: number }> {
    const heap: Cursor[] = []
    for (const [rank, log] of logs.entries()) {
      const rows = this.#rows(log)
      const first = rows.next()
      if (first.done !== true) heap.push({ rows, row: first.value, rank })
    }
    for (let i = (heap.length >> 1) - 1; i >= 0; i--) siftDown(heap, i)
    while (heap.length > 0) {
      const cursor = heap[0] as Cursor
      const [, , position, subject] = cursor.row
      yield { position, subject }
      const next = cursor.rows.next()
      const last = next.done === true ? (heap.pop() as Cursor) : cursor
      if (next.done !== true) cursor.row = next.value
      if (heap.length > 0) {
        heap[0] = last
        siftDown(heap, 0)
      }
    }
  }

  *#rows(log: Log): Generator<ClockRow> {
    for (const { position, count } of this.#table.stretches(log, 0)) {
      const end = position + count
      for (let from = position; from < end;) {
        const rows = this.#range.all(from, end, ROWS_AHEAD)
        yield* rows
        const last = rows.at(-1)
        from = last === undefined || rows.length < ROWS_AHEAD ? end : last[2] + 1
      }
    }
  }
}

function isBefore(a: Cursor, b: Cursor): boolean {
  return (a.row[0] - b.row[0] || a.row[1] - b.row[1] || a.rank - b.rank) < 0
}

function siftDown(heap: Cursor[], from: number): void {
  const moved = heap[from] as Cursor
  let at = from
  for (;;) {
    let child = 2 * at + 1
    if (child >= heap.length) break
    const right = heap[child + 1]
    if (right !== undefined && isBefore(right, heap[child] as Cursor)) child++
    if (!isBefore(heap[child] as Cursor, moved)) break
    heap[at] = heap[child] as Cursor
    at = child
  }
  heap[at] = moved
}

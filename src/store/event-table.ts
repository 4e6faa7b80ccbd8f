import { assert } from '../base/errors.ts'
import { hash } from '../base/hash.ts'
import { MAX_RUN_EVENTS, MMR_CHECKPOINT_BYTES, MMR_CHECKPOINT_EVENTS, SUBJECT_CACHE_ENTRIES } from '../base/limits.ts'
import { Mmr } from '../event/mmr.ts'
import type { Run } from '../event/run.ts'
import type { Signature } from '../event/signature.ts'
import { idStart } from './id-index.ts'
import type { Log } from './log.ts'
import type { Database, Statement } from './sqlite.ts'
import { corruptFile } from './sqlite.ts'

/** What is stored of an event beside its bytes; null where we can't read it. */
export interface Index {
  time: number
  tick: number
  subject: string
  type: string
}

/** Events to be stored: a run, or a part of one. */
export interface Rows {
  from: number
  events: readonly Buffer[]
  /** Of the head that the last of them ends; null where more of the run is to come. */
  signature: Signature | null
}

export interface Stretch {
  position: number
  /** Events from here on that belong together. */
  count: number
}

/** An event as it lies in the table. */
export interface StoredRow {
  bytes: Buffer
  /** First 48 bits of its id. */
  idStart: number
  /** True if it has a place in the order of events, and is delivered. */
  readable: boolean
}

/** Rows that are looked at for one with a time. */
const TIME_LOOKBACK_ROWS = 256
/** Rows that one statement stores: each costs less in company. */
const ROWS_PER_INSERT = 16

/** The tables `events`, `extents`, `checkpoints` and `subjects`: which event lies where. */
export class EventTable {
  #nextPosition: number
  #lastAuthor = 0
  #lastSeq = -1
  readonly #subjects = new Map<string, number>()
  /** By author: the length at the last checkpoint, and bytes of events since. */
  readonly #sinceCheckpoint = new Map<number, { length: number; bytes: number }>()
  readonly #insert: Statement
  readonly #insertMany: Statement
  readonly #insertExtent: Statement<[number, number, number]>
  readonly #insertCheckpoint: Statement<[number, number, Buffer]>
  readonly #findExtent: Statement<[number, number], { position: number; seq: number }>
  readonly #nextExtent: Statement<[number, number], number>
  readonly #findCheckpoint: Statement<[number, number], { length: number; peaks: Buffer }>
  readonly #range: Statement<[number, number], [Buffer, Buffer | null]>
  readonly #at: Statement<[number], { bytes: Buffer; id_start: number; subject: number | null }>
  readonly #extentAt: Statement<[number, number], { position: number; seq: number }>
  readonly #lastTime: Statement<[number, number], number>
  readonly #idStarts: Statement<[number], [number, number]>
  readonly #items: Statement<[number, number], [position: number, time: number | null, bytes: Buffer]>
  readonly #findSubject: Statement<[string], number>
  readonly #insertSubject: Statement<[string]>

  constructor(db: Database) {
    // Nothing here goes on after a conflict, and SQLite, knowing that, keeps no journal for each statement.
    const row = '(?, ?, ?, ?, ?, ?, ?, ?)'
    const insert = `INSERT OR ROLLBACK INTO events (position, time, tick, id_start, subject, type, signature, bytes) VALUES ${row}`
    this.#insert = db.prepare(insert)
    this.#insertMany = db.prepare(insert + `, ${row}`.repeat(ROWS_PER_INSERT - 1))
    this.#insertExtent = db.prepare('INSERT INTO extents (position, author, seq) VALUES (?, ?, ?)')
    this.#insertCheckpoint = db.prepare('INSERT OR REPLACE INTO checkpoints (author, length, peaks) VALUES (?, ?, ?)')
    this.#findExtent = db.prepare(
      'SELECT position, seq FROM extents WHERE author = ? AND seq <= ? ORDER BY seq DESC LIMIT 1',
    )
    this.#nextExtent = db
      .prepare<[number, number], number>('SELECT seq FROM extents WHERE author = ? AND seq > ? ORDER BY seq LIMIT 1')
      .pluck()
    this.#findCheckpoint = db.prepare(
      'SELECT length, peaks FROM checkpoints WHERE author = ? AND length <= ? ORDER BY length DESC LIMIT 1',
    )
    this.#range = db
      .prepare<[number, number]>(
        'SELECT bytes, signature FROM events WHERE position >= ? AND position < ? ORDER BY position',
      )
      .raw() as unknown as Statement<[number, number], [Buffer, Buffer | null]>
    this.#at = db.prepare('SELECT bytes, id_start, subject FROM events WHERE position = ?')
    this.#extentAt = db.prepare(
      'SELECT position, seq FROM extents WHERE author = ? AND position <= ? ORDER BY seq DESC LIMIT 1',
    )
    this.#lastTime = db
      .prepare<[number, number], number>(
        'SELECT time FROM events WHERE position > ? AND position <= ? AND subject IS NOT NULL ORDER BY position DESC LIMIT 1',
      )
      .pluck()
    this.#idStarts = db
      .prepare<[number]>('SELECT position, id_start FROM events WHERE position >= ? ORDER BY position')
      .raw() as unknown as Statement<[number], [number, number]>
    this.#items = db
      .prepare<[number, number]>(
        'SELECT position, time, bytes FROM events WHERE position > ? ORDER BY position LIMIT ?',
      )
      .raw() as unknown as Statement<[number, number], [number, number | null, Buffer]>
    this.#findSubject = db.prepare<[string], number>('SELECT no FROM subjects WHERE name = ?').pluck()
    this.#insertSubject = db.prepare('INSERT INTO subjects (name) VALUES (?)')
    const highest =
      'SELECT max(coalesce((SELECT max(position) FROM events), 0), coalesce((SELECT max(position) FROM authors), 0))'
    this.#nextPosition = (db.prepare<[], number>(highest).pluck().get() ?? 0) + 1
  }

  get nextPosition(): number {
    return this.#nextPosition
  }

  /**
   * Inside a transaction: stores events at the next positions, and the signature with the last of them. Returns
   * the first position.
   *
   * @param indexes one for each event.
   */
  insert(log: Log, run: Rows, ids: readonly Buffer[], indexes: readonly (Index | null)[]): number {
    const first = this.#nextPosition
    const count = run.events.length
    if (log.no !== this.#lastAuthor || run.from !== this.#lastSeq + 1) this.#insertExtent.run(first, log.no, run.from)
    let i = 0
    for (; i + ROWS_PER_INSERT <= count; i += ROWS_PER_INSERT) {
      this.#insertMany.run(...this.#rows(run, ids, indexes, i, ROWS_PER_INSERT))
    }
    for (; i < count; i++) this.#insert.run(...this.#rows(run, ids, indexes, i, 1))
    this.#nextPosition = first + count
    this.#lastAuthor = log.no
    this.#lastSeq = run.from + count - 1
    return first
  }

  /** The values of some rows, one after the other. */
  #rows(run: Rows, ids: readonly Buffer[], indexes: readonly (Index | null)[], from: number, count: number): unknown[] {
    const values: unknown[] = []
    for (let i = from; i < from + count; i++) {
      const position = this.#nextPosition + i
      const start = idStart(ids[i] as Buffer)
      const signature = i === run.events.length - 1 && run.signature !== null ? packSignature(run.signature) : null
      const index = indexes[i]
      if (index === null || index === undefined) {
        values.push(position, null, null, start, null, null, signature, run.events[i])
      } else {
        const { time, tick, subject, type } = index
        values.push(
          position,
          time,
          tick,
          start,
          this.#subjectNo(subject),
          type === '' ? null : type,
          signature,
          run.events[i],
        )
      }
    }
    return values
  }

  /**
   * Inside a transaction: notes the MMR's state now and then, so that the peaks at any length are known after hashing
   * a bounded number of events and bytes.
   *
   * @param bytes of the events between `log` and `after`.
   */
  checkpoint(log: Log, after: Mmr, bytes: number): void {
    let since = this.#sinceCheckpoint.get(log.no)
    if (since === undefined) {
      since = { length: this.#findCheckpoint.get(log.no, log.mmr.length)?.length ?? 0, bytes: 0 }
      this.#sinceCheckpoint.set(log.no, since)
    }
    since.bytes += bytes
    if (after.length - since.length < MMR_CHECKPOINT_EVENTS && since.bytes < MMR_CHECKPOINT_BYTES) return
    this.#insertCheckpoint.run(log.no, after.length, after.peaks())
    since.length = after.length
    since.bytes = 0
  }

  /** Inside a transaction: a log whose first event here is not its first; its peaks before are all that is known. */
  begin(log: Log): void {
    this.#insertCheckpoint.run(log.no, log.start, log.mmr.peaks())
    this.#sinceCheckpoint.set(log.no, { length: log.start, bytes: 0 })
  }

  /** After a rollback: back to what the file says. */
  reset(nextPosition: number): void {
    this.#nextPosition = nextPosition
    this.#lastAuthor = 0
    this.#lastSeq = -1
    this.#subjects.clear()
    this.#sinceCheckpoint.clear()
  }

  #subjectNo(name: string): number {
    let no = this.#subjects.get(name)
    if (no === undefined) {
      no = this.#findSubject.get(name) ?? Number(this.#insertSubject.run(name).lastInsertRowid)
      if (this.#subjects.size >= SUBJECT_CACHE_ENTRIES) this.#subjects.clear()
      this.#subjects.set(name, no)
    }
    return no
  }

  at(position: number): StoredRow | null {
    const row = this.#at.get(position)
    return row === undefined ? null : { bytes: row.bytes, idStart: row.id_start, readable: row.subject !== null }
  }

  /** Events after a position, in the order of arrival: where each lies, its clock (null: it can't be read) and its bytes. */
  rowsAfter(position: number, limit: number): [position: number, time: number | null, bytes: Buffer][] {
    return this.#items.all(position, limit)
  }

  /** The starts of the ids of all events from a position on. */
  idStarts(from: number): IterableIterator<[position: number, start: number]> {
    return this.#idStarts.iterate(from)
  }

  /** Where the events of a log lie from seq on, as far as they follow each other. */
  #stretch(log: Log, seq: number): Stretch {
    const extent = this.#findExtent.get(log.no, seq)
    if (extent === undefined || seq >= log.mmr.length) throw corruptFile('an event has no place')
    const end = this.#nextExtent.get(log.no, seq) ?? log.mmr.length
    return { position: extent.position + (seq - extent.seq), count: end - seq }
  }

  /** The log's length when the newest event was at that position. */
  lengthAt(log: Log, position: number): number {
    if (log.position <= position) return log.mmr.length
    const extent = this.#extentAt.get(log.no, position)
    if (extent === undefined) return 0
    const end = this.#nextExtent.get(log.no, extent.seq) ?? log.mmr.length
    return Math.min(end, extent.seq + position - extent.position + 1)
  }

  /** Seq of the last readable event before a time (ms since 1970), or one before it; the log's start if there is none. */
  seqBefore(log: Log, time: number): number {
    let low = log.start
    let high = log.mmr.length - 1
    while (low < high) {
      const middle = Math.ceil((low + high) / 2)
      const { position } = this.#stretch(log, middle)
      // Within the stretch, and not far: what can't be read here has no time.
      const first = Math.max(this.#extentAt.get(log.no, position)?.position ?? 0, position - TIME_LOOKBACK_ROWS)
      const found = this.#lastTime.get(first - 1, position)
      if (found !== undefined && found < time) low = middle
      else high = middle - 1
    }
    return low
  }

  /** Where the log's events lie from seq on, stretch by stretch. */
  *stretches(log: Log, from: number): Generator<Stretch> {
    for (let seq = Math.max(from, log.start); seq < log.mmr.length;) {
      const stretch = this.#stretch(log, seq)
      yield stretch
      seq += stretch.count
    }
  }

  /** Where the log's events before `end` lie, the last stretch first. */
  *stretchesBefore(log: Log, end: number): Generator<Stretch> {
    const start = log.start
    for (let seq = end; seq > start;) {
      const extent = this.#findExtent.get(log.no, seq - 1)
      if (extent === undefined) throw corruptFile('an event has no place')
      const first = Math.max(extent.seq, start)
      yield { position: extent.position + (first - extent.seq), count: seq - first }
      seq = first
    }
  }

  /** The log's events from seq on, in order, with the signatures of the heads that they end. */
  *rows(log: Log, from: number): Generator<[Buffer, Buffer | null]> {
    for (const { position, count } of this.stretches(log, from)) {
      let found = 0
      for (const row of this.#range.iterate(position, position + count)) {
        found++
        yield row
      }
      if (found < count) throw corruptFile('events are missing')
    }
  }

  /**
   * Events from `from` to a signed head: as many as fit `maxBytes` and a run, or one segment if that is larger. Null when
   * there is nothing after `from`.
   */
  readRun(log: Log, from: number, maxBytes: number): Run | null {
    if (from >= log.mmr.length) return null
    const events: Buffer[] = []
    let bytes = 0
    let whole = 0
    let signature: Buffer | null = null
    for (const [event, signed] of this.rows(log, from)) {
      bytes += event.length
      if (signature !== null && (bytes > maxBytes || events.length === MAX_RUN_EVENTS)) break
      events.push(event)
      if (signed !== null) {
        whole = events.length
        signature = signed
      }
    }
    if (signature === null) throw corruptFile('a log ends without a signature')
    events.length = whole
    return { author: log.author, from, peaks: null, signature: unpackSignature(signature), events }
  }

  /** The same with the peaks before it, or, where nothing follows, with those at the log's end and its last signature. */
  readRunWithPeaks(log: Log, from: number, maxBytes: number): Run | null {
    const run = this.readRun(log, from, maxBytes)
    const peaks = this.mmrAt(log, from).peaks()
    if (run !== null) return { ...run, peaks }
    const signature = this.lastSignature(log)
    return signature === null ? null : { author: log.author, from, peaks, signature, events: [] }
  }

  /** The MMR when the log had that length, which is not below its start. */
  mmrAt(log: Log, length: number): Mmr {
    assert(length >= log.start, 'peaks before the start of a log are not known')
    if (length === log.mmr.length) return log.mmr
    const checkpoint = this.#findCheckpoint.get(log.no, length)
    const mmr = checkpoint === undefined ? new Mmr() : Mmr.from(checkpoint.length, checkpoint.peaks)
    if (mmr.length === length) return mmr
    for (const [bytes] of this.rows(log, mmr.length)) {
      mmr.append(hash(bytes))
      if (mmr.length === length) break
    }
    return mmr
  }

  /** The signature of the head that the log ends with. */
  lastSignature(log: Log): Signature | null {
    if (log.mmr.length === 0) return null
    for (const [, signature] of this.rows(log, log.mmr.length - 1)) {
      if (signature !== null) return unpackSignature(signature)
    }
    return null
  }
}

function packSignature(signature: Signature): Buffer {
  return Buffer.concat([Uint8Array.of(signature.suite), signature.bytes])
}

function unpackSignature(packed: Buffer): Signature {
  return { suite: packed[0] as number, bytes: packed.subarray(1) }
}

import { toHex } from '../base/bytes.ts'
import { hash } from '../base/hash.ts'
import { MAX_INDEXED_SUBJECTS, MAX_SUBJECT_BYTES, READ_BATCH_BYTES, READ_BATCH_EVENTS } from '../base/limits.ts'
import { decodeData } from '../event/data.ts'
import { decodeEventBody, decodeEventHeader } from '../event/event.ts'
import type { SubjectPattern } from '../event/subject.ts'
import type { CausalRanks } from './causal-ranks.ts'
import type { ClockPlace } from './clock-order.ts'
import { ClockOrder } from './clock-order.ts'
import type { EventTable } from './event-table.ts'
import { idStart } from './id-index.ts'
import type { Log } from './log.ts'
import type { Database, Statement } from './sqlite.ts'
import { corruptFile } from './sqlite.ts'
import type { Event } from './stored-event.ts'

/** Rows looked at in one step when a pattern is matched without an index. */
const SCAN_ROWS = 2048
/** Rows before the end that are read as they are, and matched then: one statement where an index takes three. */
const NEAR_ROWS = 16
/** Stretches of the causal order looked at before a batch is handed out, full or not. */
const SCAN_STEPS = 512
/** Sorts after every subject: none is as long, and U+10FFFF is the last character. */
const AFTER_SUBJECTS = '\u{10ffff}'.repeat(MAX_SUBJECT_BYTES / 4 + 1)

type Row = [position: number, bytes: Buffer, idStart: number]
type NearRow = [...Row, subject: number]
type Range = [above: number, below: number, limit: number]

/** Rows that match, in one step of a scan. */
interface Step {
  rows: Row[]
  /** Where to go on from. */
  last: number
  /** Whether nothing was left to look at. */
  end: boolean
}

/** What one batch may still take. */
interface Room {
  events: number
  bytes: number
}

/** Reads a database's events in any of their orders, decoded. */
export class EventReader {
  readonly #table: EventTable
  readonly #sealKey: Buffer | null
  readonly #ownAuthor: string
  /** Position of the newest event, if nobody else writes to the file. */
  readonly #end: () => number
  readonly #near: Statement<Range, NearRow>
  readonly #all: Statement<Range, Row>
  readonly #allReverse: Statement<Range, Row>
  readonly #ofSubject: Statement<[number, ...Range], number>
  readonly #ofSubjectReverse: Statement<[number, ...Range], number>
  readonly #subjectsAt: Statement<Range, [number, number]>
  readonly #subjectsAtReverse: Statement<Range, [number, number]>
  readonly #ranks: CausalRanks
  readonly #clockOrder: ClockOrder
  readonly #clockUpTo: Statement<[number], [position: number, time: number, tick: number, bytes: Buffer]>
  readonly #at: Statement<[number], Row>
  readonly #subjectNo: Statement<[string], number>
  readonly #subjectName: Statement<[number], string>
  readonly #subjectRange: Statement<[string, string, number], [number, string]>

  constructor(
    db: Database,
    table: EventTable,
    ranks: CausalRanks,
    sealKey: Buffer | null,
    ownAuthor: string,
    readOnly: boolean,
  ) {
    this.#ranks = ranks
    this.#end = () => (readOnly ? Infinity : table.nextPosition - 1)
    this.#clockOrder = new ClockOrder(db, table)
    this.#table = table
    this.#sealKey = sealKey
    this.#ownAuthor = ownAuthor
    const rows = <P extends unknown[], R>(sql: string): Statement<P, R> =>
      db.prepare(sql).raw() as unknown as Statement<P, R>
    const from = 'SELECT position, bytes, id_start FROM events WHERE subject IS NOT NULL AND'
    const forward = 'position > ? AND position < ? ORDER BY position LIMIT ?'
    const backward = 'position > ? AND position < ? ORDER BY position DESC LIMIT ?'
    this.#near = rows(from.replace('id_start', 'id_start, subject') + ` ${forward}`)
    this.#all = rows(`${from} ${forward}`)
    this.#allReverse = rows(`${from} ${backward}`)
    const places = (sql: string): Statement<[number, ...Range], number> =>
      db.prepare<[number, ...Range], number>(sql).pluck()
    const ofSubject = 'SELECT position FROM events WHERE subject = ? AND'
    this.#ofSubject = places(`${ofSubject} ${forward}`)
    this.#ofSubjectReverse = places(`${ofSubject} ${backward}`)
    const subjects = 'SELECT position, subject FROM events WHERE subject IS NOT NULL AND'
    this.#subjectsAt = rows(`${subjects} ${forward}`)
    this.#subjectsAtReverse = rows(`${subjects} ${backward}`)
    this.#clockUpTo = rows(
      `SELECT position, time, tick, bytes FROM events
       WHERE position <= ? AND subject IS NOT NULL ORDER BY position DESC LIMIT 1`,
    )
    this.#at = rows('SELECT position, bytes, id_start FROM events WHERE position = ?')
    this.#subjectNo = db.prepare<[string], number>('SELECT no FROM subjects WHERE name = ?').pluck()
    this.#subjectName = db.prepare<[number], string>('SELECT name FROM subjects WHERE no = ?').pluck()
    this.#subjectRange = rows('SELECT no, name FROM subjects WHERE name >= ? AND name < ? ORDER BY name LIMIT ?')
  }

  /** The event with this id (32 bytes), among those at these positions, if it can be read. */
  find(id: Buffer, positions: readonly number[]): Event | null {
    const start = idStart(id)
    for (const position of positions) {
      const row = this.#table.at(position)
      if (row === null || row.idStart !== start || !row.readable) continue
      const event = this.decode(position, row.bytes, start)
      if (event?.id === toHex(id)) return event
    }
    return null
  }

  /**
   * The event, or null if it can't be read.
   *
   * @throws {PeerlogError} `CORRUPT_FILE` when the bytes are not those that were stored.
   */
  decode(position: number, bytes: Buffer, start: number): Event | null {
    // Damage can make anything of a value.
    const id = Buffer.isBuffer(bytes) ? hash(bytes) : null
    if (id === null || idStart(id) !== start)
      throw corruptFile(`the event at position ${position} is not what was stored`)
    const header = decodeEventHeader(bytes)
    if (typeof header === 'string') return null
    const body = decodeEventBody(bytes, header, this.#sealKey)
    if (typeof body === 'string') return null
    const data = decodeData(body.json, body.data)
    if (data === undefined) return null
    const author = toHex(header.author)
    return {
      id: toHex(id),
      author,
      seq: header.seq,
      position,
      timestamp: body.time,
      subject: body.subject,
      ...(body.type === '' ? {} : { type: body.type }),
      data,
      local: author === this.#ownAuthor,
    }
  }

  /**
   * Readable events after (or, in reverse, before) a position, a batch at a time; it ends where the log does when it is
   * asked for the last time. Between two batches the caller may wait as long as it likes: nothing is held open.
   */
  *scan(pattern: SubjectPattern | null, from: number, reverse: boolean): Generator<Event[]> {
    const known = new Map<number, boolean>()
    for (let position = from; ;) {
      const [above, below] = reverse ? [0, position] : [position, Number.MAX_SAFE_INTEGER]
      if (above >= this.#end()) return
      const isNear = pattern !== null && !reverse && this.#end() - above <= NEAR_ROWS
      const step = isNear
        ? this.#stepNear(pattern, above, known)
        : this.#step(pattern, above, below, reverse, batchRoom())
      const events = this.#decodeAll(step.rows)
      if (events.length > 0) yield events
      // What was the end before the batch was handed out need not be it any more.
      else if (step.end) return
      if (step.end && reverse) return
      if (reverse ? step.last >= position : step.last <= position) throw corruptFile('positions are out of order')
      position = step.last
    }
  }

  /**
   * Readable events after (or, in reverse, before) a rank in the causal order, like `scan`. A batch may be empty: then
   * others may have their turn before it goes on.
   */
  *scanCausal(pattern: SubjectPattern | null, from: number, reverse: boolean): Generator<Event[]> {
    let rank = reverse ? Math.min(from, this.#ranks.count + 1) : from
    for (;;) {
      const room = batchRoom()
      const rows: Row[] = []
      let stretch = this.#ranks.stretch(rank, reverse)
      for (let steps = 0; stretch !== null && steps < SCAN_STEPS; steps++) {
        const { position, count } = stretch
        const step = this.#step(pattern, position - 1, position + count, reverse, room)
        rows.push(...step.rows)
        const done = step.end ? count : reverse ? position + count - step.last : step.last - position + 1
        rank += reverse ? -done : done
        stretch = this.#ranks.stretch(rank, reverse)
        if (room.events <= 0 || room.bytes <= 0) break
      }
      const events = this.#decodeAll(rows)
      if (stretch === null && (reverse || events.length === 0)) {
        if (events.length > 0) yield events
        return
      }
      yield events
    }
  }

  #decodeAll(rows: readonly Row[]): Event[] {
    const events: Event[] = []
    for (const row of rows) {
      const event = this.decode(...row)
      if (event !== null) events.push(event)
    }
    return events
  }

  /** One step of a scan between two positions. */
  #step(pattern: SubjectPattern | null, above: number, below: number, reverse: boolean, room: Room): Step {
    const start = reverse ? below : above
    const limit = room.events
    if (pattern === null) {
      const { rows, full } = take((reverse ? this.#allReverse : this.#all).iterate(above, below, limit), room)
      return { rows, last: rows.at(-1)?.[0] ?? start, end: !full }
    }
    const subjects = below - above > SCAN_ROWS ? this.#matching(pattern) : null
    if (subjects !== null) {
      const statement = reverse ? this.#ofSubjectReverse : this.#ofSubject
      const places = subjects.flatMap((no) => statement.all(no, above, below, limit))
      if (subjects.length > 1) places.sort(reverse ? (a, b) => b - a : (a, b) => a - b)
      const { rows, full } = take(this.#rowsAt(places), room)
      return { rows, last: rows.at(-1)?.[0] ?? start, end: !full }
    }
    const found = (reverse ? this.#subjectsAtReverse : this.#subjectsAt).all(above, below, SCAN_ROWS)
    const known = new Map<number, boolean>()
    const places = found.filter(([, subject]) => this.#isMatch(pattern, subject, known)).map(([at]) => at)
    const { rows, full } = take(this.#rowsAt(places), room)
    if (full) return { rows, last: (rows.at(-1) as Row)[0], end: false }
    return { rows, last: found.at(-1)?.[0] ?? start, end: found.length < SCAN_ROWS }
  }

  /** The same for the last few events. */
  #stepNear(pattern: SubjectPattern, above: number, known: Map<number, boolean>): Step {
    const limit = READ_BATCH_EVENTS
    const { rows, full } = take(this.#near.iterate(above, Number.MAX_SAFE_INTEGER, limit), batchRoom())
    const matching = rows.filter(([, , , subject]) => this.#isMatch(pattern, subject, known))
    return {
      rows: matching.map(([at, bytes, start]) => [at, bytes, start]),
      last: rows.at(-1)?.[0] ?? above,
      end: !full,
    }
  }

  *#rowsAt(positions: readonly number[]): Generator<Row> {
    for (const position of positions) yield this.#rowAt(position)
  }

  /** Numbers of the subjects that match, if they are few enough to read each by its index; null if not. */
  #matching(pattern: SubjectPattern): number[] | null {
    if (pattern.exact !== null) {
      const no = this.#subjectNo.get(pattern.exact)
      return no === undefined ? [] : [no]
    }
    const end = pattern.prefix + AFTER_SUBJECTS
    const candidates = this.#subjectRange.all(pattern.prefix, end, 4 * MAX_INDEXED_SUBJECTS)
    if (candidates.length === 4 * MAX_INDEXED_SUBJECTS) return null
    const matching = candidates.filter(([, name]) => pattern.matches(name)).map(([no]) => no)
    return matching.length > MAX_INDEXED_SUBJECTS ? null : matching
  }

  #isMatch(pattern: SubjectPattern, subject: number, known: Map<number, boolean>): boolean {
    let match = known.get(subject)
    if (match === undefined) {
      const name = this.#subjectName.get(subject)
      if (name === undefined) throw corruptFile('a subject has no name')
      match = pattern.matches(name)
      known.set(subject, match)
    }
    return match
  }

  #rowAt(position: number): Row {
    const row = this.#at.get(position)
    if (row === undefined) throw corruptFile('events are missing')
    return row
  }

  /**
   * Readable events of these logs in the order of (clock, author, seq), the same on every replica: all of them, or those
   * after (in reverse: before) the event at a position. A batch may be empty, as those of `scanCausal`.
   */
  *scanByClock(
    pattern: SubjectPattern | null,
    logs: readonly Log[],
    after: number | null,
    reverse: boolean,
  ): Generator<Event[]> {
    const from = after === null ? null : this.#clockPlace(after)
    if (after !== null && from === null && reverse) return
    const included = reverse && from?.position !== after
    const known = new Map<number, boolean>()
    let room = batchRoom()
    let rows: Row[] = []
    let steps = 0
    for (const { position, subject } of this.#clockOrder.merge(logs, from, included, reverse)) {
      if (pattern === null || this.#isMatch(pattern, subject, known))
        rows.push(...take([this.#rowAt(position)], room).rows)
      if (++steps < SCAN_ROWS && room.events > 0 && room.bytes > 0) continue
      yield this.#decodeAll(rows)
      room = batchRoom()
      rows = []
      steps = 0
    }
    if (rows.length > 0) yield this.#decodeAll(rows)
  }

  /** The place by clock of the last readable event up to a position. */
  #clockPlace(upTo: number): (ClockPlace & { position: number }) | null {
    const row = this.#clockUpTo.get(upTo)
    if (row === undefined) return null
    const [position, time, tick, bytes] = row
    const header = decodeEventHeader(bytes)
    if (typeof header === 'string') throw corruptFile(`the event at position ${position} is not what was stored`)
    return { position, time, tick, hex: toHex(header.author) }
  }
}

function batchRoom(): Room {
  return { events: READ_BATCH_EVENTS, bytes: READ_BATCH_BYTES }
}

/** The next rows, as many as there is room for; `full` if there may be more. */
function take<R extends Row | NearRow>(rows: Iterable<R>, room: Room): { rows: R[]; full: boolean } {
  const taken: R[] = []
  for (const row of rows) {
    taken.push(row)
    room.events--
    room.bytes -= row[1]?.length ?? 0
    if (room.events === 0 || room.bytes <= 0) return { rows: taken, full: true }
  }
  return { rows: taken, full: false }
}

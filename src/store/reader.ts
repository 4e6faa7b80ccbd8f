import { toHex } from '../base/bytes.ts'
import { hash } from '../base/hash.ts'
import { MAX_INDEXED_SUBJECTS, MAX_SUBJECT_BYTES, READ_BATCH_BYTES, READ_BATCH_EVENTS } from '../base/limits.ts'
import { decodeData } from '../event/data.ts'
import { decodeEventBody, decodeEventHeader } from '../event/event.ts'
import type { SubjectPattern } from '../event/subject.ts'
import { ClockOrder } from './clock-order.ts'
import type { EventTable } from './event-table.ts'
import { idStart } from './id-index.ts'
import type { Log } from './log.ts'
import type { Database, Statement } from './sqlite.ts'
import { corruptFile } from './sqlite.ts'
import type { Event } from './stored-event.ts'

/** Rows looked at in one step when a pattern is matched without an index. */
const SCAN_ROWS = 2048
/** Sorts after every subject: none is as long, and U+10FFFF is the last character. */
const AFTER_SUBJECTS = '\u{10ffff}'.repeat(MAX_SUBJECT_BYTES / 4 + 1)

type Row = [position: number, bytes: Buffer, idStart: number]

/** Reads a database's events in the order of arrival or of their clocks, decoded. */
export class EventReader {
  readonly #sealKey: Buffer | null
  readonly #ownAuthor: string
  readonly #all: Statement<[number, number], Row>
  readonly #allReverse: Statement<[number, number], Row>
  readonly #ofSubject: Statement<[number, number, number], number>
  readonly #ofSubjectReverse: Statement<[number, number, number], number>
  readonly #subjectsAt: Statement<[number, number], [number, number]>
  readonly #subjectsAtReverse: Statement<[number, number], [number, number]>
  readonly #clockOrder: ClockOrder
  readonly #at: Statement<[number], Row>
  readonly #subjectNo: Statement<[string], number>
  readonly #subjectName: Statement<[number], string>
  readonly #subjectRange: Statement<[string, string, number], [number, string]>

  constructor(db: Database, table: EventTable, sealKey: Buffer | null, ownAuthor: string) {
    this.#clockOrder = new ClockOrder(db, table)
    this.#sealKey = sealKey
    this.#ownAuthor = ownAuthor
    const rows = <P extends unknown[], R>(sql: string): Statement<P, R> =>
      db.prepare(sql).raw() as unknown as Statement<P, R>
    const from = 'SELECT position, bytes, id_start FROM events WHERE subject IS NOT NULL AND'
    this.#all = rows(`${from} position > ? ORDER BY position LIMIT ?`)
    this.#allReverse = rows(`${from} position < ? ORDER BY position DESC LIMIT ?`)
    const places = (sql: string): Statement<[number, number, number], number> =>
      db.prepare<[number, number, number], number>(sql).pluck()
    const ofSubject = 'SELECT position FROM events WHERE subject = ? AND position'
    this.#ofSubject = places(`${ofSubject} > ? ORDER BY position LIMIT ?`)
    this.#ofSubjectReverse = places(`${ofSubject} < ? ORDER BY position DESC LIMIT ?`)
    const subjects = 'SELECT position, subject FROM events WHERE subject IS NOT NULL AND'
    this.#subjectsAt = rows(`${subjects} position > ? ORDER BY position LIMIT ?`)
    this.#subjectsAtReverse = rows(`${subjects} position < ? ORDER BY position DESC LIMIT ?`)
    this.#at = rows('SELECT position, bytes, id_start FROM events WHERE position = ?')
    this.#subjectNo = db.prepare<[string], number>('SELECT no FROM subjects WHERE name = ?').pluck()
    this.#subjectName = db.prepare<[number], string>('SELECT name FROM subjects WHERE no = ?').pluck()
    this.#subjectRange = rows('SELECT no, name FROM subjects WHERE name >= ? AND name < ? ORDER BY name LIMIT ?')
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
    const limit = READ_BATCH_EVENTS
    for (let position = from; ;) {
      const step = this.#step(pattern, position, limit, reverse)
      const events: Event[] = []
      for (const [at, bytes, start] of step.rows) {
        const event = this.decode(at, bytes, start)
        if (event !== null) events.push(event)
      }
      if (events.length > 0) yield events
      // What was the end before the batch was handed out need not be it any more.
      else if (step.end) return
      if (step.end && reverse) return
      if (reverse ? step.last >= position : step.last <= position) throw corruptFile('positions are out of order')
      position = step.last
    }
  }

  /** One step of a scan: rows that match, where to go on, and whether the end was reached. */
  #step(
    pattern: SubjectPattern | null,
    position: number,
    limit: number,
    reverse: boolean,
  ): { rows: Row[]; last: number; end: boolean } {
    if (pattern === null) {
      const { rows, full } = take((reverse ? this.#allReverse : this.#all).iterate(position, limit), limit)
      return { rows, last: rows.at(-1)?.[0] ?? position, end: !full }
    }
    const subjects = this.#matching(pattern)
    if (subjects !== null) {
      const statement = reverse ? this.#ofSubjectReverse : this.#ofSubject
      const places = subjects.flatMap((no) => statement.all(no, position, limit))
      if (subjects.length > 1) places.sort(reverse ? (a, b) => b - a : (a, b) => a - b)
      const { rows, full } = take(this.#rowsAt(places), limit)
      return { rows, last: rows.at(-1)?.[0] ?? position, end: !full }
    }
    const found = (reverse ? this.#subjectsAtReverse : this.#subjectsAt).all(position, SCAN_ROWS)
    const known = new Map<number, boolean>()
    const places = found.filter(([, subject]) => this.#isMatch(pattern, subject, known)).map(([at]) => at)
    const { rows, full } = take(this.#rowsAt(places), limit)
    if (full) return { rows, last: (rows.at(-1) as Row)[0], end: false }
    return { rows, last: found.at(-1)?.[0] ?? position, end: found.length < SCAN_ROWS }
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

  /** Readable events of these logs in the order of (clock, author, seq), the same on every replica. */
  *scanByClock(pattern: SubjectPattern | null, logs: readonly Log[]): Generator<Event[]> {
    const known = new Map<number, boolean>()
    let events: Event[] = []
    for (const { position, subject } of this.#clockOrder.merge(logs)) {
      if (pattern !== null && !this.#isMatch(pattern, subject, known)) continue
      const event = this.decode(...this.#rowAt(position))
      if (event !== null) events.push(event)
      if (events.length < READ_BATCH_EVENTS) continue
      yield events
      events = []
    }
    if (events.length > 0) yield events
  }
}

/** The next rows, as many as one batch may have; `full` if there may be more. */
function take(rows: Iterable<Row>, limit: number): { rows: Row[]; full: boolean } {
  const taken: Row[] = []
  let bytes = 0
  for (const row of rows) {
    taken.push(row)
    bytes += row[1]?.length ?? 0
    if (taken.length === limit || bytes >= READ_BATCH_BYTES) return { rows: taken, full: true }
  }
  return { rows: taken, full: false }
}

import { toHex } from '../base/bytes.ts'
import { hash } from '../base/hash.ts'
import { MAX_INDEXED_SUBJECTS, MAX_SUBJECT_BYTES, READ_BATCH_EVENTS } from '../base/limits.ts'
import { decodeData } from '../event/data.ts'
import { decodeEventBody, decodeEventHeader } from '../event/event.ts'
import type { SubjectPattern } from '../event/subject.ts'
import { idStart } from './id-index.ts'
import type { Database, Statement } from './sqlite.ts'
import { corruptFile } from './sqlite.ts'
import type { Event } from './stored-event.ts'

/** Rows looked at in one step when a pattern is matched without an index. */
const SCAN_ROWS = 2048
/** Sorts after every subject: none is as long, and U+10FFFF is the last character. */
const AFTER_SUBJECTS = '\u{10ffff}'.repeat(MAX_SUBJECT_BYTES / 4 + 1)

type Row = [position: number, bytes: Buffer, idStart: number]
type TimeRow = [time: number, tick: number, position: number, subject: number]

/** Reads a database's events in the order of arrival or of their clocks, decoded. */
export class EventReader {
  readonly #sealKey: Buffer | null
  readonly #ownAuthor: string
  readonly #all: Statement<[number, number], Row>
  readonly #allReverse: Statement<[number, number], Row>
  readonly #ofSubject: Statement<[number, number, number], Row>
  readonly #ofSubjectReverse: Statement<[number, number, number], Row>
  readonly #subjectsAt: Statement<[number, number], [number, number]>
  readonly #subjectsAtReverse: Statement<[number, number], [number, number]>
  readonly #byTime: Statement<[number, number, number, number], TimeRow>
  readonly #at: Statement<[number], Row>
  readonly #subjectNo: Statement<[string], number>
  readonly #subjectName: Statement<[number], string>
  readonly #subjectRange: Statement<[string, string, number], [number, string]>

  constructor(db: Database, sealKey: Buffer | null, ownAuthor: string) {
    this.#sealKey = sealKey
    this.#ownAuthor = ownAuthor
    const rows = <P extends unknown[], R>(sql: string): Statement<P, R> =>
      db.prepare(sql).raw() as unknown as Statement<P, R>
    const from = 'SELECT position, bytes, id_start FROM events WHERE subject IS NOT NULL AND'
    this.#all = rows(`${from} position > ? ORDER BY position LIMIT ?`)
    this.#allReverse = rows(`${from} position < ? ORDER BY position DESC LIMIT ?`)
    this.#ofSubject = rows(`${from} subject = ? AND position > ? ORDER BY position LIMIT ?`)
    this.#ofSubjectReverse = rows(`${from} subject = ? AND position < ? ORDER BY position DESC LIMIT ?`)
    const subjects = 'SELECT position, subject FROM events WHERE subject IS NOT NULL AND'
    this.#subjectsAt = rows(`${subjects} position > ? ORDER BY position LIMIT ?`)
    this.#subjectsAtReverse = rows(`${subjects} position < ? ORDER BY position DESC LIMIT ?`)
    this.#byTime = rows(
      `SELECT time, tick, position, subject FROM events WHERE time IS NOT NULL AND (time, tick, position) > (?, ?, ?)
       ORDER BY time, tick, position LIMIT ?`,
    )
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
      const rows = (reverse ? this.#allReverse : this.#all).all(position, limit)
      return { rows, last: rows.at(-1)?.[0] ?? position, end: rows.length < limit }
    }
    const subjects = this.#matching(pattern)
    if (subjects !== null) {
      const statement = reverse ? this.#ofSubjectReverse : this.#ofSubject
      const rows = subjects.flatMap((no) => statement.all(no, position, limit))
      if (subjects.length > 1) rows.sort(reverse ? (a, b) => b[0] - a[0] : (a, b) => a[0] - b[0])
      rows.length = Math.min(rows.length, limit)
      return { rows, last: rows.at(-1)?.[0] ?? position, end: rows.length < limit }
    }
    const found = (reverse ? this.#subjectsAtReverse : this.#subjectsAt).all(position, SCAN_ROWS)
    const rows: Row[] = []
    const known = new Map<number, boolean>()
    for (const [at, subject] of found) {
      if (!this.#isMatch(pattern, subject, known)) continue
      rows.push(this.#rowAt(at))
      if (rows.length === limit) return { rows, last: at, end: false }
    }
    return { rows, last: found.at(-1)?.[0] ?? position, end: found.length < SCAN_ROWS }
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

  #nextByTime(time: number, tick: number, position: number): TimeRow[] {
    const found = this.#byTime.all(time, tick, position, READ_BATCH_EVENTS)
    const last = found.at(-1)
    if (last !== undefined && (last[0] - time || last[1] - tick || last[2] - position) <= 0) {
      throw corruptFile('clocks are out of order')
    }
    return found
  }

  #rowAt(position: number): Row {
    const row = this.#at.get(position)
    if (row === undefined) throw corruptFile('events are missing')
    return row
  }

  /** Readable events in the order of (clock, author, seq), the same on every replica. */
  *scanByClock(pattern: SubjectPattern | null): Generator<Event[]> {
    const known = new Map<number, boolean>()
    let [time, tick, position] = [-1, -1, -1]
    for (;;) {
      const found = this.#nextByTime(time, tick, position)
      if (found.length === 0) return
      // Events of one clock stand in the order of their authors, so none may be left to the next batch.
      for (let full = found.length === READ_BATCH_EVENTS; full;) {
        const [lastTime, lastTick, lastPosition] = found.at(-1) as TimeRow
        const rest = this.#nextByTime(lastTime, lastTick, lastPosition)
        const same = rest.filter((row) => row[0] === lastTime && row[1] === lastTick)
        found.push(...same)
        full = same.length === READ_BATCH_EVENTS
      }
      ;[time, tick, position] = found.at(-1) as TimeRow
      const events: [number, number, Event][] = []
      for (const row of found) {
        if (pattern !== null && !this.#isMatch(pattern, row[3], known)) continue
        const event = this.decode(...this.#rowAt(row[2]))
        if (event !== null) events.push([row[0], row[1], event])
      }
      events.sort((a, b) => a[0] - b[0] || a[1] - b[1] || (a[2].author < b[2].author ? -1 : 1))
      if (events.length > 0) yield events.map(([, , event]) => event)
    }
  }
}

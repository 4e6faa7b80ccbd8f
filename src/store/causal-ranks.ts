import type { Stretch } from './event-table.ts'
import type { Database, Statement } from './sqlite.ts'

interface Row {
  rank: number
  position: number
}

/** Before the first row of the table: every rank is the position. */
const IDENTITY: Row = { rank: 0, position: 0 }

/**
 * Which event has which rank in the causal order, from 1 on: the table `causal`, one row for each stretch of ranks at
 * consecutive positions. As long as everything arrives after its causes there are no rows, and rank is position.
 */
export class CausalRanks {
  #count = 0
  #hasRows = false
  /** Where the next rank lies if it needs no row. */
  #expected = 1
  readonly #insert: Statement<[number, number]>
  readonly #load: Statement<[], number>
  readonly #last: Statement<[], Row>
  readonly #upTo: Statement<[number], Row>
  readonly #next: Statement<[number], number>
  readonly #byPosition: Statement<[number], Row>

  constructor(db: Database) {
    this.#insert = db.prepare('INSERT INTO causal (rank, position) VALUES (?, ?)')
    this.#load = db
      .prepare<[], number>(
        `SELECT max(coalesce((SELECT max(position) FROM events), 0), coalesce((SELECT max(position) FROM authors), 0))
         - (SELECT coalesce(sum(authors.length - waiting.seq), 0) FROM waiting JOIN authors ON no = author)`,
      )
      .pluck()
    this.#last = db.prepare('SELECT rank, position FROM causal ORDER BY rank DESC LIMIT 1')
    this.#upTo = db.prepare('SELECT rank, position FROM causal WHERE rank <= ? ORDER BY rank DESC LIMIT 1')
    this.#next = db.prepare<[number], number>('SELECT rank FROM causal WHERE rank > ? ORDER BY rank LIMIT 1').pluck()
    this.#byPosition = db.prepare(
      'SELECT rank, position FROM causal WHERE position <= ? ORDER BY position DESC LIMIT 1',
    )
    this.reset()
  }

  /** Back to what the file says: at the start, and after a rollback. */
  reset(): void {
    this.#count = this.#load.get() ?? 0
    const last = this.#last.get()
    this.#hasRows = last !== undefined
    const { rank, position } = last ?? IDENTITY
    this.#expected = position + (this.#count - rank) + 1
  }

  /** Events that have a rank: also the highest rank. */
  get count(): number {
    return this.#count
  }

  /** Inside a transaction: the next ranks are those of the events from a position on. */
  add(position: number, count: number): void {
    if (count === 0) return
    if (position !== this.#expected) {
      this.#insert.run(this.#count + 1, position)
      this.#hasRows = true
    }
    this.#count += count
    this.#expected = position + count
  }

  /** The rank of the event at a position. If it has none, or there is none, that of the nearest one before; or 0. */
  upTo(position: number): number {
    return this.#place(position).rank
  }

  /** The rank that all events before the event at a position are below. */
  before(position: number): number {
    const { rank, exact } = this.#place(position)
    return exact ? rank : rank + 1
  }

  /** The stretch that begins after a rank, or in reverse the one that ends before it; null at the end. */
  stretch(rank: number, reverse: boolean): Stretch | null {
    const at = reverse ? Math.min(rank - 1, this.#count) : rank + 1
    if (at < 1 || at > this.#count) return null
    const row = (this.#hasRows && this.#upTo.get(at)) || IDENTITY
    const position = row.position + (at - row.rank)
    if (!reverse) return { position, count: this.#end(at) - at }
    const first = row === IDENTITY ? 1 : row.position
    return { position: first, count: position - first + 1 }
  }

  #place(position: number): { rank: number; exact: boolean } {
    const row = (this.#hasRows && this.#byPosition.get(position)) || IDENTITY
    // Stretches do not overlap: if the event has a rank, it is in the last one that begins at its position or before.
    const end = this.#end(row.rank)
    const rank = row.rank + (position - row.position)
    return rank < end ? { rank, exact: true } : { rank: end - 1, exact: false }
  }

  /** The first rank after the stretch that a rank is in. */
  #end(rank: number): number {
    return (this.#hasRows ? this.#next.get(rank) : undefined) ?? this.#count + 1
  }
}

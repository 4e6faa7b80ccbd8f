import { ID_INDEX_BATCH, ID_MERGE_LUMP } from '../base/limits.ts'
import type { Database, Statement } from './sqlite.ts'

/** Bits of an id that stand beside each event. */
const START_BITS = 48
/** Bits of an id that are indexed: with the 16 bits of an offset they fit a double exactly. */
const PREFIX_BITS = 37

/** Rows that one statement merges: narrow rows cost less in company. */
const ROWS_PER_INSERT = 16

interface Batch {
  /** prefix × ID_INDEX_BATCH + offset: sorting the numbers sorts by prefix. */
  entries: Float64Array
  /** Position of offset 0. */
  base: number
  /** Entries used, or, once sorted, merged already. */
  count: number
}

/**
 * Finds events by id. Ids are random, so a B-tree that takes them one by one gets slower with every event; here they
 * gather in memory, and each full batch is sorted and merged in order, a piece with every later transaction: a small
 * log-structured merge. What is not merged yet is found by a scan, of two batches as a rule.
 */
export class IdIndex {
  #gathering: Batch
  /** Full and sorted batches, the oldest of them being merged. More than one only after very large transactions. */
  readonly #full: Batch[] = []
  #staged = 0
  /** Ids that should have been merged by now. */
  #due = 0
  readonly #insert: Statement
  readonly #insertMany: Statement
  readonly #select: Statement<[number], number>
  readonly #setUpTo: Statement<[number]>

  constructor(db: Database) {
    const insert = 'INSERT OR IGNORE INTO ids (prefix, position) VALUES (?, ?)'
    this.#insert = db.prepare(insert)
    this.#insertMany = db.prepare(insert + ', (?, ?)'.repeat(ROWS_PER_INSERT - 1))
    this.#select = db.prepare<[number], number>('SELECT position FROM ids WHERE prefix = ?').pluck()
    this.#setUpTo = db.prepare("INSERT OR REPLACE INTO meta (name, value) VALUES ('ids_up_to', ?)")
    const upTo = db.prepare<[], number>("SELECT value FROM meta WHERE name = 'ids_up_to'").pluck().get() ?? 0
    this.#gathering = newBatch(upTo + 1)
  }

  /** The position whose id is to be added next. */
  get nextPosition(): number {
    return this.#gathering.base + this.#gathering.count
  }

  /** Takes the start of the id of the event at `nextPosition`, once its transaction has been committed. Never fails. */
  add(start: number): void {
    const batch = this.#gathering
    batch.entries[batch.count] = prefixOf(start) * ID_INDEX_BATCH + batch.count
    if (++batch.count < ID_INDEX_BATCH) return
    batch.entries.sort()
    this.#full.push({ ...batch, count: 0 })
    this.#gathering = newBatch(batch.base + ID_INDEX_BATCH)
  }

  /**
   * Inside a transaction: merges twice as many ids as are added, and so keeps ahead of adding; a lump at a time, since
   * neighbours in the index share its pages. Where a single transaction has added several batches, each later one merges a
   * whole batch.
   */
  merge(added: number): void {
    const batch = this.#full[0]
    if (batch === undefined) return
    this.#due += 2 * added
    if (this.#due < ID_MERGE_LUMP && this.#full.length === 1) return
    const end = this.#full.length > 1 ? ID_INDEX_BATCH : Math.min(ID_INDEX_BATCH, batch.count + this.#due)
    this.#due = 0
    let i = batch.count
    for (; i + ROWS_PER_INSERT <= end; i += ROWS_PER_INSERT) this.#insertMany.run(...rowsOf(batch, i, ROWS_PER_INSERT))
    for (; i < end; i++) this.#insert.run(rowsOf(batch, i, 1))
    if (end === ID_INDEX_BATCH) this.#setUpTo.run(batch.base + ID_INDEX_BATCH - 1)
    this.#staged = end - batch.count
  }

  /** After the transaction of `merge`: it was committed, or rolled back. */
  settle(committed: boolean): void {
    const batch = this.#full[0]
    if (batch !== undefined && committed) {
      batch.count += this.#staged
      if (batch.count === ID_INDEX_BATCH) this.#full.shift()
    }
    this.#staged = 0
  }

  /** Positions of events whose id may be this one. */
  find(id: Buffer): number[] {
    const prefix = prefixOf(idStart(id))
    const found = this.#select.all(prefix)
    scan(this.#gathering, 0, this.#gathering.count, prefix, found)
    for (const batch of this.#full) scan(batch, batch.count, ID_INDEX_BATCH, prefix, found)
    return found
  }
}

/** Prefixes and positions of some entries, in turn. */
function rowsOf(batch: Batch, from: number, count: number): number[] {
  const values: number[] = []
  for (let i = from; i < from + count; i++) {
    const entry = batch.entries[i] as number
    const prefix = Math.floor(entry / ID_INDEX_BATCH)
    values.push(prefix, batch.base + (entry - prefix * ID_INDEX_BATCH))
  }
  return values
}

function newBatch(base: number): Batch {
  return { entries: new Float64Array(ID_INDEX_BATCH), base, count: 0 }
}

/** The first 48 bits of an id. */
export function idStart(id: Buffer): number {
  return id.readUIntBE(0, START_BITS / 8)
}

function prefixOf(start: number): number {
  return Math.floor(start / 2 ** (START_BITS - PREFIX_BITS))
}

function scan(batch: Batch, from: number, to: number, prefix: number, found: number[]): void {
  for (let i = from; i < to; i++) {
    const entry = batch.entries[i] as number
    if (Math.floor(entry / ID_INDEX_BATCH) === prefix) found.push(batch.base + (entry % ID_INDEX_BATCH))
  }
}

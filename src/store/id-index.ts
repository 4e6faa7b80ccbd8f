import { ID_INDEX_BATCH } from '../base/limits.ts'
import type { Database, Statement } from './sqlite.ts'

/** Bits of an id that are indexed: with the 16 bits of an offset they fit a double exactly. */
const PREFIX_BITS = 37

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
 * log-structured merge. What is not merged yet is found by a scan of at most two batches.
 */
export class IdIndex {
  #gathering: Batch
  #merging: Batch | null = null
  #staged = 0
  readonly #db: Database
  readonly #insert: Statement<[number, number]>
  readonly #select: Statement<[number], number>
  readonly #setUpTo: Statement<[number]>

  constructor(db: Database) {
    this.#db = db
    this.#insert = db.prepare('INSERT OR IGNORE INTO ids (prefix, position) VALUES (?, ?)')
    this.#select = db.prepare<[number], number>('SELECT position FROM ids WHERE prefix = ?').pluck()
    this.#setUpTo = db.prepare("INSERT OR REPLACE INTO meta (name, value) VALUES ('ids_up_to', ?)")
    const upTo = db.prepare<[], number>("SELECT value FROM meta WHERE name = 'ids_up_to'").pluck().get() ?? 0
    this.#gathering = newBatch(upTo + 1)
  }

  /** The position whose id is to be added next. */
  get nextPosition(): number {
    return this.#gathering.base + this.#gathering.count
  }

  /** Takes the id of the event at `nextPosition`, once its transaction has been committed. */
  add(id: Buffer): void {
    const batch = this.#gathering
    batch.entries[batch.count] = prefixOf(id) * ID_INDEX_BATCH + batch.count
    if (++batch.count < ID_INDEX_BATCH) return
    // Merging keeps ahead of adding, except after a single transaction larger than a batch.
    while (this.#merging !== null) {
      this.#db.transaction(() => this.merge(ID_INDEX_BATCH))()
      this.settle(true)
    }
    batch.entries.sort()
    this.#merging = { ...batch, count: 0 }
    this.#gathering = newBatch(batch.base + ID_INDEX_BATCH)
  }

  /** Inside a transaction: merges twice as many ids as the transaction adds. */
  merge(added: number): void {
    const batch = this.#merging
    if (batch === null) return
    const end = Math.min(ID_INDEX_BATCH, batch.count + 2 * added + 1)
    for (let i = batch.count; i < end; i++) {
      const entry = batch.entries[i] as number
      const prefix = Math.floor(entry / ID_INDEX_BATCH)
      this.#insert.run(prefix, batch.base + (entry - prefix * ID_INDEX_BATCH))
    }
    if (end === ID_INDEX_BATCH) this.#setUpTo.run(batch.base + ID_INDEX_BATCH - 1)
    this.#staged = end - batch.count
  }

  /** After the transaction of `merge`: it was committed, or rolled back. */
  settle(committed: boolean): void {
    if (this.#merging !== null && committed) {
      this.#merging.count += this.#staged
      if (this.#merging.count === ID_INDEX_BATCH) this.#merging = null
    }
    this.#staged = 0
  }

  /** Positions of events whose id may be this one. */
  find(id: Buffer): number[] {
    const prefix = prefixOf(id)
    const found = this.#select.all(prefix)
    scan(this.#gathering, 0, this.#gathering.count, prefix, found)
    if (this.#merging !== null) scan(this.#merging, this.#merging.count, ID_INDEX_BATCH, prefix, found)
    return found
  }
}

function newBatch(base: number): Batch {
  return { entries: new Float64Array(ID_INDEX_BATCH), base, count: 0 }
}

function prefixOf(id: Buffer): number {
  return Math.floor(id.readUIntBE(0, 5) / 2 ** (40 - PREFIX_BITS))
}

function scan(batch: Batch, from: number, to: number, prefix: number, found: number[]): void {
  for (let i = from; i < to; i++) {
    const entry = batch.entries[i] as number
    if (Math.floor(entry / ID_INDEX_BATCH) === prefix) found.push(batch.base + (entry % ID_INDEX_BATCH))
  }
}

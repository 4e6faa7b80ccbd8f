import type { StoreParts } from './parts.ts'
import type { Database, OpenDatabase, Transaction } from './sqlite.ts'
import { translateError } from './sqlite.ts'

/**
 * Pages by which the file has grown after which the write-ahead log, in which there are half as many more, is moved into it
 * at the next good moment: before a commit has to do it.
 */
const GROWN_PAGES = 300
/** Events that are added between two looks at the file's size. */
const LOOK_EVERY = 64

/** Changes the store: all of a change, or nothing, in the file and in memory. */
export class Transactions {
  readonly #db: Database
  readonly #path: string
  readonly #parts: StoreParts
  readonly #transaction: Transaction
  readonly #pageCount: () => number
  /** Pages of the file at the last checkpoint; null where there is no write-ahead log. */
  #settledPages: number | null
  /** Events added since the last look. */
  #unseen = 0

  constructor({ db }: OpenDatabase, path: string, parts: StoreParts) {
    this.#db = db
    this.#path = path
    this.#parts = parts
    this.#transaction = db.transaction((work: () => void) => work())
    const pageCount = db.prepare<[], number>('PRAGMA page_count').pluck()
    this.#pageCount = () => pageCount.get() as number
    this.#settledPages = db.memory || db.readonly ? null : this.#pageCount()
  }

  /**
   * Does the work in one transaction.
   *
   * @param added how many events it will add.
   * @throws {PeerlogError} when it can't be written; then everything is as before.
   */
  run<T>(added: number, work: () => T): T {
    const { table, ids, held, causal } = this.#parts
    const { nextPosition } = table
    try {
      let result: T | undefined
      this.#transaction.immediate(() => {
        ids.merge(added)
        result = work()
      })
      ids.settle(true)
      this.#unseen += added
      return result as T
    } catch (error) {
      ids.settle(false)
      table.reset(nextPosition)
      held.reset()
      causal.reset()
      throw translateError(error, this.#path)
    }
  }

  /** Moves the write-ahead log into the file if there is much in it: some milliseconds, which a commit is spared then. */
  settle(): boolean {
    if (this.#settledPages === null || this.#unseen < LOOK_EVERY) return false
    this.#unseen = 0
    const pages = this.#pageCount()
    if (pages - this.#settledPages < GROWN_PAGES) return false
    this.#settledPages = pages
    try {
      this.#db.pragma('wal_checkpoint(PASSIVE)')
    } catch {
      // The next commit tries it too, and is told what is wrong.
    }
    return true
  }
}

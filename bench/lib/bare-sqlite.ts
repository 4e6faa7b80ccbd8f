import Sqlite from 'better-sqlite3'
import { randomBytes } from 'node:crypto'
import { open } from 'peerlog'

/** Bytes of a sealed benchmark event as it is stored. */
const ROW_BYTES = 300
const PREFIX_RANGE = 2 ** 37

/**
 * Fills the tables that peerlog fills, with rows that are ready made, and nothing else: no encoding, hashing, signing
 * or sealing. What better-sqlite3 can do on this machine.
 */
export class BareSqlite {
  readonly #db: Sqlite.Database
  readonly #event: Sqlite.Statement
  readonly #id: Sqlite.Statement
  readonly #author: Sqlite.Statement
  readonly #begin: Sqlite.Statement
  readonly #commit: Sqlite.Statement
  readonly #bytes = randomBytes(ROW_BYTES)
  readonly #signature = randomBytes(65)
  readonly #key = randomBytes(32)
  readonly #peaks = randomBytes(320)
  #position = 0
  #prefix = 0

  /** A file whose tables peerlog has made. */
  static async create(file: string): Promise<BareSqlite> {
    const db = await open({ databaseId: 'bench', path: file, transport: { mode: 'disabled' } })
    await db.close()
    return new BareSqlite(new Sqlite(file))
  }

  private constructor(db: Sqlite.Database) {
    this.#db = db
    this.#db.pragma('journal_mode = WAL')
    this.#db.pragma('synchronous = NORMAL')
    this.#db.pragma('cache_size = -32768')
    this.#db.pragma('wal_autocheckpoint = 512')
    this.#event = this.#db.prepare(
      'INSERT INTO events (position, time, tick, id_start, subject, type, signature, bytes) VALUES (?, ?, ?, ?, ?, ?, ?, ?)',
    )
    this.#id = this.#db.prepare('INSERT INTO ids (prefix, position) VALUES (?, ?)')
    this.#author = this.#db.prepare(
      'INSERT OR REPLACE INTO authors (no, key, length, peaks, position, time, tick) VALUES (1, ?, ?, ?, ?, ?, 0)',
    )
    this.#begin = this.#db.prepare('BEGIN IMMEDIATE')
    this.#commit = this.#db.prepare('COMMIT')
  }

  /** One transaction. */
  insert(rows: number): void {
    this.#begin.run()
    for (let i = 0; i < rows; i++) {
      const position = ++this.#position
      const last = i === rows - 1
      const signature = last ? this.#signature : null
      this.#event.run(position, 1.7e12 + position, 0, position, 1 + (position % 20), null, signature, this.#bytes)
      // In ascending order, as the merge of peerlog's index writes them.
      this.#prefix = (this.#prefix + 2_000_000) % PREFIX_RANGE
      this.#id.run(this.#prefix, position)
    }
    this.#author.run(this.#key, this.#position, this.#peaks, this.#position, 1.7e12)
    this.#commit.run()
  }

  close(): void {
    this.#db.close()
  }
}

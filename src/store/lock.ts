import fs from 'node:fs'
import type { Database } from './sqlite.ts'

/** Whose events a file holds as its own, and how many, when it was closed. */
export interface OwnState {
  /** Hex of the author's public key. */
  author: string
  length: number
}

/**
 * The writer's lock on a database file: an exclusive lock on a small SQLite file beside it, which the operating system
 * releases when the process ends, however it ends.
 *
 * In it stands how the database was left when it was last closed: the file's inode, size and time of change, and the
 * length of its own log. Whatever puts another copy in the file's place, or changes it in place, gives it another inode or
 * another time of change, which no tool can set. So a file that is as the note says is not a restored backup.
 */
export class WriteLock {
  readonly #db: Database
  /** The database's, not the lock's. */
  readonly #file: string
  #note: string | null

  /** @throws {SqliteError} `SQLITE_BUSY` while somebody else has it; `SQLITE_NOTADB` and such if the file is damaged. */
  constructor(db: Database, file: string) {
    this.#db = db
    this.#file = file
    // Kept from transaction to transaction, and with no second file beside it.
    db.pragma('locking_mode = EXCLUSIVE')
    db.pragma('journal_mode = MEMORY')
    db.pragma('synchronous = FULL')
    db.exec('BEGIN EXCLUSIVE')
    const hasNote = db.prepare("SELECT 1 FROM sqlite_schema WHERE name = 'left_as'").get() !== undefined
    this.#note = hasNote ? (db.prepare<[], string>('SELECT note FROM left_as').pluck().get() ?? null) : null
    db.exec('COMMIT')
  }

  /** True if the file is the one that was closed with this note, and nobody has touched it since. */
  isAsLeft(own: OwnState): boolean {
    return this.#note !== null && this.#note === noteOf(this.#file, own)
  }

  /** Strikes the note out, for good even if the power fails: our own log is about to grow. */
  forget(): void {
    if (this.#note === null) return
    this.#db.exec('DELETE FROM left_as')
    this.#note = null
  }

  /** Releases the lock, after the database was closed; with a note, if it is known that nobody holds more of our log. */
  release(own: OwnState | null): void {
    try {
      const note = own === null ? this.#note : noteOf(this.#file, own)
      if (note !== this.#note) this.#write(note)
    } catch {
      // Without a note the next opening asks the peers first.
    } finally {
      this.#db.close()
    }
  }

  #write(note: string | null): void {
    this.#db.exec('BEGIN; CREATE TABLE IF NOT EXISTS left_as (note TEXT NOT NULL) STRICT; DELETE FROM left_as')
    if (note !== null) this.#db.prepare('INSERT INTO left_as VALUES (?)').run(note)
    this.#db.exec('COMMIT')
  }
}

function noteOf(file: string, { author, length }: OwnState): string | null {
  const stat = fs.statSync(file, { bigint: true, throwIfNoEntry: false })
  return stat === undefined ? null : [stat.ino, stat.size, stat.ctimeNs, author, length].join(' ')
}

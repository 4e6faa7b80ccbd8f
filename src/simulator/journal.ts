import type { Database, Statement } from '../store/sqlite.ts'
import { openPlain } from '../store/sqlite.ts'
import type { SimEventRecord, SimRecord } from './record.ts'

const SCHEMA = `
  CREATE TABLE sim_events (
    no     INTEGER PRIMARY KEY,
    at     INTEGER NOT NULL,  -- virtual milliseconds since the run began
    kind   TEXT    NOT NULL,
    device TEXT,              -- null: the network
    detail TEXT    NOT NULL,
    author TEXT,              -- of a message: whose log, the seq of the first event, and the ids of all, joined
    seq    INTEGER,
    ids    TEXT
  ) STRICT;
  CREATE TABLE sim_result (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;`
const ID_CHARS = 64

/** The real-world events of a run, in the table `sim_events`: the ground truth that replicas are compared with. */
export class Journal {
  readonly #db: Database
  readonly #insert: Statement<[number, string, string | null, string, string | null, number | null, string | null]>

  /** @param path a file that does not exist yet, or ':memory:'. */
  constructor(path: string) {
    this.#db = openPlain(path)
    this.#db.pragma('journal_mode = MEMORY')
    this.#db.pragma('synchronous = OFF')
    this.#db.exec(SCHEMA)
    this.#insert = this.#db.prepare(
      'INSERT INTO sim_events (at, kind, device, detail, author, seq, ids) VALUES (?, ?, ?, ?, ?, ?, ?)',
    )
    this.#db.exec('BEGIN')
  }

  note(at: number, kind: string, device: string | null, detail: string): void {
    this.#insert.run(at, kind, device, detail, null, null, null)
  }

  /** Events that were acknowledged, or that were found to be durable. */
  wrote(
    at: number,
    kind: 'message' | 'recovered',
    device: string,
    detail: string,
    author: string,
    seq: number,
    ids: readonly string[],
  ): void {
    this.#insert.run(at, kind, device, detail, author, seq, ids.join(''))
  }

  /** Ids of all events that must be everywhere in the end, by author, in order. */
  expected(): Map<string, string[]> {
    const rows = this.#db
      .prepare<[], { author: string; seq: number; ids: string }>(
        'SELECT author, seq, ids FROM sim_events WHERE author IS NOT NULL ORDER BY author, seq',
      )
      .all()
    const expected = new Map<string, string[]>()
    for (const { author, seq, ids } of rows) {
      const log = expected.get(author) ?? []
      for (let at = 0; at < ids.length; at += ID_CHARS) log[seq + at / ID_CHARS] = ids.slice(at, at + ID_CHARS)
      expected.set(author, log)
    }
    return expected
  }

  rows(): SimEventRecord[] {
    return this.#db.prepare<[], SimEventRecord>('SELECT at, kind, device, detail FROM sim_events ORDER BY no').all()
  }

  finish(record: SimRecord): void {
    const insert = this.#db.prepare('INSERT INTO sim_result (name, value) VALUES (?, ?)')
    for (const [name, value] of Object.entries(record)) if (name !== 'events') insert.run(name, JSON.stringify(value))
  }

  close(): void {
    if (this.#db.inTransaction) this.#db.exec('COMMIT')
    this.#db.close()
  }
}

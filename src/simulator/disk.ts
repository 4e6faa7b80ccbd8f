import type { Database, DatabaseOptions, OpenDatabase } from '../store/sqlite.ts'
import { openDatabase } from '../store/sqlite.ts'

/** Where in a write a device dies. */
export type CrashPoint =
  /** Before a statement that changes something, in a transaction or alone. */
  | 'write'
  /** Everything was written, and is not committed. */
  | 'commit'
  /** It is committed, and nobody has been told. */
  | 'told'

/** The device has died. Nothing catches it but the device. */
export class Crash extends Error {
  constructor() {
    super('the simulated process has died')
  }
}

const CHANGES = /^\s*(?:insert|update|delete|replace|create|drop|alter)/i

/**
 * What a device's database is kept on. It survives the device: whoever opens it after a crash finds what was committed,
 * as after `kill -9`.
 */
export class Disk {
  readonly #path: string
  /** The database in memory, which stays when nobody has it open. */
  #memory: Database | null = null
  /** How the last process opened it. */
  #opened: OpenDatabase | null = null
  /** Counts processes: the writes of a dead one fail. */
  #life = 0
  #due: { point: CrashPoint; left: number } | null = null
  onCrash: () => void = () => {}

  /** @param path a file, or ':memory:'. */
  constructor(path: string) {
    this.#path = path
  }

  /** The device dies at the n-th such point from now on (1: the next). */
  crashAt(point: CrashPoint, count: number): void {
    this.#due = { point, left: count }
  }

  disarm(): void {
    this.#due = null
  }

  /** What `EventStoreOptions.openFile` takes. */
  readonly open = (options: DatabaseOptions): OpenDatabase => {
    const life = ++this.#life
    const opened = this.#openRaw(options)
    this.#opened = opened
    this.#watch(opened.db, life)
    return { ...opened, close: (own) => this.#close(life, own ?? null) }
  }

  #openRaw(options: DatabaseOptions): OpenDatabase {
    if (this.#path !== ':memory:') return openDatabase(options)
    if (this.#memory === null) {
      const opened = openDatabase(options)
      this.#memory = opened.db
      return opened
    }
    return { db: this.#memory, created: false, lock: null, close: () => {} }
  }

  #close(life: number, own: Parameters<OpenDatabase['close']>[0]): void {
    if (life !== this.#life) return
    this.#life++
    if (this.#path !== ':memory:') this.#opened?.close(own)
    this.#opened = null
  }

  /** The process is gone: what was not committed is undone. */
  crash(): void {
    this.#due = null
    this.#life++
    const opened = this.#opened
    if (opened === null) return
    this.#opened = null
    if (opened.db.inTransaction) opened.db.exec('ROLLBACK')
    if (this.#path !== ':memory:') opened.close(null)
  }

  /** Frees everything. */
  end(): void {
    this.crash()
    this.#memory?.close()
    this.#memory = null
  }

  #watch(db: Database, life: number): void {
    const { prepare, transaction } = Object.getPrototypeOf(db) as Database
    const before = (point: CrashPoint): void => this.#at(point, life)
    db.prepare = ((sql: string) => {
      const statement = prepare.call(db, sql)
      if (!CHANGES.test(sql)) return statement
      const run = statement.run as (...parameters: unknown[]) => ReturnType<typeof statement.run>
      statement.run = (...parameters: unknown[]) => {
        before('write')
        const result = run.apply(statement, parameters)
        if (!db.inTransaction) before('told')
        return result
      }
      return statement
    }) as Database['prepare']
    db.transaction = ((work: (...parameters: unknown[]) => unknown) => {
      const native = transaction.call(db, (...parameters: unknown[]) => {
        const result = work(...parameters)
        before('commit')
        return result
      })
      const wrapped = (run: (...parameters: unknown[]) => unknown) => {
        return (...parameters: unknown[]): unknown => {
          const result = run(...parameters)
          if (!db.inTransaction) before('told')
          return result
        }
      }
      return Object.assign(wrapped(native), {
        default: wrapped(native.default),
        deferred: wrapped(native.deferred),
        immediate: wrapped(native.immediate),
        exclusive: wrapped(native.exclusive),
      })
    }) as Database['transaction']
  }

  #at(point: CrashPoint, life: number): void {
    if (life !== this.#life) throw new Crash()
    const due = this.#due
    if (due?.point !== point || --due.left > 0) return
    this.#due = null
    this.#life++
    this.onCrash()
    throw new Crash()
  }
}

import fs from 'node:fs'
import path from 'node:path'
import Sqlite from 'better-sqlite3'
import { PeerlogError } from '../base/errors.ts'
import type { OwnState } from './lock.ts'
import { WriteLock } from './lock.ts'
import { APPLICATION_ID, MIGRATIONS, SCHEMA_VERSION } from './schema.ts'

/** The connection to one SQLite file. The only file of peerlog that imports better-sqlite3. */
export type Database = Sqlite.Database
export type Statement<Parameters extends unknown[] = unknown[], Row = unknown> = Sqlite.Statement<Parameters, Row>

export type Transaction = Sqlite.Transaction<(work: () => void) => void>

export interface DatabaseOptions {
  path: string
  /** Nothing is written and no lock is taken; another process may write at the same time. */
  readOnly: boolean
  /** `'process'`: what was acknowledged survives the end of the process; `'full'`: the loss of power too. */
  durability: 'process' | 'full'
  /** Called before a file is made where there is none; what it throws leaves everything as it was. */
  beforeCreate: () => void
  /** Called with a file that exists, before it is migrated; what it throws leaves everything as it was. */
  inspect: (db: Database) => void
}

export interface OpenDatabase {
  db: Database
  /** True if there was no file, or an empty one. */
  created: boolean
  /** The lock of the one who writes to a file; null in memory, and for those who only read. */
  lock: WriteLock | null
  /** With the state of our own log if nobody can hold more of it: the lock then notes how the file was left. */
  close(own?: OwnState | null): void
}

const MAGIC = Buffer.from('SQLite format 3\0', 'latin1')
const HEADER_BYTES = 100
const JOURNAL_MAGIC = Buffer.from('d9d505f920a163d7', 'hex')
/** Of the file's pages; those that are not among them come from the operating system's cache. */
const CACHE_KIB = 16 * 1024
/**
 * Pages in the write-ahead log before a commit moves them to the file: 4 MiB. Four times as many would make bulk appends a
 * few percent faster, and hold the event loop up four times as long.
 */
const CHECKPOINT_PAGES = 1024

/**
 * Opens or creates a peerlog database. A file of somebody else, of a newer peerlog or a damaged one is refused before
 * anything is written to it or beside it.
 */
export function openDatabase(options: DatabaseOptions): OpenDatabase {
  if (options.path === ':memory:') {
    const db = new Sqlite(':memory:')
    migrate(db, 0)
    return { db, created: true, lock: null, close: () => void db.close() }
  }
  if (inspectFile(options.path, options.readOnly).created) options.beforeCreate()
  let lock: WriteLock | null = null
  try {
    if (!options.readOnly) lock = takeLock(options.path)
    // Now that nobody else writes: before, another process may have been about to create it.
    const found = inspectFile(options.path, options.readOnly)
    const db = new Sqlite(options.path, { readonly: options.readOnly && !isWritable(options.path) })
    try {
      prepare(db, options)
    } catch (error) {
      db.close()
      throw error
    }
    return {
      db,
      created: found.created,
      lock,
      close: (own = null) => {
        if (own !== null) settle(db)
        db.close()
        lock?.release(own)
      },
    }
  } catch (error) {
    lock?.release(null)
    throw translateError(error, options.path)
  }
}

/** Moves the write-ahead log into the file now: a reader that leaves after us would do it later, and so change the file. */
function settle(db: Database): void {
  try {
    db.pragma('wal_checkpoint(PASSIVE)')
  } catch {
    // What stays in the write-ahead log is read from there.
  }
}

function prepare(db: Database, options: DatabaseOptions): void {
  // The header was looked at before, but a newer peerlog that was killed may have left its version in the log beside it.
  const version = db.pragma('user_version', { simple: true }) as number
  if (version > SCHEMA_VERSION) throw newerSchema(options.path, version)
  if (options.readOnly) {
    if (version < SCHEMA_VERSION) throw olderSchema(options.path, version)
    db.pragma('query_only = ON')
    return
  }
  if (version > 0) options.inspect(db)
  // The application id goes into the file itself before there is a write-ahead log: it is read without SQLite. It is
  // missing in a new file, and in one whose creation was cut off and has just been rolled back.
  if (db.pragma('application_id', { simple: true }) !== APPLICATION_ID) db.pragma(`application_id = ${APPLICATION_ID}`)
  db.pragma('journal_mode = WAL')
  db.pragma(`synchronous = ${options.durability === 'full' ? 'FULL' : 'NORMAL'}`)
  db.pragma(`cache_size = -${CACHE_KIB}`)
  db.pragma(`wal_autocheckpoint = ${CHECKPOINT_PAGES}`)
  migrate(db, version)
}

function migrate(db: Database, version: number): void {
  for (let next = version; next < SCHEMA_VERSION; next++) {
    db.transaction(() => {
      db.exec(MIGRATIONS[next] as string)
      db.pragma(`user_version = ${next + 1}`)
    })()
  }
  if (version < SCHEMA_VERSION && !db.memory) db.pragma('wal_checkpoint(TRUNCATE)')
}

function inspectFile(file: string, readOnly: boolean): { created: boolean } {
  const folder = path.dirname(path.resolve(file))
  if (!fs.existsSync(folder)) {
    throw new PeerlogError('FOLDER_MISSING', `the folder ${folder} for the database ${file} does not exist`, {
      hint: 'Create it first, or choose a path in a folder that exists',
    })
  }
  const stat = statOrNull(file)
  if (stat !== null && !stat.isFile()) {
    throw new PeerlogError('FILE_UNUSABLE', `${file} is not a file`, { hint: 'Give the path of a database file' })
  }
  if (stat === null || stat.size === 0 || isHalfMade(file)) {
    if (!readOnly) return { created: true }
    throw new PeerlogError('FILE_UNUSABLE', `there is no database at ${file}`, {
      hint: 'Check the path; the file is created when it is opened for writing',
    })
  }
  checkHeader(file)
  return { created: false }
}

/**
 * True if the power failed while the first page of a new file was being written: there is no header yet, and a journal
 * that says the file was empty. SQLite makes it so again.
 */
function isHalfMade(file: string): boolean {
  if (readHeader(file).subarray(0, MAGIC.length).equals(MAGIC)) return false
  const journal = `${fs.realpathSync(file)}-journal`
  const header = statOrNull(journal) === null ? MAGIC : readHeader(journal)
  return header.subarray(0, JOURNAL_MAGIC.length).equals(JOURNAL_MAGIC) && header.readUInt32BE(16) === 0
}

/** A handle that may write takes SQLite's own files away again when it closes; one that may not leaves them behind. */
function isWritable(file: string): boolean {
  try {
    fs.accessSync(file, fs.constants.W_OK)
    fs.accessSync(path.dirname(fs.realpathSync(file)), fs.constants.W_OK)
    return true
  } catch {
    return false
  }
}

function statOrNull(file: string): fs.Stats | null {
  try {
    return fs.statSync(file)
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return null
    throw new PeerlogError('FILE_UNUSABLE', `can't open ${file}: ${String(cause)}`, {
      hint: 'Check the path and the permissions of its folder',
      cause,
    })
  }
}

function readHeader(file: string): Buffer {
  try {
    const descriptor = fs.openSync(file, 'r')
    try {
      const header = Buffer.alloc(HEADER_BYTES)
      return header.subarray(0, fs.readSync(descriptor, header, 0, HEADER_BYTES, 0))
    } finally {
      fs.closeSync(descriptor)
    }
  } catch (cause) {
    throw new PeerlogError('FILE_UNUSABLE', `can't read ${file}: ${String(cause)}`, {
      hint: 'Check the permissions of the file',
      cause,
    })
  }
}

/** Looks at the fixed fields of the SQLite file format: application id, schema version, size in pages. */
function checkHeader(file: string): void {
  // With a journal or a write-ahead log beside it, pages may be on their way into the file, or have been when a process
  // was killed: SQLite goes on with that, and finds out itself if any are missing.
  const real = fs.realpathSync(file)
  const underWay = ['-wal', '-journal'].some((suffix) => (statOrNull(real + suffix)?.size ?? 0) > 0)
  const header = readHeader(file)
  const size = statOrNull(file)?.size ?? 0
  if (header.length < HEADER_BYTES || !header.subarray(0, MAGIC.length).equals(MAGIC)) {
    throw new PeerlogError('FOREIGN_FILE', `${file} is not a SQLite database`, {
      hint: 'Choose another path; the file was left as it is',
    })
  }
  if (header.readUInt32BE(68) !== APPLICATION_ID) {
    throw new PeerlogError('FOREIGN_FILE', `${file} is a SQLite database, but not one of peerlog`, {
      hint: 'Choose another path; the file was left as it is',
    })
  }
  const version = header.readUInt32BE(60)
  if (version > SCHEMA_VERSION) throw newerSchema(file, version)
  if (underWay) return
  const encodedPageSize = header.readUInt16BE(16)
  const pageSize = encodedPageSize === 1 ? 65536 : encodedPageSize
  if (pageSize < 512 || size % pageSize !== 0 || size < header.readUInt32BE(28) * pageSize) {
    throw new PeerlogError('CORRUPT_FILE', `${file} is damaged: it is shorter than its header says`, {
      hint: 'Restore it from a copy, or move it away and let the peers fill a new one; it was left as it is',
    })
  }
}

function olderSchema(file: string, version: number): PeerlogError {
  const message = `${file} was written by an older peerlog (schema ${version}; this one reads ${SCHEMA_VERSION})`
  return new PeerlogError('OLDER_SCHEMA', message, { hint: 'Open it once for writing, which brings it up to date' })
}

function newerSchema(file: string, version: number): PeerlogError {
  const message = `${file} was written by a newer peerlog (schema ${version}; this one knows ${SCHEMA_VERSION})`
  return new PeerlogError('NEWER_SCHEMA', message, { hint: 'Update peerlog; the file was left as it is' })
}

function takeLock(file: string): WriteLock {
  // By whatever name the file is opened, SQLite's own files are beside what it really is, and so is the lock.
  const real = fs.existsSync(file) ? fs.realpathSync(file) : file
  try {
    return openLock(real)
  } catch (error) {
    if (!isDamage(error)) throw error
    // Nobody has it, or that is what we would have heard; and there is nothing in it that is worth keeping.
    fs.truncateSync(`${real}-lock`)
    return openLock(real)
  }
}

function openLock(file: string): WriteLock {
  const db = new Sqlite(`${file}-lock`, { timeout: 0 })
  try {
    return new WriteLock(db, file)
  } catch (error) {
    db.close()
    throw error
  }
}

function isDamage(error: unknown): boolean {
  return error instanceof Sqlite.SqliteError && /^SQLITE_(CORRUPT|NOTADB|ERROR)/.test(error.code)
}

/** The file holds something that peerlog would not have written. */
export function corruptFile(what: string): PeerlogError {
  return new PeerlogError('CORRUPT_FILE', `the database file is damaged: ${what}`, {
    hint: 'Restore it from a copy, or move it away and let the peers fill a new one',
  })
}

const HINTS: Readonly<Record<string, string>> = {
  SQLITE_FULL: 'Free some disk space; nothing was lost',
  // Where nobody has it open, SQLite makes its own files beside it even to read it.
  SQLITE_CANTOPEN: 'Check its permissions and those of its folder; copy it to a folder that can be written to',
}

/** A PeerlogError that says what can be done about what SQLite reports. */
export function translateError(error: unknown, file: string): unknown {
  if (!(error instanceof Sqlite.SqliteError)) return error
  const { code, message } = error
  if (code.startsWith('SQLITE_BUSY') || code.startsWith('SQLITE_LOCKED')) {
    return new PeerlogError('LOCKED', `${file} is open elsewhere`, {
      hint: 'Close the other handle or process first, or open with readOnly: true',
      cause: error,
    })
  }
  // What we ask is always the same: if SQLite can't make sense of it, or of what we add, the tables are not as we left them.
  if (/^SQLITE_(CORRUPT|NOTADB|ERROR|CONSTRAINT)/.test(code)) {
    return new PeerlogError('CORRUPT_FILE', `${file} is damaged: ${message}`, {
      hint: 'Restore it from a copy, or move it away and let the peers fill a new one',
      cause: error,
    })
  }
  const hint = HINTS[code] ?? 'Check its permissions and the disk'
  return new PeerlogError('FILE_UNUSABLE', `can't use ${file}: ${message} (${code})`, { hint, cause: error })
}

/** What SQLite finds wrong with the file's structure, reading all of it; null if nothing. Changes nothing. */
export function quickCheck(path: string): string | null {
  const db = new Sqlite(path, { readonly: true, fileMustExist: true })
  try {
    const found = String(db.pragma('quick_check(1)', { simple: true }))
    return found === 'ok' ? null : found
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  } finally {
    db.close()
  }
}

/** A SQLite database of somebody else's making, or a new one: nothing of peerlog is expected or put there. */
export function openPlain(path: string): Database {
  return new Sqlite(path)
}

import { equalBytes, fromHex, toHex } from '../base/bytes.ts'
import { assert, PeerlogError } from '../base/errors.ts'
import { hash } from '../base/hash.ts'
import { MAX_CLOCK_AHEAD_MS } from '../base/limits.ts'
import type { Timestamp } from '../event/clock.ts'
import { compareTimestamps, HybridClock } from '../event/clock.ts'
import { decodeEventBody } from '../event/event.ts'
import { checkForkProof } from '../event/fork.ts'
import type { DatabaseKeys } from '../event/keys.ts'
import type { Run } from '../event/run.ts'
import { authorKeyPair } from '../event/signature.ts'
import type { SubjectPattern } from '../event/subject.ts'
import { AppendQueue } from './append-queue.ts'
import { authorKeyPath, newAuthorSeed, readAuthorSeed, writeAuthorSeed } from './author-key.ts'
import { EventTable, packSignature } from './event-table.ts'
import { HeldRuns } from './held-runs.ts'
import { IdIndex, idStart } from './id-index.ts'
import type { IngestStatus } from './ingest-status.ts'
import { checkRun } from './ingest.ts'
import type { Log } from './log.ts'
import { Logs } from './logs.ts'
import type { NewEvent, Segment } from './own-log.ts'
import { checkEventSize, OwnLog } from './own-log.ts'
import { EventReader } from './reader.ts'
import type { OpenDatabase, Transaction } from './sqlite.ts'
import { corruptFile, openDatabase, translateError } from './sqlite.ts'
import type { Event } from './stored-event.ts'

export interface EventStoreOptions {
  /** A file, or ':memory:'. */
  path: string
  databaseId: string
  keys: DatabaseKeys
  /** 32 bytes that the author's keys are made from; by default those of the key file beside the database. */
  authorSeed?: Uint8Array
  durability?: 'process' | 'full'
  readOnly?: boolean
  /** Milliseconds since 1970. */
  now?: () => number
}

/** Events of one author that one transaction has stored. */
export interface StoredRun {
  run: Run
  ids: Buffer[]
  /** The log afterwards. */
  log: Log
  local: boolean
}

/** What listeners are told after a transaction. */
export interface Commit {
  runs: StoredRun[]
  /** Logs found to be forked. */
  forks: Log[]
}

/**
 * One database's events in one SQLite file: appends by this replica's author, runs received from others, reads. Every
 * change is one transaction, made durable before anyone hears of it.
 */
export class EventStore {
  readonly #options: EventStoreOptions
  readonly #opened: OpenDatabase
  readonly #clock: HybridClock
  readonly #now: () => number
  readonly #logs: Logs
  readonly #table: EventTable
  readonly #ids: IdIndex
  readonly #held: HeldRuns
  readonly #reader: EventReader
  readonly #own: OwnLog
  readonly #appends: AppendQueue<NewEvent, Event>
  readonly #listeners = new Set<(commit: Commit) => void>()
  /** Readers at the end of the log. */
  readonly #waiting = new Set<() => void>()
  readonly #noiseSeed: Buffer
  readonly #transaction: Transaction
  #closed = false

  /** @throws {PeerlogError} when the file, its key file or the secret is not usable; nothing has been changed then. */
  static open(options: EventStoreOptions): EventStore {
    const opened = openDatabase({
      path: options.path,
      readOnly: options.readOnly ?? false,
      durability: options.durability ?? 'process',
      beforeCreate: () => void knownSeed(options),
    })
    try {
      return new EventStore(options, opened)
    } catch (error) {
      opened.close()
      throw translateError(error, options.path)
    }
  }

  private constructor(options: EventStoreOptions, opened: OpenDatabase) {
    const { db } = opened
    this.#options = options
    this.#opened = opened
    this.#now = options.now ?? Date.now
    this.#transaction = db.transaction((work: () => void) => work())
    checkIdentity(opened, options)
    const seed = authorSeed(opened, options)
    this.#noiseSeed = hash(Buffer.from('peerlog 1 noise\0', 'utf8'), seed)
    this.#clock = new HybridClock(this.#now)
    this.#logs = new Logs(db)
    this.#table = new EventTable(db)
    this.#ids = new IdIndex(db)
    this.#held = new HeldRuns(db)
    this.#own = new OwnLog(authorKeyPair(seed), options.keys, this.#clock)
    this.#reader = new EventReader(db, options.keys.seal, this.#own.hex)
    this.#appends = new AppendQueue(
      (items) => this.#append(items),
      () => performance.now(),
    )
    for (const [position, start] of this.#table.idStarts(this.#ids.nextPosition)) {
      if (position !== this.#ids.nextPosition) throw corruptFile('events are missing')
      this.#ids.add(start)
    }
    const ownPosition = this.#logs.get(this.#own.hex)?.position ?? 0
    const byArrival = this.#logs.all().toSorted((a, b) => a.position - b.position)
    for (const log of byArrival) {
      this.#clock.observe(log)
      if (log.position > ownPosition) this.#own.see(log)
    }
  }

  /** Hex of the public key that this replica's events are signed with. */
  get author(): string {
    return this.#own.hex
  }

  /** 32 bytes that this peer's Noise key pair is made from: its own on every transport, stable across restarts. */
  get noiseSeed(): Uint8Array {
    return this.#noiseSeed
  }

  get closed(): boolean {
    return this.#closed
  }

  /** Position of the newest event; 0 when there is none. */
  get position(): number {
    return this.#table.nextPosition - 1
  }

  /** Hears of every transaction, after it is durable. Returns the way to stop listening. */
  onCommit(listener: (commit: Commit) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  // ---- writing --------------------------------------------------------------------------------------------------

  /**
   * Resolves when the events are durable. All or none of them are stored.
   *
   * @throws {PeerlogError} at once, `EVENT_TOO_LARGE`: who shares a commit with others must not fail theirs.
   */
  append(items: NewEvent[]): Promise<Event[]> {
    this.#checkWritable()
    for (const item of items) checkEventSize(item)
    if (items.length === 0) return Promise.resolve([])
    return this.#appends.add(items)
  }

  #append(items: NewEvent[]): Event[] {
    this.#checkWritable()
    const before = this.#logs.get(this.#own.hex) ?? this.#logs.empty(this.#own.keyPair.publicKey)
    if (before.fork !== null) throw forkedError(this.#options.path)
    const links = this.#own.nextLinks(items[0] as NewEvent)
    const runs: StoredRun[] = []
    const events: Event[] = []
    let log = before
    this.#transact(items.length, () => {
      for (const segment of this.#own.segments(log, items, links)) {
        log = this.#storeSegment(log, segment, items, events)
        runs.push({ run: segment.run, ids: segment.ids, log, local: true })
      }
      this.#logs.save(log)
    })
    this.#logs.commit(log)
    this.#own.linked(links)
    this.#announce({ runs, forks: [] })
    return events
  }

  #storeSegment(log: Log, segment: Segment, items: NewEvent[], events: Event[]): Log {
    const { run, ids, timestamps, before, after, root } = segment
    const signature = packSignature(run.signature)
    for (const [i, bytes] of run.events.entries()) {
      const item = items[events.length] as NewEvent
      const { time, tick } = timestamps[i] as Timestamp
      const id = ids[i] as Buffer
      const { subject, type, data } = item
      const last = i === run.events.length - 1
      const index = { time, tick, subject, type }
      const position = this.#table.insert(log, run.from + i, id, bytes, index, last ? signature : null)
      events.push({
        id: id.toString('hex'),
        author: log.hex,
        seq: run.from + i,
        position,
        timestamp: time,
        subject,
        ...(type === '' ? {} : { type }),
        data,
        local: true,
      })
    }
    this.#table.checkpoint(log, before, ids)
    const { time, tick } = timestamps.at(-1) as Timestamp
    return { ...log, mmr: after, root, position: this.position, time, tick }
  }

  /** Verifies received runs against what is here, and stores what continues it, in one transaction. */
  ingest(runs: readonly Run[]): IngestStatus[] {
    this.#checkWritable()
    const staged = new Map<string, Log>()
    const commit: Commit = { runs: [], forks: [] }
    const count = runs.reduce((sum, run) => sum + run.events.length, 0)
    const statuses = this.#transact(count, () => {
      const statuses = runs.map((run) => this.#ingestRun(run, staged, commit))
      for (const log of staged.values()) this.#logs.save(log)
      return statuses
    })
    for (const log of staged.values()) {
      this.#logs.commit(log)
      this.#clock.observe(log)
      this.#own.see(log)
    }
    this.#announce(commit)
    return statuses
  }

  #ingestRun(received: Run, staged: Map<string, Log>, commit: Commit): IngestStatus {
    const hex = received.author.toString('hex')
    const log = staged.get(hex) ?? this.#logs.get(hex) ?? this.#logs.empty(received.author)
    const check = checkRun(received, log, this.#table, this.#options.keys.tag)
    if (!('run' in check)) {
      if (check.proof !== undefined) this.#freeze(log, check.proof, staged, commit)
      return check.status
    }
    const { run, verified } = check
    const bodies = run.events.map((bytes, i) => {
      const header = verified.headers[i]
      assert(header !== undefined, 'a header for every verified event')
      const body = decodeEventBody(bytes, header, this.#options.keys.seal)
      return typeof body === 'string' ? null : body
    })
    const latest = bodies.reduce((time, body) => Math.max(time, body?.time ?? 0), 0)
    if (latest > this.#now() + MAX_CLOCK_AHEAD_MS) {
      this.#held.hold(hex, run, latest - MAX_CLOCK_AHEAD_MS)
      return 'held'
    }
    let clock: Timestamp = log
    const signature = packSignature(run.signature)
    for (const [i, bytes] of run.events.entries()) {
      // An author whose clock does not advance has no place in the order; what it wrote is kept, and served, unread.
      const body = bodies[i] ?? null
      const index = body !== null && compareTimestamps(body, clock) > 0 ? body : null
      clock = index ?? clock
      const id = verified.ids[i] as Buffer
      this.#table.insert(log, run.from + i, id, bytes, index, i === run.events.length - 1 ? signature : null)
    }
    this.#table.checkpoint(log, log.mmr, verified.ids)
    const { time, tick } = clock
    const after: Log = { ...log, mmr: verified.mmr, root: verified.mmr.root(), position: this.position, time, tick }
    staged.set(hex, after)
    commit.runs.push({ run, ids: verified.ids, log: after, local: hex === this.#own.hex })
    return 'stored'
  }

  /** Takes a proof that an author forked, from whomever; false if it proves nothing. */
  ingestForkProof(proof: Buffer): boolean {
    this.#checkWritable()
    const author = checkForkProof(proof, this.#options.keys.tag)
    if (author === null) return false
    const log = this.#logs.get(author.toString('hex')) ?? this.#logs.empty(author)
    if (log.fork !== null) return true
    const staged = new Map<string, Log>()
    const commit: Commit = { runs: [], forks: [] }
    this.#transact(0, () => {
      this.#freeze(log, Buffer.from(proof), staged, commit)
      for (const frozen of staged.values()) this.#logs.save(frozen)
    })
    for (const frozen of staged.values()) this.#logs.commit(frozen)
    this.#announce(commit)
    return true
  }

  #freeze(log: Log, proof: Buffer, staged: Map<string, Log>, commit: Commit): void {
    const frozen: Log = { ...log, fork: proof }
    staged.set(log.hex, frozen)
    commit.forks.push(frozen)
  }

  /** Stores the held runs whose time has come. Returns when the next one falls due, or null. */
  releaseHeld(): number | null {
    const runs = this.#held.due(this.#now())
    if (runs.length > 0) this.ingest(runs)
    for (const run of runs) this.#held.release(run)
    return this.#held.nextRelease
  }

  /** Milliseconds since 1970 until which an author's next events are held back, or null. */
  heldUntil(author: string): number | null {
    return this.#held.until(author)
  }

  #transact<T>(added: number, work: () => T): T {
    const nextPosition = this.#table.nextPosition
    try {
      let result: T | undefined
      this.#transaction.immediate(() => {
        this.#ids.merge(added)
        result = work()
      })
      this.#ids.settle(true)
      return result as T
    } catch (error) {
      this.#ids.settle(false)
      this.#table.reset(nextPosition)
      this.#held.reset()
      throw translateError(error, this.#options.path)
    }
  }

  #announce(commit: Commit): void {
    for (const { ids } of commit.runs) for (const id of ids) this.#ids.add(idStart(id))
    if (commit.runs.length === 0 && commit.forks.length === 0) return
    for (const listener of this.#listeners) listener(commit)
    for (const wake of this.#waiting) wake()
  }

  // ---- reading --------------------------------------------------------------------------------------------------

  /** All logs by ascending author key. */
  logs(): readonly Log[] {
    return this.#logs.all()
  }

  log(author: string): Log | undefined {
    return this.#logs.get(author)
  }

  /** 32 bytes that are equal on two replicas exactly when they hold the same events. */
  frontierRoot(): Buffer {
    return this.#logs.root()
  }

  /**
   * Events of one log from a seq to a signed head: what fits `maxBytes`, or one segment if that is larger; with the
   * peaks before them if asked. Null when there is nothing there.
   */
  readRun(author: string, from: number, maxBytes: number, withPeaks: boolean): Run | null {
    return this.#read(() => {
      const log = this.#logs.get(author)
      if (log === undefined || from > log.mmr.length) return null
      const run = this.#table.readRun(log, from, maxBytes)
      if (!withPeaks || from === 0) return run
      const peaks = this.#table.mmrAt(log, from).peaks()
      if (run !== null) return { ...run, peaks }
      const signature = this.#table.lastSignature(log)
      return signature === null ? null : { author: log.author, from, peaks, signature, events: [] }
    })
  }

  /** The event with this id, if it is here and can be read. */
  get(id: string): Event | null {
    return this.#read(() => {
      const wanted = fromHex(id)
      if (wanted === null || wanted.length !== 32) return null
      const start = idStart(wanted)
      for (const position of this.#ids.find(wanted)) {
        const row = this.#table.at(position)
        if (row === null || row.idStart !== start || !row.readable) continue
        const event = this.#reader.decode(position, row.bytes, start)
        if (event?.id === toHex(wanted)) return event
      }
      return null
    })
  }

  /** Readable events after (in reverse: before) a position, in batches. */
  scan(pattern: SubjectPattern | null, from: number, reverse: boolean): Generator<Event[]> {
    this.#checkOpen()
    return this.#batches(this.#reader.scan(pattern, from, reverse))
  }

  /** Readable events by (clock, author, seq), in batches. */
  scanByClock(pattern: SubjectPattern | null): Generator<Event[]> {
    this.#checkOpen()
    return this.#batches(this.#reader.scanByClock(pattern))
  }

  *#batches(batches: Generator<Event[]>): Generator<Event[]> {
    for (;;) {
      const next = this.#read(() => batches.next())
      if (next.done === true) return
      yield next.value
    }
  }

  #read<T>(work: () => T): T {
    this.#checkOpen()
    try {
      return work()
    } catch (error) {
      throw translateError(error, this.#options.path)
    }
  }

  /** Resolves when there is an event after the position, or the store closes, or the signal aborts. */
  changed(position: number, signal?: AbortSignal): Promise<void> {
    if (this.position > position || this.#closed || signal?.aborted === true) return Promise.resolve()
    return new Promise((resolve) => {
      const done = (): void => {
        this.#waiting.delete(done)
        signal?.removeEventListener('abort', done)
        resolve()
      }
      this.#waiting.add(done)
      signal?.addEventListener('abort', done)
    })
  }

  // ---- closing --------------------------------------------------------------------------------------------------

  #checkOpen(): void {
    if (this.#closed) throw new PeerlogError('CLOSED', 'the database is closed', { hint: 'Open it again with open()' })
  }

  #checkWritable(): void {
    this.#checkOpen()
    if (this.#options.readOnly === true) {
      throw new PeerlogError('INVALID_ARGUMENT', 'the database was opened read-only', {
        hint: 'Open it without readOnly',
      })
    }
  }

  /** Stores at once what was appended. */
  flush(): void {
    if (!this.#closed) this.#appends.flush()
  }

  /** Stores what was appended, then releases the file. Idempotent. */
  close(): void {
    if (this.#closed) return
    this.flush()
    this.#closed = true
    this.#listeners.clear()
    for (const wake of this.#waiting) wake()
    this.#opened.close()
  }
}

function forkedError(file: string): PeerlogError {
  return new PeerlogError(
    'AUTHOR_FORKED',
    'this author has signed two contradicting histories and can append no more',
    {
      hint: `Move ${authorKeyPath(file)} away to go on as a new author; everything stored stays readable`,
    },
  )
}

/** That the file is of this database and this secret; noted in a new one. */
function checkIdentity({ db, created }: OpenDatabase, { databaseId, keys, path, readOnly }: EventStoreOptions): void {
  const check = hash([Buffer.from('peerlog 1 secret check\0', 'utf8'), keys.admission])
  const meta = new Map(
    db
      .prepare<[], { name: string; value: unknown }>('SELECT name, value FROM meta')
      .all()
      .map((row) => [row.name, row.value]),
  )
  if (!meta.has('database_id') && readOnly !== true) {
    const insert = db.prepare('INSERT INTO meta (name, value) VALUES (?, ?)')
    db.transaction(() => {
      insert.run('database_id', databaseId)
      insert.run('secret_check', check)
    })()
    return
  }
  assert(!created || readOnly !== true, 'a read-only database exists')
  if (meta.get('database_id') !== databaseId) {
    const message = `${path} holds the database '${String(meta.get('database_id'))}', not '${databaseId}'`
    throw new PeerlogError('OTHER_DATABASE', message, { hint: 'Use its own id, or another path for this one' })
  }
  if (!equalBytes(meta.get('secret_check') as Buffer, check)) {
    throw new PeerlogError('WRONG_SECRET', `${path} was made with another secret, or with none`, {
      hint: 'Use the secret that the database was created with, or another path',
    })
  }
}

/** The seed in the key file, or null where there is none. */
function knownSeed({ path, keys, authorSeed }: EventStoreOptions): Uint8Array | null {
  return authorSeed === undefined && path !== ':memory:' ? readAuthorSeed(authorKeyPath(path), keys.tag) : null
}

/**
 * The key file's seed if the database knows it for its own, or a new one. A key whose database has gone, or was replaced
 * by another copy, may have signed events that are not here: signing on with it would fork its log.
 */
function authorSeed({ db }: OpenDatabase, options: EventStoreOptions): Uint8Array {
  const { path, keys, readOnly } = options
  if (options.authorSeed !== undefined) return options.authorSeed
  const known = knownSeed(options)
  const author = db.prepare<[], Buffer>("SELECT value FROM meta WHERE name = 'author'").pluck().get()
  if (known !== null && author !== undefined && equalBytes(authorKeyPair(known).publicKey, author)) return known
  const seed = newAuthorSeed()
  if (readOnly === true || path === ':memory:') return seed
  writeAuthorSeed(authorKeyPath(path), keys.tag, seed)
  db.prepare("INSERT OR REPLACE INTO meta (name, value) VALUES ('author', ?)").run(authorKeyPair(seed).publicKey)
  return seed
}

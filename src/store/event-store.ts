import { fromHex, toHex } from '../base/bytes.ts'
import { PeerlogError } from '../base/errors.ts'
import { hash } from '../base/hash.ts'
import { HybridClock } from '../event/clock.ts'
import { checkForkProof } from '../event/fork.ts'
import type { DatabaseKeys } from '../event/keys.ts'
import type { Run } from '../event/run.ts'
import { authorKeyPair } from '../event/signature.ts'
import type { SubjectPattern } from '../event/subject.ts'
import { AppendQueue } from './append-queue.ts'
import { authorKeyPath } from './author-key.ts'
import type { Commit, StoredRun } from './commit.ts'
import { EventTable } from './event-table.ts'
import { HeldRuns } from './held-runs.ts'
import { authorSeed, checkIdentity, knownSeed, noteIdentity } from './identity.ts'
import { IdIndex, idStart } from './id-index.ts'
import type { IngestStatus } from './ingest-status.ts'
import type { Log } from './log.ts'
import { Logs } from './logs.ts'
import type { NewEvent } from './own-log.ts'
import { checkOwnHead } from './own-head.ts'
import { checkEventSize, OwnLog } from './own-log.ts'
import { EventReader } from './reader.ts'
import type { OpenDatabase, Transaction } from './sqlite.ts'
import { corruptFile, openDatabase, translateError } from './sqlite.ts'
import type { Event } from './stored-event.ts'
import { Staged, Writer } from './writer.ts'

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
  readonly #writer: Writer
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
      inspect: (db) => checkIdentity(db, options),
    })
    try {
      const store = new EventStore(options, opened)
      checkOwnHead(store.log(store.author), store.#table, options.keys.tag)
      return store
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
    if (options.readOnly === true) checkIdentity(db, options)
    else noteIdentity(opened, options)
    const seed = authorSeed(opened, options)
    this.#noiseSeed = hash(Buffer.from('peerlog 1 noise\0', 'utf8'), seed)
    this.#clock = new HybridClock(this.#now)
    this.#logs = new Logs(db)
    this.#table = new EventTable(db)
    this.#ids = new IdIndex(db)
    this.#held = new HeldRuns(db)
    this.#own = new OwnLog(authorKeyPair(seed), options.keys, this.#clock)
    this.#writer = new Writer(options.keys, this.#own.hex, this.#logs, this.#table, this.#held, this.#now)
    this.#reader = new EventReader(db, this.#table, options.keys.seal, this.#own.hex)
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
        log = this.#writer.storeSegment(log, segment, items, events)
        runs.push({ run: segment.run, ids: segment.ids, log, local: true })
      }
      this.#logs.save(log)
    })
    this.#logs.commit(log)
    this.#own.linked(links)
    this.#announce({ runs, forks: [] })
    return events
  }

  /** Verifies received runs against what is here, and stores what continues it, in one transaction. */
  ingest(runs: readonly Run[]): IngestStatus[] {
    this.#checkWritable()
    const count = runs.reduce((sum, run) => sum + run.events.length, 0)
    return this.#stage(count, (staged) => runs.map((run) => this.#writer.storeRun(run, staged)))
  }

  /** Takes a proof that an author forked, from whomever; false if it proves nothing. */
  ingestForkProof(proof: Buffer): boolean {
    this.#checkWritable()
    const author = checkForkProof(proof, this.#options.keys.tag)
    if (author === null) return false
    const log = this.#logs.get(author.toString('hex')) ?? this.#logs.empty(author)
    if (log.fork === null) this.#stage(0, (staged) => this.#writer.freeze(log, Buffer.from(proof), staged))
    return true
  }

  /** One transaction on other authors' logs, and then everybody is told. */
  #stage<T>(added: number, work: (staged: Staged) => T): T {
    const staged = new Staged()
    const result = this.#transact(added, () => {
      const result = work(staged)
      for (const log of staged.logs.values()) this.#logs.save(log)
      return result
    })
    for (const log of staged.logs.values()) {
      this.#logs.commit(log)
      this.#clock.observe(log)
      this.#own.see(log)
    }
    this.#announce(staged.commit)
    return result
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
    return this.#batches(this.#reader.scanByClock(pattern, this.#logs.all()))
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

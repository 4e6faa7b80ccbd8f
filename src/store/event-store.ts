import { fromHex } from '../base/bytes.ts'
import { PeerlogError } from '../base/errors.ts'
import type { Beginning } from '../event/beginning.ts'
import { checkForkProof } from '../event/fork.ts'
import { openRuns } from '../event/opened.ts'
import type { Run } from '../event/run.ts'
import type { SubjectPattern } from '../event/subject.ts'
import { AppendQueue } from './append-queue.ts'
import type { Commit, StoredRun } from './commit.ts'
import { Followers } from './followers.ts'
import { checkIdentity, forkedError, knownSeed } from './identity.ts'
import { idStart } from './id-index.ts'
import type { IngestStatus } from './ingest-status.ts'
import type { ItemReader } from './item-reader.ts'
import type { Log } from './log.ts'
import type { NewEvent } from './own-log.ts'
import { checkOwnHead } from './own-head.ts'
import { checkEventSize } from './own-log.ts'
import type { OwnState } from './lock.ts'
import type { StoreParts } from './parts.ts'
import { assemble } from './parts.ts'
import type { EventStoreOptions } from './options.ts'
import type { PeerMarks } from './peer-marks.ts'
import type { OpenDatabase } from './sqlite.ts'
import { openDatabase, translateError } from './sqlite.ts'
import type { Event, FollowableOrder } from './stored-event.ts'
import { Transactions } from './transactions.ts'
import { Staged } from './writer.ts'

/**
 * One database's events in one SQLite file: appends by this replica's author, runs received from others, reads. Every
 * change is one transaction, made durable before anyone hears of it.
 */
export class EventStore {
  readonly #options: EventStoreOptions
  readonly #opened: OpenDatabase
  readonly #parts: StoreParts
  readonly #now: () => number
  readonly #appends: AppendQueue<NewEvent, Event>
  readonly #listeners = new Set<(commit: Commit) => void>()
  readonly #followers = new Followers()
  readonly #transactions: Transactions
  readonly items: ItemReader
  #mayLag: boolean
  #closed = false

  /** @throws {PeerlogError} when the file, its key file or the secret is not usable; nothing has been changed then. */
  static open(options: EventStoreOptions): EventStore {
    const opened = (options.openFile ?? openDatabase)({
      path: options.path,
      readOnly: options.readOnly ?? false,
      durability: options.durability ?? 'process',
      beforeCreate: () => void knownSeed(options),
      inspect: (db) => checkIdentity(db, options),
    })
    try {
      const store = new EventStore(options, opened)
      checkOwnHead(store.log(store.author), store.#parts.table, options.keys.tag)
      return store
    } catch (error) {
      opened.close()
      throw translateError(error, options.path)
    }
  }

  private constructor(options: EventStoreOptions, opened: OpenDatabase) {
    this.#options = options
    this.#opened = opened
    this.#now = options.now ?? Date.now
    this.#parts = assemble(opened, options, this.#now)
    this.#transactions = new Transactions(opened, options.path, this.#parts)
    this.#appends = new AppendQueue(
      (items) => this.#append(items),
      () => performance.now(),
    )
    const { isNewAuthor, items } = this.#parts
    this.items = items
    this.#mayLag = options.readOnly !== true && !isNewAuthor && opened.lock?.isAsLeft(this.#ownState) !== true
  }

  /** Hex of the public key that this replica's events are signed with. */
  get author(): string {
    return this.#parts.own.hex
  }

  /**
   * True while peers may hold more of our own log than we do, because the file may be an older copy of itself: what is
   * appended to such a one before it has caught up contradicts what they hold.
   */
  get ownLogMayLag(): boolean {
    return this.#mayLag
  }

  /** Peers that should know hold no more of our own log than we do. */
  confirmOwnLog(): void {
    this.#mayLag = false
  }

  get #ownState(): OwnState {
    return { author: this.author, length: this.log(this.author)?.mmr.length ?? 0 }
  }

  /** 32 bytes that this peer's Noise key pair is made from: its own on every transport, stable across restarts. */
  get noiseSeed(): Uint8Array {
    return this.#parts.noiseSeed
  }

  get closed(): boolean {
    return this.#closed
  }

  get marks(): PeerMarks {
    return this.#parts.marks
  }

  /** Where logs of which nothing is here are to begin; null: with their first event. */
  get beginning(): Beginning | null {
    return this.#options.beginning ?? null
  }

  /** Position of the newest event; 0 when there is none. */
  get position(): number {
    return this.#parts.table.nextPosition - 1
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

  /** The next appends ask `enter` whether they may be stored, or what they have to wait for; once. */
  gateAppends(enter: () => Promise<void> | null): void {
    this.#appends.gate(enter)
  }

  #append(items: NewEvent[]): Event[] {
    this.#checkWritable()
    const before = this.log(this.author) ?? this.#parts.logs.empty(this.#parts.own.keyPair.publicKey)
    if (before.fork !== null) throw forkedError(this.#options)
    const links = this.#parts.own.nextLinks(items[0] as NewEvent)
    const runs: StoredRun[] = []
    const events: Event[] = []
    let log = before
    this.#transactions.run(items.length, () => {
      this.#opened.lock?.forget()
      for (const piece of this.#parts.own.pieces(log, items, links)) {
        log = this.#parts.writer.storePiece(log, piece, items, events)
        if (piece.segment !== null) runs.push({ run: piece.segment.run, ids: piece.segment.ids, log, local: true })
      }
      this.#parts.logs.save(log)
      // What we link to has been delivered here, so this is at once; but others may have waited for it.
      this.#parts.causal.arrived(before, log, [])
    })
    this.#parts.logs.commit(log)
    // Whether or not it contradicts what others hold, waiting for them is of no more use.
    this.#mayLag = false
    this.#parts.own.linked(links)
    for (const head of this.#parts.causal.takeHeads()) this.#parts.own.see(head)
    this.#announce({ runs, forks: [] })
    return events
  }

  /**
   * Does beforehand, a step at a time, what costs most in `ingest` and can be done without touching the file: for runs of
   * many events, so that nothing else has to wait for all of them.
   */
  opening(runs: readonly Run[]): Iterable<void> {
    return openRuns(runs, (hex) => this.log(hex)?.mmr.length ?? 0, this.#options.keys.seal)
  }

  /** Does work on the file that is due and would hold up a later change; false if there is none. */
  settle(): boolean {
    return !this.#closed && this.#transactions.settle()
  }

  /** Verifies received runs against what is here, and stores what continues it, in one transaction. */
  ingest(runs: readonly Run[]): IngestStatus[] {
    this.#checkWritable()
    const count = runs.reduce((sum, run) => sum + run.events.length, 0)
    return this.#stage(count, (staged) => runs.map((run) => this.#parts.writer.storeRun(run, staged)))
  }

  /** Takes a proof that an author forked, from whomever; null if there was no room for it, false if it proves nothing. */
  ingestForkProof(proof: Buffer): boolean | null {
    this.#checkWritable()
    const author = checkForkProof(proof, this.#options.keys.tag)
    if (author === null) return false
    const known = this.log(author.toString('hex'))
    if (known === undefined && !this.hasRoom) return null
    const log = known ?? this.#parts.logs.empty(author)
    if (log.fork !== null) return true
    return this.#stage(0, (staged) => this.#parts.writer.freeze(log, Buffer.from(proof), staged)) ? true : null
  }

  /** True while logs of further authors are taken. */
  get hasRoom(): boolean {
    return this.#parts.logs.hasRoomFor(1)
  }

  /** One transaction on other authors' logs, and then everybody is told. */
  #stage<T>(added: number, work: (staged: Staged) => T): T {
    const staged = new Staged()
    const result = this.#transactions.run(added, () => {
      const result = work(staged)
      for (const log of staged.logs.values()) this.#parts.logs.save(log)
      if (staged.commit.forks.length > 0) this.#parts.marks.clear()
      return result
    })
    for (const log of staged.logs.values()) {
      this.#parts.logs.commit(log)
      this.#parts.clock.observe(log)
    }
    for (const head of this.#parts.causal.takeHeads()) this.#parts.own.see(head)
    this.#announce(staged.commit)
    return result
  }

  /** Stores the held runs whose time has come. Returns when the next one falls due, or null. */
  releaseHeld(): number | null {
    const runs = this.#parts.held.due(this.#now())
    if (runs.length > 0) this.ingest(runs)
    for (const run of runs) this.#parts.held.release(run)
    return this.#parts.held.nextRelease
  }

  /** Milliseconds since 1970 until which an author's next events are held back, or null. */
  heldUntil(author: string): number | null {
    return this.#parts.held.until(author)
  }

  #announce(commit: Commit): void {
    for (const { ids } of commit.runs) for (const id of ids) this.#parts.ids.add(idStart(id))
    if (commit.runs.length === 0 && commit.forks.length === 0) return
    for (const listener of this.#listeners) listener(commit)
    this.#followers.wake()
  }

  // ---- reading --------------------------------------------------------------------------------------------------

  /** All logs by ascending author key. */
  logs(): readonly Log[] {
    return this.#parts.logs.all()
  }

  log(author: string): Log | undefined {
    return this.#parts.logs.get(author)
  }

  /** 32 bytes that are equal on two replicas exactly when their logs are the same, up to the same lengths. */
  frontierRoot(): Buffer {
    return this.#parts.logs.root()
  }

  /** Logs that have grown since the newest event was at that position. */
  logsSince(position: number): readonly Log[] {
    return this.#parts.logs.since(position)
  }

  /** Length of a log when the newest event was at that position. */
  lengthAt(author: string, position: number): number {
    const log = this.#parts.logs.get(author)
    return log === undefined ? 0 : this.#read(() => this.#parts.table.lengthAt(log, position))
  }

  /** Seq of the last event of a log before a time (ms since 1970), or the log's start. */
  seqBefore(author: string, time: number): number {
    const log = this.#parts.logs.get(author)
    return log === undefined ? 0 : this.#read(() => this.#parts.table.seqBefore(log, time))
  }

  /**
   * Events of one log from a seq to a signed head: what fits `maxBytes`, or one segment if that is larger; with the
   * peaks before them if asked. Null when there is nothing there.
   */
  readRun(author: string, from: number, maxBytes: number, withPeaks: boolean): Run | null {
    const { logs, table } = this.#parts
    return this.#read(() => {
      const log = logs.get(author)
      if (log === undefined || from > log.mmr.length || from < log.start) return null
      return withPeaks ? table.readRunWithPeaks(log, from, maxBytes) : table.readRun(log, from, maxBytes)
    })
  }

  /** The event with this id, if it is here and can be read. */
  get(id: string): Event | null {
    const wanted = fromHex(id)
    const { ids, reader } = this.#parts
    return this.#read(() => (wanted?.length === 32 ? reader.find(wanted, ids.find(wanted)) : null))
  }

  /** Readable events after (in reverse: before) a place, in batches. Places are positions; in causal order, ranks. */
  scan(
    pattern: SubjectPattern | null,
    from: number,
    reverse: boolean,
    order: FollowableOrder = 'arrival',
  ): Generator<Event[]> {
    this.#checkOpen()
    return this.#batches(
      order === 'arrival'
        ? this.#parts.reader.scan(pattern, from, reverse)
        : this.#parts.reader.scanCausal(pattern, from, reverse),
    )
  }

  /** Readable events by (clock, author, seq), in batches: all, or those after (in reverse: before) that at a position. */
  scanByClock(pattern: SubjectPattern | null, after: number | null = null, reverse = false): Generator<Event[]> {
    this.#checkOpen()
    return this.#batches(this.#parts.reader.scanByClock(pattern, this.#parts.logs.all(), after, reverse))
  }

  /** Where to scan from to get what comes after (in reverse: before) the event at a position; without one, all. */
  place(order: FollowableOrder, position: number | null, reverse: boolean): number {
    if (position === null) return reverse ? Number.MAX_SAFE_INTEGER : 0
    if (order === 'arrival') return position
    return this.#read(() => this.#parts.causal.ranks[reverse ? 'before' : 'upTo'](position))
  }

  /** Place of the newest event. */
  end(order: FollowableOrder): number {
    return order === 'arrival' ? this.position : this.#parts.causal.ranks.count
  }

  /** How many events of each author wait for what they link to. */
  waiting(): Map<string, number> {
    return this.#parts.causal.waiting()
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

  /** Resolves when there may be an event after the place, or the store closes, or the signal aborts. */
  changed(order: FollowableOrder, place: number, signal?: AbortSignal): Promise<void> {
    return this.end(order) > place || this.#closed ? Promise.resolve() : this.#followers.wait(signal)
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
    this.#followers.wake()
    this.#opened.close(this.#mayLag ? null : this.#ownState)
  }
}

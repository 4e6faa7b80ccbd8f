import { Audit, type AuditOptions } from './audit.ts'
import { PeerlogError } from './base/errors.ts'
import { MAX_TYPE_BYTES, WORK_SLICE_MS } from './base/limits.ts'
import type { PeerStatus } from './broadcast/replication-options.ts'
import type { SyncBroadcaster } from './broadcast/sync-broadcaster.ts'
import { encodeData } from './event/data.ts'
import type { SubjectPattern } from './event/subject.ts'
import { checkSubject, parseSubjectPattern } from './event/subject.ts'
import type { EventStore } from './store/event-store.ts'
import type { NewEvent } from './store/own-log.ts'
import type { Event } from './store/stored-event.ts'
import type { Transport } from './transport/transport.ts'

/** An event to append. */
export interface AppendItem {
  /** Levels separated by slashes: `notes/shopping`. */
  subject: string
  /** Anything JSON can carry, or a `Uint8Array`, which stays binary. */
  data: unknown
  /** Says what kind of event it is, for those who read it. */
  type?: string
}

export interface AppendOptions {
  type?: string
}

export interface ReadOptions {
  /** Only subjects that match: `*` within a level, `**` for any number of levels. */
  subject?: string
  /**
   * Only events that come after the one with this `position` in the order that is read (in reverse: before it), also
   * after a restart. If no event that can be read has it, the nearest one with a lower position stands for it; 0 is
   * before all.
   */
  after?: number
  /** At the end, wait for new events instead of ending. Not by clock. */
  follow?: boolean
  /** Newest first. */
  reverse?: boolean
  /** At most so many events. */
  limit?: number
  /** `true`: only our own events; `false`: only those received. */
  local?: boolean
  /**
   * - `'arrival'` (the default): by position, as events came in here.
   * - `'causal'`: every event after its predecessor in its author's log and after everything that its author had seen
   *   when writing it. An event whose causes are not here yet waits for them (see `waiting()`), and what is new always
   *   comes last. Differs between replicas.
   * - `'clock'`: by (clock, author, seq), the same on every replica. Events arrive anywhere in it, so it can't be
   *   followed, and reading on with `after` misses those that have arrived since with an earlier clock.
   */
  order?: 'arrival' | 'causal' | 'clock'
  /** Ends the reading; what was read stays read. */
  signal?: AbortSignal
}

/** An open database. Made by `open()`. */
export class Database implements AsyncDisposable {
  readonly databaseId: string
  readonly path: string
  /**
   * Hex of the Noise public key by which peers know us: the same on every transport made by `open`, and after a restart.
   * A transport that was handed in has its own.
   */
  readonly peerId: string
  /** Peers, progress and everything else that replication has to tell. */
  readonly sync: SyncBroadcaster
  readonly #store: EventStore
  /** Ours to disconnect; null if it is the caller's. */
  readonly #transport: Transport | null
  #closing: Promise<void> | null = null
  /** The last `suspend` or `resume`. */
  #changing: Promise<void> = Promise.resolve()

  /** @internal Use `open()`. */
  constructor(
    databaseId: string,
    path: string,
    peerId: string,
    store: EventStore,
    sync: SyncBroadcaster,
    transport: Transport | null,
  ) {
    this.databaseId = databaseId
    this.path = path
    this.peerId = peerId
    this.sync = sync
    this.#store = store
    this.#transport = transport
  }

  /** Hex of the public key that our events are signed with. */
  get author(): string {
    return this.#store.author
  }

  /** Position of the newest event, 0 when there is none: where `read({ after })` goes on from. */
  get position(): number {
    return this.#store.position
  }

  get closed(): boolean {
    return this.#closing !== null
  }

  /**
   * Appends one event to our own log. Resolves when it survives the end of the process (with `durability: 'full'`, the
   * loss of power); peers get it as they can.
   *
   * @throws {PeerlogError} `INVALID_ARGUMENT`, `INVALID_DATA`, `EVENT_TOO_LARGE`, `AUTHOR_FORKED`, `FILE_UNUSABLE`,
   * `CLOSED`; nothing has been stored then.
   */
  async append<T>(subject: string, data: T, options: AppendOptions = {}): Promise<Event<T>> {
    const [event] = await this.#append([{ subject, data, ...options }])
    return event as Event<T>
  }

  /** Appends several events in order, in one transaction: all of them or, when it throws, none. */
  async appendMany(items: Iterable<AppendItem>): Promise<Event[]> {
    const list = [...items]
    return list.length === 0 ? [] : this.#append(list)
  }

  async #append(items: AppendItem[]): Promise<Event[]> {
    this.#checkOpen()
    return this.#store.append(items.map(toNewEvent))
  }

  /**
   * Reads events, by default all of them in the order of their arrival here. With `follow` it goes on with new ones,
   * missing and repeating none, until the signal aborts, the loop is left or the database closes. To go on later, pass
   * the `position` of the last event as `after`, with the same order.
   */
  read<T = unknown>(options: ReadOptions = {}): AsyncIterableIterator<Event<T>> {
    this.#checkOpen()
    return this.#read(options, checkReadOptions(options)) as AsyncIterableIterator<Event<T>>
  }

  async *#read(options: ReadOptions, pattern: SubjectPattern | null): AsyncGenerator<Event> {
    const { limit = Infinity, local, signal } = options
    let left = limit
    let sliceEnd = performance.now() + WORK_SLICE_MS
    if (left <= 0) return
    for await (const batch of this.#batches(options, pattern)) {
      for (const event of batch) {
        if (signal?.aborted === true) return
        if (local !== undefined && event.local !== local) continue
        yield event
        if (--left === 0) return
      }
      if (performance.now() > sliceEnd) {
        await new Promise(setImmediate)
        sliceEnd = performance.now() + WORK_SLICE_MS
      }
      if (this.#store.closed) return
    }
  }

  async *#batches(options: ReadOptions, pattern: SubjectPattern | null): AsyncGenerator<Event[]> {
    const { reverse = false, follow = false, order = 'arrival', signal } = options
    const after = options.after ?? null
    if (order === 'clock') {
      yield* this.#store.scanByClock(pattern, after, reverse)
      return
    }
    let place = this.#store.place(order, after, reverse)
    for (;;) {
      // Not yield*, which would wait after the last batch: what came meanwhile would count as read.
      for (const batch of this.#store.scan(pattern, place, reverse, order)) yield batch
      if (!follow || this.#store.closed) return
      place = Math.max(place, this.#store.end(order))
      await this.#store.changed(order, place, signal)
      if (signal?.aborted === true || this.#store.closed) return
    }
  }

  /** The event with this id, if it is here and can be read. */
  get<T = unknown>(id: string): Event<T> | null {
    if (typeof id !== 'string') throw new TypeError(`the id of an event is a string, not ${typeof id}`)
    this.#checkOpen()
    return this.#store.get(id) as Event<T> | null
  }

  /** How far each author's log goes here: its length, by the author's public key in hex. */
  frontier(): Map<string, number> {
    this.#checkOpen()
    return new Map(this.#store.logs().map(({ hex, mmr }) => [hex, mmr.length]))
  }

  /**
   * Authors whose logs begin in the middle here (see `open({ since })`), and how many events at the beginning are not here.
   * Empty when everything is.
   */
  missing(): Map<string, number> {
    this.#checkOpen()
    return new Map(this.#store.logs().flatMap(({ hex, start }) => (start > 0 ? [[hex, start]] : [])))
  }

  /**
   * How many events of each author wait in the causal order for others that are not here yet. The other orders have
   * them.
   */
  waiting(): Map<string, number> {
    this.#checkOpen()
    return this.#store.waiting()
  }

  /** Hex of 32 bytes that are equal on two replicas exactly when their logs are the same, up to the same lengths. */
  frontierRoot(): string {
    this.#checkOpen()
    return this.#store.frontierRoot().toString('hex')
  }

  /**
   * Reads every event from the file, hashes it anew, and makes a set of them that can be compared with another replica's
   * by a `RangeReconciler` of `peerlog/reconcile`: finds what is damaged or not there, whatever frontiers say. About 50 bytes
   * of memory for each event.
   *
   * @throws {PeerlogError} `INVALID_ARGUMENT` for a wrong key, `CLOSED`; the signal's reason when it aborts.
   */
  async audit(options: AuditOptions): Promise<Audit> {
    this.#checkOpen()
    return Audit.of(this.#store, options)
  }

  /** The peers that are connected, how, and whether they hold what we do. */
  peers(): PeerStatus[] {
    return this.sync.peers()
  }

  /**
   * Says goodbye to the peers, and is silent until `resume`: the app goes to the background, or the laptop is closed.
   * Appending and reading go on. A transport that was handed in is not suspended, only not used. Idempotent.
   */
  async suspend(): Promise<void> {
    await this.#inTurn(async () => {
      await this.sync.suspend()
      await this.#transport?.suspend?.()
    })
  }

  /** Looks for peers again after `suspend`. Idempotent. */
  async resume(): Promise<void> {
    await this.#inTurn(async () => {
      await this.#transport?.resume?.()
      await this.sync.resume()
    })
  }

  /** One after the other: whoever asks last is obeyed in the end. */
  #inTurn(change: () => Promise<void>): Promise<void> {
    this.#checkOpen()
    this.#changing = this.#changing.then(() => (this.closed ? undefined : change()))
    return this.#changing
  }

  #checkOpen(): void {
    if (this.#closing !== null) {
      throw new PeerlogError('CLOSED', 'the database is closed', { hint: 'Open it again with open()' })
    }
  }

  /**
   * Stores what was appended, says goodbye to the peers, and releases file, sockets and timers: a process with nothing
   * else to do exits. Idempotent.
   */
  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    this.#store.flush()
    await this.sync.close()
    await this.#transport?.disconnect()
    this.#store.close()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }
}

function toNewEvent({ subject, data, type = '' }: AppendItem): NewEvent {
  checkSubject(subject)
  if (typeof type !== 'string') throw new TypeError(`type must be a string, not ${typeof type}`)
  if (Buffer.byteLength(type, 'utf8') > MAX_TYPE_BYTES || !type.isWellFormed()) {
    throw new PeerlogError('INVALID_ARGUMENT', `the type of an event on '${subject}' is not usable`, {
      hint: `Use at most ${MAX_TYPE_BYTES} bytes of well-formed text`,
    })
  }
  return { subject, type, data, encoded: encodeData(data) }
}

function checkReadOptions(options: ReadOptions): SubjectPattern | null {
  const { after, limit, follow, reverse, order } = options
  const refuse = (message: string, hint: string): never => {
    throw new PeerlogError('INVALID_ARGUMENT', message, { hint })
  }
  if (after !== undefined && (!Number.isSafeInteger(after) || after < 0)) {
    refuse(`after is ${String(after)}`, 'Give the position of an event, or 0')
  }
  if (limit !== undefined && limit !== Infinity && (!Number.isSafeInteger(limit) || limit < 0)) {
    refuse(`limit is ${String(limit)}`, 'Give a whole number of events')
  }
  if (order !== undefined && order !== 'arrival' && order !== 'causal' && order !== 'clock') {
    refuse(`order is ${JSON.stringify(order)}`, "Write 'arrival', 'causal' or 'clock'")
  }
  if (follow === true && reverse === true) refuse('follow and reverse exclude each other', 'Leave one of them out')
  if (order === 'clock' && follow === true) {
    refuse("order 'clock' can't be followed: events arrive anywhere in it", "Follow 'causal' or 'arrival'")
  }
  return options.subject === undefined ? null : parseSubjectPattern(options.subject)
}

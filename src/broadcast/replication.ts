import type { Run } from '../event/run.ts'
import type { Connection, Path, Transport } from '../transport/transport.ts'
import { announceFor } from './announcing.ts'
import { BanList } from './ban-list.ts'
import { ClaimTable } from './claims.ts'
import { boundAnnouncements, makeRoom } from './crowding.ts'
import { Datagrams } from './datagrams.ts'
import { isOffence } from './end-reason.ts'
import type { LinkHandlers, Notice, SessionEnd } from './peer-link.ts'
import { PeerLink } from './peer-link.ts'
import type { Output } from './output.ts'
import { OwnLogGuard } from './own-log-guard.ts'
import { SharedPace } from './pace.ts'
import type { PeerStatus, Publisher, ReplicationOptions, StoreCommit } from './replication-options.ts'
import type { Mark } from './replica.ts'
import { Session } from './session.ts'
import { Turns } from './turns.ts'

/** Milliseconds between two looks at what is held back, at least; and the longest a Node timer can wait. */
const HELD_CHECK_MS = 1000
/** Milliseconds before the store is tried again after it could not be written. */
const STORE_RETRY_MS = 10_000
const MAX_TIMER_MS = 2 ** 31 - 1

/** The sessions of one database over all its transports: starts them, feeds them the store's changes, bans offenders. */
export class Replication implements LinkHandlers {
  readonly #options: ReplicationOptions
  readonly #publisher: Publisher
  readonly #links = new Set<PeerLink>()
  readonly #admitted = new Set<PeerLink>()
  readonly #bans = new BanList()
  readonly #turns: Turns
  readonly #pace = new SharedPace(() => this.#links.size)
  readonly #claims = new ClaimTable((author) => this.#onRelease(author))
  /** Logs that a session has let go of, and that others may be waiting for. */
  #released: string[] = []
  /** Until when the authors' events are held back, as it was told. */
  readonly #heldUntil = new Map<string, number>()
  readonly #abort = new AbortController()
  /** Ends the transports' iterations under way; null while suspended. */
  #iterations: AbortController | null = null
  #tasks: Promise<void>[] = []
  /** What suspends or resumes, one after the other. */
  #transition: Promise<void> = Promise.resolve()
  #ingesting: PeerLink | null = null
  #stopListening: (() => void) | null = null
  #heldTimer: NodeJS.Timeout | undefined
  #guard: OwnLogGuard | null = null
  readonly #datagrams: Datagrams | null
  #saidFull = false
  #closing: Promise<void> | null = null
  readonly now: () => number

  constructor(options: ReplicationOptions, publisher: Publisher) {
    this.#options = options
    this.#publisher = publisher
    this.now = options.now ?? Date.now
    this.#turns = new Turns(() => options.store.settle())
    this.#datagrams = this.#overDatagrams(options)
  }

  #overDatagrams({ datagrams: identity, ...options }: ReplicationOptions): Datagrams | null {
    if (identity === undefined) return null
    return new Datagrams({
      ...options,
      identity,
      now: this.now,
      publish: (event) => this.#publisher.publish(event),
      problem: (source, error) => this.#problem(source, error),
      isConnected: (peerId) => this.#hasSession(peerId),
      onHeld: (runs) => this.#onHeld(runs),
      pumped: () => this.pumped(),
    })
  }

  start(): void {
    this.#stopListening = this.#options.store.onCommit((commit) => this.#onCommit(commit))
    this.#connect()
    // Not among the tasks: it can take until its timeout, and closing does not wait for that.
    const { topic, transports } = this.#options
    for (const transport of transports) {
      void announceFor(topic, transport, this.#abort.signal, (error) => this.#problem(transport.name, error))
    }
    this.#checkHeld()
    this.#checkRoom()
  }

  peers(): PeerStatus[] {
    const peers = [...this.#links]
      .filter((link) => link.session.admitted)
      .map(({ peerId, path, session }): PeerStatus => {
        const { inSync, meeting } = session
        return { peerId, ...path, inSync, differences: meeting.differences }
      })
    const known = new Set(peers.map(({ peerId }) => peerId))
    return [...peers, ...(this.#datagrams?.peers() ?? []).filter(({ peerId }) => !known.has(peerId))]
  }

  /** Ends all sessions and begins no more until `resume`. Idempotent. */
  suspend(): Promise<void> {
    this.#transition = this.#transition.then(() => this.#disconnect())
    return this.#transition
  }

  /** Looks for peers again. Idempotent. */
  resume(): Promise<void> {
    this.#transition = this.#transition.then(() => {
      if (this.#iterations === null && !this.#abort.signal.aborted) this.#connect()
    })
    return this.#transition
  }

  /** Holds appends to our own log back until peers have had the chance to hand over what they hold of it. */
  guardOwnLog(author: string, confirmed: () => void): OwnLogGuard {
    const [links, datagrams] = [this.#links, this.#datagrams]
    this.#guard = new OwnLogGuard({
      author,
      length: () => {
        const log = this.#options.store.log(author)
        return log === undefined ? 0 : log.fork === null ? log.mmr.length : Infinity
      },
      *witnesses() {
        for (const { session } of links) yield session
        if (datagrams !== null) yield* datagrams.witnesses()
      },
      settled: (doubt) => {
        this.#guard = null
        if (doubt === null) confirmed()
        else this.#problem('store', doubt)
      },
    })
    return this.#guard
  }

  /** Says goodbye to every peer. Idempotent. */
  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    this.#stopListening?.()
    this.#guard?.close()
    clearTimeout(this.#heldTimer)
    this.#abort.abort()
    await Promise.all([this.#disconnect(), this.#transition])
  }

  // ---- connections ----------------------------------------------------------------------------------------------

  #connect(): void {
    const iterations = new AbortController()
    this.#iterations = iterations
    this.#tasks = this.#options.transports.map((transport) => this.#accept(transport, iterations.signal))
    this.#datagrams?.start()
  }

  async #disconnect(): Promise<void> {
    this.#datagrams?.stop()
    for (const link of this.#links) link.close()
    // Only now: what ends the transports' iterations must not overtake the farewells.
    this.#iterations?.abort()
    this.#iterations = null
    await Promise.all(this.#tasks)
  }

  async #accept(transport: Transport, signal: AbortSignal): Promise<void> {
    const running = new Set<Promise<void>>()
    try {
      for await (const connection of transport.connect(this.#options.topic, { signal })) {
        const task: Promise<void> = this.#serve(connection, transport.name, signal).finally(() => running.delete(task))
        running.add(task)
      }
    } catch (error) {
      this.#problem(transport.name, error)
    }
    await Promise.all(running)
  }

  async #serve(connection: Connection, transport: string, signal: AbortSignal): Promise<void> {
    const isClosing = signal.aborted
    if (isClosing || this.#bans.isBanned(connection.peerId, this.now())) {
      await connection.close(isClosing ? 'closing' : 'banned')
      return
    }
    if (!makeRoom([...this.#links], connection.peerId, transport, this.now())) return connection.close('no room')
    const { store: replica, admissionKey } = this.#options
    const { initiator, handshakeHash } = connection
    const marks = replica.marks.of(connection.peerId)
    const shared = { admissionKey, replica, claims: this.#claims, pace: this.#pace }
    const session = new Session({ initiator, handshakeHash, ...shared, marks })
    const link = new PeerLink(connection, session, transport, this)
    this.#links.add(link)
    connection.onPathChange?.((path) => this.#onPathChange(link, path))
    let end: SessionEnd = { reason: 'closing', detail: 'something went wrong here', byPeer: false }
    try {
      end = await link.run()
    } catch (error) {
      // A bug in one session is no reason to end the others.
      this.#problem(transport, error)
    } finally {
      this.#links.delete(link)
      this.#onEnd(link, end)
      this.pumped()
    }
  }

  #onEnd(link: PeerLink, { reason, detail, byPeer }: SessionEnd): void {
    const { peerId } = link
    if (reason !== 'connection-lost' && isOffence(reason)) {
      // Whoever turned us away is not asked again at once, and whoever misbehaved is not let in again at once.
      this.#bans.add(peerId, this.now())
      this.#publisher.publish({ type: 'PeerRefused', peerId, reason, detail, byPeer })
    }
    if (this.#admitted.delete(link) && !this.#isConnected(peerId)) {
      this.#publisher.publish({ type: 'PeerDisconnected', peerId, reason })
    }
  }

  #onPathChange(link: PeerLink, path: Path): void {
    if (this.#admitted.has(link)) this.#publisher.publish({ type: 'PathChanged', peerId: link.peerId, ...path })
  }

  #isConnected(peerId: string): boolean {
    return this.#hasSession(peerId) || this.#datagrams?.isConnected(peerId) === true
  }

  #hasSession(peerId: string): boolean {
    for (const link of this.#admitted) if (link.peerId === peerId) return true
    return false
  }

  // ---- what sessions want done ----------------------------------------------------------------------------------

  opening(runs: readonly Run[]): Iterable<void> {
    return this.#options.store.opening(runs)
  }

  ingest(link: PeerLink, output: Extract<Output, { type: 'ingest' | 'ingest-proof' }>): void {
    const { store } = this.#options
    let heldRuns: readonly Run[] = []
    this.#ingesting = link
    try {
      if (output.type === 'ingest') {
        const statuses = store.ingest(output.runs)
        link.session.ingested(statuses, this.now())
        if (statuses.includes('stored')) link.broughtNews()
        heldRuns = output.runs.filter((_, i) => statuses[i] === 'held')
      } else {
        link.session.proofIngested(store.ingestForkProof(output.proof))
      }
    } catch (error) {
      // The file can't be written (a full disk, say). Nothing was acknowledged, so the peer still has it all.
      this.#problem('store', error)
      link.session.close()
    } finally {
      this.#ingesting = null
    }
    this.#onHeld(heldRuns)
  }

  #onHeld(runs: readonly Run[]): void {
    for (const run of runs) {
      const author = run.author.toString('hex')
      const until = this.#options.store.heldUntil(author)
      if (until === null || this.#heldUntil.get(author) === until) continue
      this.#heldUntil.set(author, until)
      this.#publisher.publish({ type: 'Held', author, until })
    }
    if (runs.length > 0) this.#checkHeld()
  }

  onManyWanted(): void {
    boundAnnouncements([...this.#links])
  }

  turn(bringsNews: boolean): Promise<void> {
    return this.#turns.next(bringsNews)
  }

  notice(link: PeerLink, output: Notice): void {
    const { peerId } = link
    switch (output.type) {
      case 'progress':
        return this.#publisher.publish({ ...output, type: 'Progress', peerId })
      case 'in-sync':
        return this.#publisher.publish({ type: 'InSync', peerId })
      case 'unavailable':
        return this.#publisher.publish({ type: 'Unavailable', peerId, logs: output.logs })
      case 'mark':
        return this.#remember(peerId, output.mark)
      case 'admitted': {
        const known = this.#isConnected(peerId)
        this.#admitted.add(link)
        if (!known) this.#publisher.publish({ type: 'PeerConnected', peerId, ...link.path })
      }
    }
  }

  #remember(peerId: string, mark: Mark): void {
    try {
      this.#options.store.marks.remember(peerId, mark)
    } catch (error) {
      // Only the next meeting will cost more.
      this.#problem('store', error)
    }
  }

  pumped(): void {
    this.#guard?.look()
  }

  #onRelease(author: string): void {
    if (this.#links.size < 2 || this.#released.push(author) > 1) return
    setImmediate(() => {
      const released = this.#released
      this.#released = []
      for (const link of this.#links) {
        link.session.unblock(released)
        link.pump()
      }
    })
  }

  // ---- the store ------------------------------------------------------------------------------------------------

  #onCommit({ runs, forks }: StoreCommit): void {
    if (this.#publisher.hears('NodeUpsert')) {
      for (const { ids } of runs) {
        for (const id of ids) this.#publisher.publish({ type: 'NodeUpsert', id: id.toString('hex') })
      }
    }
    this.#checkRoom()
    for (const { hex } of forks) this.#publisher.publish({ type: 'ForkDetected', author: hex })
    this.#datagrams?.changed({ runs, forks })
    for (const link of this.#links) {
      link.session.changed(runs, link === this.#ingesting)
      if (forks.length > 0) link.session.forked(forks)
      link.pump()
    }
  }

  /** Says once that no further authors are taken. */
  #checkRoom(): void {
    if (this.#saidFull || this.#options.store.hasRoom) return
    this.#saidFull = true
    const message = `${this.#options.store.logs().length} authors are here, as many as there may be: events of others are not taken`
    this.#publisher.publish({ type: 'Problem', source: 'store', message })
  }

  /** Stores what was held back and is due, and comes back when more of it is. */
  #checkHeld(): void {
    clearTimeout(this.#heldTimer)
    if (this.#abort.signal.aborted) return
    for (const [author, until] of this.#heldUntil) if (until <= this.now()) this.#heldUntil.delete(author)
    let next: number | null
    try {
      next = this.#options.store.releaseHeld()
    } catch (error) {
      this.#problem('store', error)
      next = this.now() + STORE_RETRY_MS
    }
    if (next === null) return
    const wait = Math.max(HELD_CHECK_MS, Math.min(next - this.now(), MAX_TIMER_MS))
    this.#heldTimer = setTimeout(() => this.#checkHeld(), wait)
  }

  #problem(source: string, error: unknown): void {
    this.#publisher.publish({
      type: 'Problem',
      source,
      message: error instanceof Error ? error.message : String(error),
    })
  }
}

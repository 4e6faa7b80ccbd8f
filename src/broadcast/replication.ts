import { setTimeout as sleep } from 'node:timers/promises'
import { Backoff } from '../base/backoff.ts'
import type { Run } from '../event/run.ts'
import type { Topic } from '../topic/topic.ts'
import type { Connection, Transport } from '../transport/transport.ts'
import { BanList } from './ban-list.ts'
import { isOffence } from './end-reason.ts'
import type { LinkHandlers, SessionEnd } from './peer-link.ts'
import { PeerLink } from './peer-link.ts'
import type { Claims, Replica, ReplicaChange, ReplicaLog } from './replica.ts'
import type { Output, RunStatus } from './session.ts'
import { Session } from './session.ts'
import type { SyncEvent, SyncEventType } from './sync-event.ts'

/** A replica that can also be written to: what `EventStore` is. */
export interface ReplicaStore extends Replica {
  ingest(runs: readonly Run[]): RunStatus[]
  ingestForkProof(proof: Buffer): boolean
  /** Stores what was held back and is due; returns when the next is, or null. */
  releaseHeld(): number | null
  onCommit(listener: (commit: StoreCommit) => void): () => void
}

export interface StoreCommit {
  runs: readonly (ReplicaChange & { readonly ids: readonly Buffer[] })[]
  forks: readonly ReplicaLog[]
}

export interface ReplicationOptions {
  store: ReplicaStore
  topic: Topic
  /** 32 bytes that every peer of the database derives alike. */
  admissionKey: Buffer
  transports: readonly Transport[]
  /** Milliseconds since 1970. */
  now?: () => number
}

/** A peer we have a session with. */
export interface PeerStatus {
  peerId: string
  /** Name of the transport. */
  transport: string
  /** True while neither side lacks anything of the other's. */
  inSync: boolean
}

export interface Publisher {
  publish(event: SyncEvent): void
  hears(type: SyncEventType): boolean
}

/** Milliseconds between two looks at what is held back, at least; and the longest a Node timer can wait. */
const HELD_CHECK_MS = 1000
const MAX_TIMER_MS = 2 ** 31 - 1

/** The sessions of one database over all its transports: starts them, feeds them the store's changes, bans offenders. */
export class Replication implements LinkHandlers, Claims {
  readonly #options: ReplicationOptions
  readonly #publisher: Publisher
  readonly #links = new Set<PeerLink>()
  readonly #admitted = new Set<PeerLink>()
  readonly #bans = new BanList()
  readonly #abort = new AbortController()
  readonly #tasks: Promise<void>[] = []
  /** Logs that a session is pulling. */
  readonly #claimed = new Set<string>()
  #unblocking = false
  #ingesting: PeerLink | null = null
  #stopListening: (() => void) | null = null
  #heldTimer: NodeJS.Timeout | undefined
  readonly now: () => number

  constructor(options: ReplicationOptions, publisher: Publisher) {
    this.#options = options
    this.#publisher = publisher
    this.now = options.now ?? Date.now
  }

  start(): void {
    this.#stopListening = this.#options.store.onCommit((commit) => this.#onCommit(commit))
    for (const transport of this.#options.transports) {
      this.#tasks.push(this.#accept(transport), this.#announce(transport))
    }
    this.#releaseHeld()
  }

  peers(): PeerStatus[] {
    return [...this.#links]
      .filter((link) => link.session.admitted)
      .map(({ peerId, transport, session }) => ({ peerId, transport, inSync: session.inSync }))
  }

  async close(): Promise<void> {
    this.#stopListening?.()
    clearTimeout(this.#heldTimer)
    for (const link of this.#links) {
      link.session.close()
      link.pump()
    }
    this.#abort.abort()
    await Promise.all(this.#tasks)
  }

  // ---- connections ----------------------------------------------------------------------------------------------

  async #announce(transport: Transport): Promise<void> {
    const { signal } = this.#abort
    const backoff = new Backoff()
    while (!signal.aborted) {
      try {
        await transport.announce(this.#options.topic)
        return
      } catch (error) {
        if (signal.aborted) return
        this.#publisher.publish({ type: 'Problem', source: transport.name, message: messageOf(error) })
        await sleep(backoff.next(), undefined, { signal }).catch(() => {})
      }
    }
  }

  async #accept(transport: Transport): Promise<void> {
    const running = new Set<Promise<void>>()
    const { signal } = this.#abort
    for await (const connection of transport.connect(this.#options.topic, { signal })) {
      const task: Promise<void> = this.#serve(connection, transport.name).finally(() => running.delete(task))
      running.add(task)
    }
    await Promise.all(running)
  }

  async #serve(connection: Connection, transport: string): Promise<void> {
    if (this.#abort.signal.aborted || this.#bans.isBanned(connection.peerId, this.now())) {
      await connection.close('banned')
      return
    }
    const { store, admissionKey } = this.#options
    const { initiator, handshakeHash } = connection
    const session = new Session({ initiator, handshakeHash, admissionKey, replica: store, claims: this })
    const link = new PeerLink(connection, session, transport, this)
    this.#links.add(link)
    const end = await link.run()
    this.#links.delete(link)
    this.#onEnd(link, end)
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

  #isConnected(peerId: string): boolean {
    for (const link of this.#admitted) if (link.peerId === peerId) return true
    return false
  }

  // ---- what sessions want done ----------------------------------------------------------------------------------

  ingest(link: PeerLink, output: Extract<Output, { type: 'ingest' | 'ingest-proof' }>): void {
    const { store } = this.#options
    this.#ingesting = link
    try {
      if (output.type === 'ingest') link.session.ingested(store.ingest(output.runs), this.now())
      else link.session.proofIngested(store.ingestForkProof(output.proof))
    } catch (error) {
      // The file can't be written (a full disk, say). Nothing was acknowledged, so the peer still has it all.
      this.#publisher.publish({ type: 'Problem', source: 'store', message: messageOf(error) })
      link.session.close()
    } finally {
      this.#ingesting = null
    }
    this.#releaseHeld()
  }

  notice(link: PeerLink, output: Extract<Output, { type: 'admitted' | 'progress' | 'in-sync' }>): void {
    const { peerId, transport } = link
    if (output.type === 'progress') {
      const { received, remaining } = output
      this.#publisher.publish({ type: 'Progress', peerId, received, remaining })
    } else if (output.type === 'in-sync') {
      this.#publisher.publish({ type: 'InSync', peerId })
    } else {
      const known = this.#isConnected(peerId)
      this.#admitted.add(link)
      if (!known) this.#publisher.publish({ type: 'PeerConnected', peerId, transport })
    }
  }

  claim(author: string): boolean {
    if (this.#claimed.has(author)) return false
    this.#claimed.add(author)
    return true
  }

  release(author: string): void {
    this.#claimed.delete(author)
    if (this.#unblocking || this.#links.size < 2) return
    this.#unblocking = true
    setImmediate(() => {
      this.#unblocking = false
      for (const link of this.#links) {
        link.session.unblock()
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
    for (const { hex } of forks) this.#publisher.publish({ type: 'Fork', author: hex })
    const now = this.now()
    for (const link of this.#links) {
      link.session.changed(runs, link === this.#ingesting, now)
      if (forks.length > 0) link.session.forked(forks)
      link.pump()
    }
  }

  #releaseHeld(): void {
    if (this.#heldTimer !== undefined) return
    const next = this.#options.store.releaseHeld()
    if (next === null || this.#abort.signal.aborted) return
    const wait = Math.max(HELD_CHECK_MS, Math.min(next - this.now(), MAX_TIMER_MS))
    this.#heldTimer = setTimeout(() => {
      this.#heldTimer = undefined
      this.#releaseHeld()
    }, wait)
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

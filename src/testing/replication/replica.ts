import assert from 'node:assert/strict'
import type { SyncEventOf } from '../../broadcast/sync-event.ts'
import type { Database } from '../../database.ts'
import { open } from '../../open.ts'
import type { Faults } from '../../transport/faults/faults.ts'
import type { FaultyTransport } from '../../transport/faults/faulty-transport.ts'
import { faultyTransport } from '../../transport/faults/faulty-transport.ts'
import type { NoiseKeyPair, Transport } from '../../transport/transport.ts'
import type { News } from './news.ts'

/** An event that was appended, and what its author had seen at that time. */
export interface Written {
  id: string
  author: string
  seq: number
  data: unknown
  /** Lengths of the logs there, by author, without what waited for its causes. */
  seen: ReadonlyMap<string, number>
}

export interface ReplicaOptions {
  name: string
  databaseId: string
  secret: Uint8Array
  path: string
  keyPair: NoiseKeyPair
  createTransport(keyPair: NoiseKeyPair): Transport | readonly Transport[] | Promise<Transport | readonly Transport[]>
  /** Number that the seeds of its transports are drawn with. */
  random: () => number
  news: News
}

/** A database over faulty transports, through all its lives. */
export class Replica {
  readonly name: string
  readonly path: string
  readonly written: Written[] = []
  /** How often each event was told to be stored. */
  readonly upserts: Map<string, number> = new Map()
  readonly refusals: SyncEventOf<'PeerRefused'>[] = []
  readonly problems: SyncEventOf<'Problem'>[] = []
  /** Of all lives. */
  readonly transports: FaultyTransport[] = []
  readonly #options: ReplicaOptions
  readonly #appends: Promise<void>[] = []
  #current: FaultyTransport[] = []
  #db: Database | null = null
  #faults: Partial<Faults> = {}
  #count = 0

  constructor(options: ReplicaOptions) {
    this.name = options.name
    this.path = options.path
    this.#options = options
  }

  get db(): Database {
    assert.ok(this.#db !== null, `${this.name} is not open`)
    return this.#db
  }

  get isOpen(): boolean {
    return this.#db !== null
  }

  async open(): Promise<void> {
    const { databaseId, secret, path, keyPair, createTransport, random, news } = this.#options
    const made = await createTransport(keyPair)
    this.#current = (Array.isArray(made) ? (made as readonly Transport[]) : [made as Transport]).map((transport) =>
      faultyTransport(transport, { seed: Math.floor(random() * 2 ** 31), faults: this.#faults }),
    )
    this.transports.push(...this.#current)
    const db = await open({ databaseId, secret, path, transport: this.#current })
    db.sync.on('NodeUpsert', ({ id }) => {
      this.upserts.set(id, (this.upserts.get(id) ?? 0) + 1)
      news.stir()
    })
    db.sync.on('PeerRefused', (refusal) => void this.refusals.push(refusal))
    db.sync.on('Problem', (problem) => void this.problems.push(problem))
    db.sync.on('PeerConnected', () => news.stir())
    this.#db = db
  }

  async close(): Promise<void> {
    const db = this.#db
    this.#db = null
    await db?.close()
    await Promise.all(this.#appends.splice(0))
    await Promise.all(this.#current.splice(0).map((transport) => transport.disconnect()))
  }

  /** Closes it and opens it again: the same file, the same identity, new connections. */
  async restart(): Promise<void> {
    await this.close()
    await this.open()
  }

  set(faults: Partial<Faults>): void {
    this.#faults = faults
    for (const transport of this.#current) transport.set(faults)
  }

  heal(): void {
    this.#faults = {}
    for (const transport of this.#current) transport.heal()
  }

  cut(): void {
    for (const transport of this.#current) transport.cut()
  }

  /** Appends one event, or several at once if there is a size for more than one. Not awaited: see `flushed`. */
  append(sizes: readonly number[]): void {
    const { db } = this
    const waiting = db.waiting()
    const seen = new Map([...db.frontier()].map(([author, length]) => [author, length - (waiting.get(author) ?? 0)]))
    const items = sizes.map((size) => ({
      subject: `${this.name}/events`,
      data: { n: this.#count++, from: this.name, text: 'x'.repeat(size) },
    }))
    const [first] = items
    const single = items.length === 1 && first !== undefined
    const appended = single ? db.append(first.subject, first.data).then((event) => [event]) : db.appendMany(items)
    const noted = appended.then((events) => {
      for (const { id, author, seq, data } of events) this.written.push({ id, author, seq, data, seen })
    })
    // It is looked at when it is flushed.
    noted.catch(() => {})
    this.#appends.push(noted)
  }

  async flushed(): Promise<void> {
    await Promise.all(this.#appends.splice(0))
  }

  /** How many events are here. */
  get size(): number {
    let size = 0
    for (const length of this.db.frontier().values()) size += length
    return size
  }
}

import { setTimeout as wait } from 'node:timers/promises'
import { randomBytes } from 'node:crypto'
import { type Database, open } from '../../src/index.ts'

/** Milliseconds between two appends of a peer. */
const APPEND_EVERY_MS = 20

/** Databases of this process that only meet through relays, append all the time, and count what they are told. */
export class Crew implements AsyncDisposable {
  readonly #databases: Database[]
  /** By peer: how often each event was announced. */
  readonly #told: Map<string, number>[]
  /** By peer and author: when the last event arrived. */
  readonly #heard: Map<string, number>[]
  readonly #acknowledged: string[] = []
  /** Milliseconds between two events of one author at one peer, at most, of those that know several relays. */
  #longestPause = 0
  /** So many of the first know several. */
  readonly #choosy: number
  #arrived: (() => void)[] = []
  readonly #stop = new AbortController()
  readonly #working: Promise<void>[] = []

  private constructor(databases: Database[], choosy: number) {
    this.#databases = databases
    this.#choosy = choosy
    this.#told = databases.map(() => new Map())
    this.#heard = databases.map(() => new Map())
    databases.forEach((database, peer) => {
      database.sync.on('NodeUpsert', ({ id }) => this.#onUpsert(peer, id))
    })
  }

  /** One peer for each list of relays, those with several first. */
  static async open(relayUrls: string[][]): Promise<Crew> {
    const databaseId = `crew ${randomBytes(8).toString('hex')}`
    const databases = await Promise.all(
      relayUrls.map((relayUrl) => open({ databaseId, path: ':memory:', transport: { mode: 'relay', relayUrl } })),
    )
    return new Crew(databases, relayUrls.findLastIndex(({ length }) => length > 1) + 1)
  }

  get size(): number {
    return this.#databases.length
  }

  /** Events that were acknowledged to their author. */
  get appended(): number {
    return this.#acknowledged.length
  }

  start(): void {
    for (const [peer, database] of this.#databases.entries()) this.#working.push(this.#work(peer, database))
  }

  /** Resolves once every peer has heard of an event of every other that was appended after the call. */
  async meet(): Promise<void> {
    const since = performance.now()
    const isMet = (): boolean =>
      this.#heard.every((heard) => {
        const recent = [...heard.values()].filter((at) => at > since)
        return recent.length === this.size - 1
      })
    while (!isMet()) await this.#nextArrival()
  }

  /** The longest pause that ended since the last call. */
  takeLongestPause(): number {
    const longest = this.#longestPause
    this.#longestPause = 0
    return Math.round(longest)
  }

  /** Stops appending, and resolves with how often each peer was told of each event once all have all. */
  async finish(): Promise<Map<string, number>[]> {
    this.#stop.abort()
    await Promise.all(this.#working)
    while (!this.#told.every((told) => told.size >= this.#acknowledged.length)) await this.#nextArrival()
    return this.#told
  }

  /** The ids of all events that were acknowledged, sorted. */
  get acknowledged(): string[] {
    return [...this.#acknowledged].sort()
  }

  get frontierRoots(): string[] {
    return this.#databases.map((database) => database.frontierRoot())
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort()
    await Promise.all(this.#working)
    await Promise.all(this.#databases.map((database) => database.close()))
  }

  #onUpsert(peer: number, id: string): void {
    const told = this.#told[peer] as Map<string, number>
    told.set(id, (told.get(id) ?? 0) + 1)
    const event = (this.#databases[peer] as Database).get(id)
    if (event === null || event.local) return
    const heard = this.#heard[peer] as Map<string, number>
    const now = performance.now()
    const before = heard.get(event.author)
    const author = this.#databases.findIndex(({ author }) => author === event.author)
    const counts = before !== undefined && peer < this.#choosy && author < this.#choosy
    if (counts) this.#longestPause = Math.max(this.#longestPause, now - before)
    heard.set(event.author, now)
    for (const resolve of this.#arrived.splice(0)) resolve()
  }

  #nextArrival(): Promise<void> {
    return new Promise((resolve) => this.#arrived.push(resolve))
  }

  async #work(peer: number, database: Database): Promise<void> {
    for (let n = 0; !this.#stop.signal.aborted; n++) {
      this.#acknowledged.push((await database.append(`peer/${peer}`, { n })).id)
      await wait(APPEND_EVERY_MS)
    }
  }
}

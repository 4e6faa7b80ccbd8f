import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import type { OpenOptions, SyncEvent } from '../../src/index.ts'
import type { Path } from '../../src/transport/transport.ts'
import type { Arrival, Command, Report, State } from './fixtures/peer.ts'

export type PeerOptions = Pick<OpenOptions, 'databaseId' | 'transport'>
type ReportOf<T extends Report['type']> = Extract<Report, { type: T }>
type SyncEventType = SyncEvent['type']

const PATH_EVENTS: ReadonlySet<SyncEventType> = new Set(['PeerConnected', 'PathChanged', 'PeerDisconnected'])

/** What a peer told, and when: milliseconds since 1970. */
export interface Told<T extends SyncEventType> {
  event: Extract<SyncEvent, { type: T }>
  at: number
}

/** A database that is open in another process and another network. */
export class Peer {
  readonly author: string
  readonly peerId: string
  /** Milliseconds since 1970. */
  readonly openedAt: number
  /** Events of others, in the order in which they came. */
  readonly arrivals: Arrival[] = []
  /** Events that it has appended, as of the last answer. */
  appended = 0
  readonly #child: ChildProcess
  readonly #told: ReportOf<'sync'>[] = []
  readonly #answers: Report[] = []
  #wake: (() => void)[] = []

  private constructor(child: ChildProcess, { author, peerId, at }: ReportOf<'open'>) {
    this.author = author
    this.peerId = peerId
    this.openedAt = at
    this.#child = child
    child.on('message', (report: Report) => this.#onReport(report))
    child.on('exit', () => this.#stir())
  }

  static async start(child: ChildProcess): Promise<Peer> {
    const [first] = (await once(child, 'message')) as [Report]
    if (first.type !== 'open') throw new Error(`the peer said ${first.type} first`)
    return new Peer(child, first)
  }

  /** Appends so many events, one after the other. */
  async append(count: number): Promise<void> {
    this.appended = (await this.#ask({ type: 'append', count }, 'appended')).count
  }

  /** Appends events until `halt`. */
  stream(everyMs: number): void {
    this.#send({ type: 'stream', everyMs })
  }

  async halt(): Promise<void> {
    this.appended = (await this.#ask({ type: 'halt' }, 'appended')).count
  }

  /** Resolves when the path to the other peer is such a one, with the time since when: milliseconds since 1970. */
  async on(path: Partial<Path>): Promise<number> {
    const fits = (): boolean => {
      const now = this.path()
      if (now === null) return false
      return (path.transport ?? now.transport) === now.transport && (path.reason ?? now.reason) === now.reason
    }
    await this.until(fits)
    return (this.#paths().at(-1) as Report & { type: 'sync' }).at
  }

  /** Resolves when an event that was appended at this time or later has come from the other. */
  async hears(since: number): Promise<void> {
    await this.until(() => (this.arrivals.at(-1)?.appendedAt ?? 0) >= since)
  }

  /** The path to the other peer, as last told; null while there is none. */
  path(): Path | null {
    const last = this.#paths().at(-1)?.event
    if (last?.type !== 'PeerConnected' && last?.type !== 'PathChanged') return null
    return { transport: last.transport as string, reason: last.reason as Path['reason'] }
  }

  async suspend(): Promise<void> {
    await this.#ask({ type: 'suspend' }, 'done')
  }

  async resume(): Promise<void> {
    await this.#ask({ type: 'resume' }, 'done')
  }

  async state(): Promise<State> {
    return (await this.#ask({ type: 'state' }, 'state')).state
  }

  /** What it has told of the type. */
  told<T extends SyncEventType>(type: T): Told<T>[] {
    return this.#told.filter(({ event }) => event.type === type) as unknown as Told<T>[]
  }

  /** Resolves when what the peer has told and received satisfies the condition; rejects when it has ended. */
  async until(condition: () => boolean): Promise<void> {
    while (!condition()) await this.#news()
  }

  /** Closes the database, and resolves with the exit code when the process has ended by itself. */
  async close(): Promise<number | null> {
    const ended = new Promise<number | null>((resolve) => this.#child.once('exit', resolve))
    this.#send({ type: 'close' })
    return ended
  }

  /** Everything it has told, for a test that has failed. */
  story(): string {
    return this.#told.map(({ event, at }) => `${at - this.openedAt} ms ${JSON.stringify(event)}`).join('\n')
  }

  #paths(): ReportOf<'sync'>[] {
    return this.#told.filter(({ event }) => PATH_EVENTS.has(event.type))
  }

  #send(command: Command): void {
    this.#child.send(command)
  }

  async #ask<T extends Report['type']>(command: Command, answer: T): Promise<ReportOf<T>> {
    this.#send(command)
    for (;;) {
      const place = this.#answers.findIndex(({ type }) => type === answer)
      if (place !== -1) return this.#answers.splice(place, 1)[0] as ReportOf<T>
      await this.#news()
    }
  }

  #onReport(report: Report): void {
    if (report.type === 'sync') this.#told.push(report)
    else if (report.type === 'arrived') this.arrivals.push(report.arrival)
    else this.#answers.push(report)
    this.#stir()
  }

  #news(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) throw new Error('the peer has ended')
    return new Promise((resolve) => this.#wake.push(resolve))
  }

  #stir(): void {
    for (const wake of this.#wake.splice(0)) wake()
  }
}

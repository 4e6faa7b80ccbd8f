/** Honest peers in processes of their own, over real transports, and attackers that say whatever a test wants. */
import type { ChildProcess } from 'node:child_process'
import { fork } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { encodeData } from '../../src/event/data.ts'
import type { DatabaseKeys } from '../../src/event/keys.ts'
import { deriveDatabaseKeys } from '../../src/event/keys.ts'
import type { Run } from '../../src/event/run.ts'
import type { SyncEvent, SyncEventOf } from '../../src/broadcast/sync-event.ts'
import type { NewEvent } from '../../src/store/own-log.ts'
import { EventStore } from '../../src/store/event-store.ts'
import type { Topic } from '../../src/topic/topic.ts'
import { deriveTopic } from '../../src/topic/topic.ts'
import type { TransportConfig } from '../../src/transport/config.ts'
import type { Command, PeerOptions, Report, State } from './fixtures/peer.ts'

export const SECRET: Buffer = Buffer.alloc(32, 7)
export type TransportChoice = Partial<TransportConfig> & Pick<TransportConfig, 'mode'>

/** Events under one signature: a log that can be sent in small pieces. */
const SEGMENT_EVENTS = 50
const FIXTURE = path.join(import.meta.dirname, 'fixtures/peer.ts')

/** An honest peer. */
export class Peer implements AsyncDisposable {
  readonly author: string
  readonly peerId: string
  readonly events: SyncEvent[]
  readonly #child: ChildProcess
  readonly #reports: Report[]
  #wake: (() => void)[] = []

  private constructor(child: ChildProcess, first: Extract<Report, { type: 'open' }>) {
    this.#child = child
    this.author = first.author
    this.peerId = first.peerId
    this.events = []
    this.#reports = []
    child.on('message', (report: Report) => {
      if (report.type === 'sync') this.events.push(report.event)
      else this.#reports.push(report)
      this.#stir()
    })
    child.on('exit', () => this.#stir())
  }

  static async start(options: PeerOptions): Promise<Peer> {
    const child = fork(FIXTURE, [JSON.stringify(options)], { execArgv: ['--import', 'ts-blank-space/register'] })
    const first = await new Promise<Report>((resolve, reject) => {
      child.once('message', resolve)
      child.once('exit', (code) => reject(new Error(`the peer ended with ${code}`)))
    })
    if (first.type !== 'open') throw new Error(`the peer said ${first.type} first`)
    return new Peer(child, first)
  }

  /** Appends so many events, one by one. */
  append(count: number, bytes = 100): Promise<unknown> {
    return this.#ask({ type: 'append', count, bytes }, 'appended')
  }

  /** Resolves when the author's log is so long there, or longer, with its length. */
  async has(author: string, length: number): Promise<number> {
    return ((await this.#ask({ type: 'await', author, length }, 'has')) as Extract<Report, { type: 'has' }>).length
  }

  async state(): Promise<State> {
    return ((await this.#ask({ type: 'state' }, 'state')) as Extract<Report, { type: 'state' }>).state
  }

  ofType<T extends SyncEvent['type']>(type: T): SyncEventOf<T>[] {
    return this.events.filter((event) => event.type === type) as SyncEventOf<T>[]
  }

  /** Resolves when what the peer has told satisfies the condition. */
  async until(condition: () => boolean): Promise<void> {
    while (!condition()) await this.#news()
  }

  async #ask(command: Command, answer: Report['type']): Promise<Report> {
    this.#child.send(command)
    for (;;) {
      const place = this.#reports.findIndex(({ type }) => type === answer)
      if (place !== -1) return this.#reports.splice(place, 1)[0] as Report
      await this.#news()
    }
  }

  #news(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) throw new Error('the peer has ended')
    return new Promise((resolve) => this.#wake.push(resolve))
  }

  #stir(): void {
    for (const wake of this.#wake.splice(0)) wake()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return
    const ended = new Promise((resolve) => this.#child.once('exit', resolve))
    if (this.#child.connected) this.#child.send({ type: 'close' })
    // An attacked peer must be able to end by itself; one that cannot makes the test wait until its timeout.
    await ended
  }
}

/** What a scenario has: a database, its keys, a long log of an honest author, and a folder that goes with it. */
export class Scene implements AsyncDisposable {
  readonly databaseId: string
  readonly keys: DatabaseKeys
  readonly topic: Topic
  readonly transport: TransportChoice
  /** The honest author's log, as any member could have it. */
  readonly log: { author: Buffer; hex: string; length: number; runs: Run[] }
  readonly #folder: string
  readonly #owned: AsyncDisposable[] = []

  private constructor(
    databaseId: string,
    keys: DatabaseKeys,
    transport: TransportChoice,
    log: Scene['log'],
    folder: string,
  ) {
    this.databaseId = databaseId
    this.keys = keys
    this.topic = deriveTopic(databaseId, keys.topic as Buffer)
    this.transport = transport
    this.log = log
    this.#folder = folder
  }

  static async create(databaseId: string, transport: TransportChoice, events: number): Promise<Scene> {
    const keys = await deriveDatabaseKeys(databaseId, SECRET)
    const folder = mkdtempSync(path.join(tmpdir(), 'peerlog-hostile-'))
    const store = EventStore.open({ path: path.join(folder, 'honest.db'), databaseId, keys })
    for (let n = 0; n < events; n += SEGMENT_EVENTS) {
      await store.append(Array.from({ length: Math.min(SEGMENT_EVENTS, events - n) }, (_, i) => newEvent(n + i)))
    }
    const runs: Run[] = []
    for (let seq = 0; seq < events;) {
      const run = store.readRun(store.author, seq, 1, false) as Run
      runs.push({ ...run, author: Buffer.from(run.author), events: run.events.map((event) => Buffer.from(event)) })
      seq += run.events.length
    }
    const hex = store.author
    store.close()
    return new Scene(
      databaseId,
      keys,
      transport,
      { author: Buffer.from(hex, 'hex'), hex, length: events, runs },
      folder,
    )
  }

  /** The peer under attack, with an empty database. */
  victim(limits: Pick<PeerOptions, 'maxLogs'> = {}): Promise<Peer> {
    return this.#peer('victim', limits)
  }

  /** The peer that holds the long log. */
  honest(): Promise<Peer> {
    return this.#peer('honest', {})
  }

  async #peer(name: string, limits: Pick<PeerOptions, 'maxLogs'>): Promise<Peer> {
    const { databaseId, transport } = this
    const file = path.join(this.#folder, `${name}.db`)
    const peer = await Peer.start({ path: file, databaseId, secret: SECRET.toString('hex'), transport, ...limits })
    this.#owned.push(peer)
    return peer
  }

  own<T extends AsyncDisposable>(thing: T): T {
    this.#owned.push(thing)
    return thing
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#owned.splice(0).map((thing) => thing[Symbol.asyncDispose]()))
    rmSync(this.#folder, { recursive: true, force: true })
  }
}

export function newEvent(n: number): NewEvent {
  const data = { n, text: 'x'.repeat(180) }
  return { subject: 'log', type: '', data, encoded: encodeData(data) }
}

import { asBuffer } from '../base/bytes.ts'
import {
  FRAME_TARGET_BYTES,
  MANY_WANTED_LOGS,
  NEWCOMER_GRACE_MS,
  SESSION_GRACE_MS,
  SESSION_IDLE_MS,
  WORK_SLICE_MS,
} from '../base/limits.ts'
import type { Run } from '../event/run.ts'
import { Alarm } from '../transport/alarm.ts'
import type { Connection, Path } from '../transport/transport.ts'
import type { EndReason, Violation } from './end-reason.ts'
import { decodeMessage } from './messages.ts'
import type { Output } from './output.ts'
import type { Session } from './session.ts'

export interface SessionEnd {
  reason: EndReason | 'connection-lost'
  detail: string
  byPeer: boolean
}

/** What the outputs of a session that concern more than its connection are done with. */
export interface LinkHandlers {
  now(): number
  /** Does beforehand, a step at a time, the part of `ingest` that changes nothing. */
  opening(runs: readonly Run[]): Iterable<void>
  ingest(link: PeerLink, output: Extract<Output, { type: 'ingest' | 'ingest-proof' }>): void
  notice(link: PeerLink, output: Notice): void
  /** A session has got on as far as it could. */
  pumped(): void
  /** The peer has announced a great many logs. */
  onManyWanted(): void
  /** Resolves when a link that has worked for a while may go on. */
  turn(bringsNews: boolean): Promise<void>
}

/** What a session has found out. */
export type Notice = Extract<Output, { type: 'admitted' | 'progress' | 'in-sync' | 'unavailable' | 'mark' }>

/** Runs one session over one connection: reads, writes, keeps its timer. */
export class PeerLink {
  readonly connection: Connection
  readonly session: Session
  readonly transport: string
  readonly #handlers: LinkHandlers
  /** When the link came about, and when its peer last brought something that was stored. */
  readonly #since: number
  #newsAt: number | null = null
  /** Whether the last share of time that was used up has brought news. */
  #bringsNews = false
  #sliceSince = 0
  #sending = false
  #pumping = false
  readonly #alarm: Alarm
  #end: SessionEnd | null = null

  constructor(connection: Connection, session: Session, transport: string, handlers: LinkHandlers) {
    this.connection = connection
    this.session = session
    this.transport = transport
    this.#handlers = handlers
    this.#since = handlers.now()
    this.#alarm = new Alarm(
      () => handlers.now(),
      () => {
        session.wake(handlers.now())
        this.pump()
      },
    )
  }

  get peerId(): string {
    return this.connection.peerId
  }

  /** The way that its messages go. */
  get path(): Path {
    const { transport } = this
    return this.connection.path ?? { transport, reason: transport === 'relay' ? 'relay-only' : 'direct' }
  }

  /** Runs until the session or the connection ends, and says why it did. It throws only for a bug of ours. */
  async run(): Promise<SessionEnd> {
    this.session.start(this.#handlers.now())
    this.pump()
    this.#sliceSince = this.#handlers.now()
    try {
      for (;;) {
        const bytes = await this.connection.receive()
        if (bytes === null || this.#end !== null) break
        const message = decodeMessage(asBuffer(bytes))
        if (message?.type === 'frame' && bytes.length >= FRAME_TARGET_BYTES) await this.#open(message.runs)
        // Read and handled even while nothing can be sent: or two peers could wait for each other for ever.
        this.session.receive(asBuffer(bytes), this.#handlers.now(), message)
        this.pump()
        if (this.session.wantedLogs > MANY_WANTED_LOGS) this.#handlers.onManyWanted()
        if (!this.#hasWorked(WORK_SLICE_MS)) continue
        this.#bringsNews = this.#newsAt !== null && this.#newsAt >= this.#sliceSince
        await this.#turn()
      }
    } finally {
      this.#alarm.set(Infinity)
      this.session.lost()
      await this.connection.close(this.#end?.reason)
    }
    return this.#end ?? { reason: 'connection-lost', detail: '', byPeer: true }
  }

  /** Does part of the work on a large frame, a slice at a time; the rest, of which nothing can be put off, then has its own. */
  async #open(runs: readonly Run[]): Promise<void> {
    if (!this.session.admitted) return
    for (const _ of this.#handlers.opening(runs)) if (this.#hasWorked(WORK_SLICE_MS)) await this.#turn()
    if (this.#hasWorked(0)) await this.#turn()
  }

  #hasWorked(ms: number): boolean {
    const worked = this.#handlers.now() - this.#sliceSince
    return worked > ms || worked < 0
  }

  async #turn(): Promise<void> {
    await this.#handlers.turn(this.#bringsNews)
    this.#sliceSince = this.#handlers.now()
  }

  /** Something was stored that came from the peer. */
  broughtNews(): void {
    this.#newsAt = this.#handlers.now()
  }

  get hasBroughtNews(): boolean {
    return this.#newsAt !== null
  }

  /** Milliseconds since 1970 from when on the link may give way to another, if there is no room for both. */
  get dispensableAt(): number {
    if (!this.session.admitted) return this.#since + NEWCOMER_GRACE_MS
    return this.#newsAt === null ? this.#since + SESSION_GRACE_MS : this.#newsAt + SESSION_IDLE_MS
  }

  /** Ends the session from our side; without a violation, the peer has done nothing wrong. */
  close(violation?: Violation): void {
    this.session.close(violation)
    this.pump()
  }

  /** Does what the session wants done, as far as the connection takes it. Safe to call at any time. */
  pump(): void {
    if (this.#pumping) return
    this.#pumping = true
    try {
      while (this.#end === null) {
        const output = this.session.poll(this.#handlers.now(), !this.#sending)
        if (output === null) break
        this.#perform(output)
      }
    } finally {
      this.#pumping = false
    }
    this.#alarm.set(this.#end === null ? this.session.wakeAt : Infinity)
    this.#handlers.pumped()
  }

  #perform(output: Output): void {
    switch (output.type) {
      case 'send':
        this.#sending = true
        void this.#send(output.bytes)
        return
      case 'ingest':
      case 'ingest-proof':
        return this.#handlers.ingest(this, output)
      case 'end':
        this.#end = output
        if (output.farewell !== null) this.connection.send(output.farewell).catch(() => {})
        void this.connection.close(output.reason)
        return
      default:
        return this.#handlers.notice(this, output)
    }
  }

  async #send(bytes: Buffer): Promise<void> {
    try {
      await this.connection.send(bytes)
    } catch {
      // If the connection is not closing anyway, it is of no more use; the reading side learns it and ends the link.
      void this.connection.close('cannot send')
      return
    }
    this.#sending = false
    this.pump()
  }
}

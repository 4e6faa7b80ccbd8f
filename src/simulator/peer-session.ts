import type { EndReason } from '../broadcast/end-reason.ts'
import type { Output } from '../broadcast/output.ts'
import type { Session } from '../broadcast/session.ts'
import type { DeviceClock } from './device-clock.ts'
import type { Time, Timer } from './scheduler.ts'
import type { StreamEnd } from './stream.ts'

type Ingest = Extract<Output, { type: 'ingest' | 'ingest-proof' }>

/** What the outputs of a session that concern more than its stream are done with. */
export interface SessionHandlers {
  ingest(link: PeerSession, output: Ingest): void
  /** What is sent in the place of a message: a liar's is another. */
  sent(link: PeerSession, message: Buffer): Buffer
  received(link: PeerSession, message: Buffer): void
  admitted(link: PeerSession): void
  mark(link: PeerSession, output: Extract<Output, { type: 'mark' }>): void
  /** `reason` is null if the stream was lost. */
  ended(link: PeerSession, end: { reason: EndReason; detail: string; byPeer: boolean } | null): void
}

/** Runs one session over one stream, as `PeerLink` does over a connection. */
export class PeerSession {
  readonly peer: number
  readonly session: Session
  readonly #stream: StreamEnd
  readonly #time: Time
  readonly #clock: DeviceClock
  readonly #handlers: SessionHandlers
  #pumping = false
  #isOver = false
  #timer: Timer | null = null
  #timerAt = Infinity

  constructor(stream: StreamEnd, session: Session, time: Time, clock: DeviceClock, handlers: SessionHandlers) {
    this.peer = stream.peer
    this.session = session
    this.#stream = stream
    this.#time = time
    this.#clock = clock
    this.#handlers = handlers
  }

  get initiator(): boolean {
    return this.#stream.initiator
  }

  start(): void {
    this.#stream.handlers = {
      opened: () => {},
      message: (bytes) => {
        this.#handlers.received(this, bytes)
        this.session.receive(bytes, this.#clock.now())
        this.pump()
      },
      writable: () => this.pump(),
      closed: () => this.#over(null),
    }
    this.session.start(this.#clock.now())
    this.pump()
  }

  /** Ends the session from our side, for no fault of the peer's. */
  close(): void {
    this.session.close()
    this.pump()
  }

  pump(): void {
    if (this.#pumping || this.#isOver) return
    this.#pumping = true
    for (;;) {
      const output = this.session.poll(this.#clock.now(), this.#stream.isWritable)
      if (output === null) break
      this.#perform(output)
      if (this.#isOver) return
    }
    this.#pumping = false
    this.#arm()
  }

  #perform(output: Output): void {
    switch (output.type) {
      case 'send':
        return this.#stream.send(this.#handlers.sent(this, output.bytes))
      case 'ingest':
      case 'ingest-proof':
        return this.#handlers.ingest(this, output)
      case 'mark':
        return this.#handlers.mark(this, output)
      case 'admitted':
        return this.#handlers.admitted(this)
      case 'end':
        if (output.farewell !== null) this.#stream.send(this.#handlers.sent(this, output.farewell))
        this.#stream.close()
        return this.#over(output)
      default:
    }
  }

  #over(end: Extract<Output, { type: 'end' }> | null): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#timer?.cancel()
    this.session.lost()
    this.#handlers.ended(this, end)
  }

  #arm(): void {
    const at = this.session.wakeAt
    if (at === this.#timerAt || (at > this.#timerAt && this.#timer !== null && at !== Infinity)) return
    this.#timer?.cancel()
    this.#timer = null
    this.#timerAt = at
    if (at === Infinity) return
    this.#timer = this.#time.in(this.#clock.trueMs(at - this.#clock.now()), () => {
      this.#timer = null
      this.#timerAt = Infinity
      this.session.wake(this.#clock.now())
      this.pump()
    })
  }
}

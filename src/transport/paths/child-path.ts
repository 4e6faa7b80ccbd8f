import { WORK_SLICE_MS } from '../../base/limits.ts'
import type { Connection } from '../transport.ts'
import { decodeFrame, encodeEnd, encodeHello, END } from './frames.ts'
import type { Frame } from './frames.ts'
import { PATH_QUEUE_BYTES } from './limits.ts'

/** One of the transports that are combined. */
export interface Child {
  /** Name of the transport. */
  name: string
  /** The lower, the better; below 0 if it goes straight to the peers. */
  rank: number
}

export interface PathOwner<C extends Child> {
  /** Returns what the peer did wrong, or null. */
  onFrame(path: ChildPath<C>, frame: Frame): string | null
  /** The peer broke the rules; the path is ending. */
  onViolation(path: ChildPath<C>): void
  onWritable(path: ChildPath<C>): void
  /** The last that is heard. `lost`: neither side wanted it. */
  onEnd(path: ChildPath<C>, lost: boolean): void
}

/** A connection of one of the transports, as a path: reads and writes frames. */
export class ChildPath<C extends Child> {
  readonly id: number
  readonly child: C
  readonly connection: Connection
  /** Resolves when nothing is read from it any more. */
  readonly gone: Promise<void>
  #resolveGone: () => void = () => {}
  readonly #owner: PathOwner<C>
  #queued = 0
  #ended: Promise<void> | null = null
  #isLost = true

  constructor(id: number, child: C, connection: Connection, owner: PathOwner<C>) {
    this.id = id
    this.child = child
    this.connection = connection
    this.#owner = owner
    this.gone = new Promise((resolve) => (this.#resolveGone = resolve))
  }

  /** Says HELLO, and reads until the connection ends. */
  async run(incarnation: Uint8Array): Promise<void> {
    this.send(encodeHello(incarnation))
    let slice = performance.now()
    for (;;) {
      const bytes = await this.connection.receive()
      if (bytes === null || this.#ended !== null) break
      this.#onFrame(decodeFrame(bytes))
      if (performance.now() - slice < WORK_SLICE_MS) continue
      await new Promise(setImmediate)
      slice = performance.now()
    }
    const isLost = this.#isLost
    this.#resolveGone()
    const ended = this.end('')
    this.#owner.onEnd(this, isLost)
    await ended
  }

  get writable(): boolean {
    return this.#queued < PATH_QUEUE_BYTES && this.#ended === null
  }

  send(bytes: Buffer): void {
    if (this.#ended !== null) return
    this.#queued += bytes.length
    this.connection.send(bytes).then(
      () => this.#onSent(bytes.length),
      // The reading side learns it and ends the path.
      () => void this.connection.close(),
    )
  }

  /** Idempotent; resolves when the connection is closed. */
  end(reason: string): Promise<void> {
    if (this.#ended !== null) return this.#ended
    if (reason !== '') this.send(encodeEnd(reason))
    this.#isLost = false
    this.#ended = this.connection.close(reason)
    return this.#ended
  }

  #onFrame(frame: Frame | string): void {
    if (typeof frame !== 'string' && frame.type === END) {
      void this.end('')
      return
    }
    const violation = typeof frame === 'string' ? frame : this.#owner.onFrame(this, frame)
    if (violation === null) return
    this.#owner.onViolation(this)
    void this.end(violation)
  }

  #onSent(bytes: number): void {
    const wasFull = this.#queued >= PATH_QUEUE_BYTES
    this.#queued -= bytes
    if (wasFull && this.writable) this.#owner.onWritable(this)
  }
}

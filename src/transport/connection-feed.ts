import { AsyncQueue } from '../base/async-queue.ts'
import { PeerlogError } from '../base/errors.ts'
import type { Topic } from '../topic/topic.ts'
import type { Connection } from './transport.ts'

const TOPIC_BYTES = 32

/** @throws {TypeError} for anything but 32 bytes: a caller's mistake that would otherwise just find nobody. */
export function assertTopic(topic: Topic): void {
  if (!(topic instanceof Uint8Array) || topic.length !== TOPIC_BYTES) {
    throw new TypeError('A topic is a Uint8Array of 32 bytes. Make one with deriveTopic(databaseId)')
  }
}

/** @throws {PeerlogError} `INVALID_ARGUMENT` while another iteration over the topic goes on. */
export function assertNoIteration(feed: ConnectionFeed | null | undefined): void {
  if (feed?.ended !== false) return
  throw new PeerlogError('INVALID_ARGUMENT', 'This topic is being connected to already', {
    hint: 'End the other iteration first; there is one per topic at a time',
  })
}

/**
 * One iteration over a topic's connections, from `connect()` to its end by `break`, abort or disconnect. What it has
 * not delivered when it ends is dropped; `stop` closes it along with the rest.
 */
export class ConnectionFeed implements AsyncIterableIterator<Connection, undefined> {
  readonly #queue = new AsyncQueue<Connection>()
  readonly #stop: () => Promise<void>
  readonly #signal: AbortSignal | undefined
  #ended: Promise<void> | null = null

  /** `stop` leaves the topic and closes its connections. Called once, at once; not if the signal had aborted already. */
  constructor(signal: AbortSignal | undefined, stop: () => Promise<void>) {
    this.#stop = stop
    this.#signal = signal
    if (signal?.aborted === true) {
      this.#queue.end()
      this.#ended = Promise.resolve()
    } else {
      signal?.addEventListener('abort', this.#onAbort)
    }
  }

  get ended(): boolean {
    return this.#queue.ended
  }

  push(connection: Connection): void {
    this.#queue.push(connection)
  }

  end(): Promise<void> {
    if (this.#ended !== null) return this.#ended
    this.#queue.end({ discard: true })
    this.#signal?.removeEventListener('abort', this.#onAbort)
    let settle: (stopped: Promise<void>) => void = () => {}
    this.#ended = new Promise((resolve) => (settle = resolve))
    settle(this.#stop())
    return this.#ended
  }

  async next(): Promise<IteratorResult<Connection, undefined>> {
    const connection = await this.#queue.take()
    return connection === null ? { done: true, value: undefined } : { done: false, value: connection }
  }

  async return(): Promise<IteratorResult<Connection, undefined>> {
    await this.end()
    return { done: true, value: undefined }
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  readonly #onAbort = (): void => {
    void this.end()
  }
}

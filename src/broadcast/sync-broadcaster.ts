import { EventEmitter } from 'eventemitter3'
import { SUBSCRIBER_BUFFER_EVENTS } from '../base/limits.ts'
import { PeerlogError } from '../base/errors.ts'
import type { Missed, SyncEvent, SyncEventOf, SyncEventType } from './sync-event.ts'
import { Subscription } from './subscription.ts'
import type { PeerStatus, ReplicationOptions } from './replication-options.ts'
import { Replication } from './replication.ts'

type Listener<T extends SyncEventType> = (event: SyncEventOf<T>) => void

export interface SubscribeOptions {
  /** Events that may wait for a slow reader before it misses some; default 1024. */
  capacity?: number
}

/**
 * Replicates a database over any transports, and tells whoever listens what happens: by callback (`on`) or as an async
 * iterator (`subscribe`). Without `replicate` it is a plain hub for `SyncEvent`s.
 */
export class SyncBroadcaster implements AsyncDisposable {
  readonly #emitter = new EventEmitter<Record<SyncEventType, [SyncEvent]>>()
  readonly #subscriptions = new Set<Subscription<SyncEvent>>()
  #replication: Replication | null = null
  #closed = false

  /** Calls the listener for every event of the type, synchronously: a slow listener slows replication down. */
  on<T extends SyncEventType>(type: T, listener: Listener<T>): this {
    this.#emitter.on(type, listener as (event: SyncEvent) => void)
    return this
  }

  once<T extends SyncEventType>(type: T, listener: Listener<T>): this {
    this.#emitter.once(type, listener as (event: SyncEvent) => void)
    return this
  }

  off<T extends SyncEventType>(type: T, listener: Listener<T>): this {
    this.#emitter.off(type, listener as (event: SyncEvent) => void)
    return this
  }

  /**
   * All events from now on, pull style. Each subscriber has a buffer of its own; one that falls behind is told how many
   * events it `Missed`. Ends when the loop is left or the broadcaster closes.
   */
  subscribe(options: SubscribeOptions = {}): AsyncIterableIterator<SyncEvent | Missed> & AsyncDisposable {
    const capacity = options.capacity ?? SUBSCRIBER_BUFFER_EVENTS
    if (!Number.isSafeInteger(capacity) || capacity < 1) {
      throw new PeerlogError('INVALID_ARGUMENT', `capacity is ${String(capacity)}`, {
        hint: 'Give a whole number of events, 1 or more',
      })
    }
    const subscription = new Subscription<SyncEvent>(capacity, (ended) => this.#subscriptions.delete(ended))
    if (this.#closed) subscription.end()
    else this.#subscriptions.add(subscription)
    return subscription
  }

  /**
   * Tells an event to every listener and subscriber; with none it does nothing. What a listener throws is thrown again
   * on a stack of its own, as an uncaught exception: it is no error of replication.
   */
  publish(event: SyncEvent): void {
    try {
      this.#emitter.emit(event.type, event)
    } catch (error) {
      queueMicrotask(() => {
        throw error
      })
    }
    for (const subscription of this.#subscriptions) subscription.push(event)
  }

  /** True if somebody would hear of events of the type. */
  hears(type: SyncEventType): boolean {
    return this.#subscriptions.size > 0 || this.#emitter.listenerCount(type) > 0
  }

  /** Starts to replicate; once. Transports are used, not owned: the caller disconnects them. */
  replicate(options: ReplicationOptions): void {
    if (this.#closed) throw new PeerlogError('CLOSED', 'the broadcaster is closed')
    if (this.#replication !== null) throw new PeerlogError('INVALID_ARGUMENT', 'the broadcaster replicates already')
    this.#replication = new Replication(options, this)
    this.#replication.start()
  }

  /**
   * For a store whose own log may lag behind what peers hold of it. Returns what its appends have to ask.
   *
   * @internal
   */
  guardOwnLog(author: string, confirmed: () => void): () => Promise<void> | null {
    if (this.#replication === null) throw new PeerlogError('INVALID_ARGUMENT', 'the broadcaster does not replicate')
    const guard = this.#replication.guardOwnLog(author, confirmed)
    return () => guard.enter()
  }

  /** The peers we have a session with. */
  peers(): PeerStatus[] {
    return this.#replication?.peers() ?? []
  }

  /** Says goodbye to every peer, and meets nobody until `resume`. Idempotent. */
  async suspend(): Promise<void> {
    await this.#replication?.suspend()
  }

  /** Meets peers again. Idempotent. */
  async resume(): Promise<void> {
    await this.#replication?.resume()
  }

  /** Says goodbye to every peer and ends all subscriptions. Idempotent. */
  async close(): Promise<void> {
    this.#closed = true
    await this.#replication?.close()
    for (const subscription of this.#subscriptions) subscription.end()
    this.#emitter.removeAllListeners()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }
}

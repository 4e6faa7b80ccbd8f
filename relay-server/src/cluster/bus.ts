import { createHash, randomBytes } from 'node:crypto'
import { type NatsConnection, connect } from '@nats-io/transport-node'
import {
  HEADER_BYTES,
  ID_BYTES,
  MAX_FRAMES,
  MAX_MESSAGE_BYTES,
  type BusFrame,
  type PassFrame,
  encodeBusFrame,
  encodeHeader,
} from './bus-frames.ts'
import {
  BUS_HIGH_WATER_BYTES,
  BUS_LOW_WATER_BYTES,
  CONFIRM_STEP_BYTES,
  CONNECT_TIMEOUT_MS,
  MAX_NATS_PINGS_OUT,
  NATS_PING_MS,
  RECONNECT_MAX_MS,
  RECONNECT_MIN_MS,
} from './limits.ts'
import { type NatsServers, natsOptions } from './servers.ts'

export interface BusEvents {
  /** NATS can be used, under a new id. */
  onUp(): void
  /** NATS is lost, and every subscription with it. Also told when an attempt to reach it has failed. */
  onDown(reason: string): void
  /** It is no longer congested. */
  onRelief(): void
}

/** Frames for one subject that wait for the end of this turn of the event loop. */
interface Batch {
  parts: Buffer[]
  frames: number
  bytes: number
}

/** What one connection to NATS is known by; never the same again. */
interface Identity {
  secret: Buffer
  id: Buffer
  header: Buffer
}

/** A connection to NATS that is opened again for ever when it is lost, and what waits to leave through it. */
export class Bus {
  readonly #servers: NatsServers
  readonly #events: BusEvents
  #connection: NatsConnection | undefined
  #identity: Identity = newIdentity()
  #attempt: Promise<void> | undefined
  #retry: NodeJS.Timeout | undefined
  #failures = 0
  #closed = false
  readonly #batches = new Map<string, Batch>()
  #flushing: NodeJS.Immediate | undefined
  /** What asks the server, at the end of this turn, whether it has had everything. */
  #settling: Promise<void> | undefined
  /** Bytes handed over but not confirmed, those in batches included. */
  #waiting = 0
  #unasked = 0
  #confirming = false
  #wasCongested = false
  framesOut = 0
  bytesOut = 0

  constructor(servers: NatsServers, events: BusEvents) {
    this.#servers = servers
    this.#events = events
  }

  get up(): boolean {
    return this.#connection !== undefined
  }

  get id(): Buffer {
    return this.#identity.id
  }

  /** What proves that the id is ours. */
  get secret(): Buffer {
    return this.#identity.secret
  }

  get waitingBytes(): number {
    return this.#waiting
  }

  /** More would only pile up. */
  get congested(): boolean {
    return this.#waiting > BUS_HIGH_WATER_BYTES
  }

  /** Begins to connect. Resolves after one attempt, whatever came of it. */
  start(): Promise<void> {
    this.#attempt = this.#connect()
    return this.#attempt
  }

  /** Sends it with what else is sent to the subject in this turn. Does nothing while NATS is lost. */
  send(subject: string, frame: Exclude<BusFrame, PassFrame>): void {
    this.sendParts(subject, [encodeBusFrame(frame)])
  }

  /** The same with the bytes of one frame. */
  sendParts(subject: string, parts: Buffer[]): void {
    if (this.#connection === undefined) return
    const bytes = parts.reduce((sum, part) => sum + part.length, 0)
    let batch = this.#batches.get(subject)
    if (batch !== undefined && (batch.bytes + bytes > MAX_MESSAGE_BYTES || batch.frames === MAX_FRAMES)) {
      this.#publish(subject, batch)
      batch = undefined
    }
    if (batch === undefined) {
      batch = { parts: [this.#identity.header], frames: 0, bytes: HEADER_BYTES }
      this.#batches.set(subject, batch)
    }
    batch.parts.push(...parts)
    batch.frames++
    batch.bytes += bytes
    this.#waiting += bytes
    this.#wasCongested ||= this.congested
    this.#flushing ??= setImmediate(() => this.#flush())
  }

  /** Calls back for each message until the subscription is ended, or NATS lost. */
  subscribe(subject: string, onMessage: (bytes: Uint8Array) => void): () => void {
    const subscription = this.#connection?.subscribe(subject, {
      callback: (error, message) => {
        if (error === null) onMessage(message.data)
      },
    })
    return () => {
      if (subscription?.isClosed() === false) subscription.unsubscribe()
    }
  }

  /**
   * Resolves once the server has had every subscription made so far, so that what is published from then on reaches us,
   * or once NATS is lost. One question serves all who ask in one turn of the event loop.
   */
  settled(): Promise<void> {
    const connection = this.#connection
    if (connection === undefined) return Promise.resolve()
    this.#settling ??= new Promise<void>((resolve) => setImmediate(resolve)).then(async () => {
      this.#settling = undefined
      if (connection.isClosed()) return
      await Promise.race([connection.flush().catch(() => undefined), connection.closed()])
    })
    return this.#settling
  }

  /** Gives the connection up, to begin again. */
  drop(): void {
    void this.#connection?.close()
  }

  /** Hands over what was sent, then releases everything. */
  async close(): Promise<void> {
    this.#closed = true
    clearTimeout(this.#retry)
    this.#flush()
    const connection = this.#connection
    if (connection !== undefined) {
      let late: NodeJS.Timeout | undefined
      const deadline = new Promise((resolve) => (late = setTimeout(resolve, CONNECT_TIMEOUT_MS)))
      await Promise.race([connection.flush().catch(() => undefined), deadline])
      clearTimeout(late)
      await connection.close()
    }
    await this.#attempt
  }

  async #connect(): Promise<void> {
    try {
      const connection = await connect({
        ...natsOptions(this.#servers),
        name: 'peerlog-relay',
        // Whoever was away is somebody new: the others have forgotten it.
        reconnect: false,
        timeout: CONNECT_TIMEOUT_MS,
        pingInterval: NATS_PING_MS,
        maxPingOut: MAX_NATS_PINGS_OUT,
      })
      const most = connection.info?.max_payload ?? 0
      if (this.#closed || most < MAX_MESSAGE_BYTES) await connection.close()
      if (this.#closed) return
      if (most < MAX_MESSAGE_BYTES) {
        throw new Error(`its max_payload is ${most}. Raise it to at least ${MAX_MESSAGE_BYTES}`)
      }
      this.#begin(connection)
    } catch (error) {
      this.#connectLater((error as Error).message)
    }
  }

  #begin(connection: NatsConnection): void {
    this.#connection = connection
    this.#identity = newIdentity()
    this.#failures = 0
    void connection.closed().then((error) => {
      this.#connection = undefined
      clearImmediate(this.#flushing)
      this.#flushing = undefined
      this.#batches.clear()
      this.#waiting = 0
      this.#unasked = 0
      this.#confirming = false
      this.#relieve()
      this.#connectLater(error?.message ?? 'the connection was lost')
    })
    this.#events.onUp()
  }

  #connectLater(reason: string): void {
    if (this.#closed) return
    this.#events.onDown(reason)
    const ceiling = Math.min(RECONNECT_MAX_MS, RECONNECT_MIN_MS * 2 ** this.#failures)
    this.#failures = Math.min(this.#failures + 1, 16)
    this.#retry = setTimeout(() => void this.start(), ceiling * (0.5 + Math.random() / 2))
  }

  #flush(): void {
    clearImmediate(this.#flushing)
    this.#flushing = undefined
    for (const [subject, batch] of this.#batches) this.#publish(subject, batch)
  }

  #publish(subject: string, batch: Batch): void {
    this.#batches.delete(subject)
    if (this.#connection?.isClosed() !== false) return
    this.#connection.publish(subject, Buffer.concat(batch.parts, batch.bytes))
    this.framesOut += batch.frames
    this.bytesOut += batch.bytes
    this.#unasked += batch.bytes - HEADER_BYTES
    if (this.#unasked >= CONFIRM_STEP_BYTES) this.#confirm()
  }

  /** The server answers in order: then it has had what was published before. */
  #confirm(): void {
    if (this.#confirming || this.#connection === undefined) return
    this.#confirming = true
    const asked = this.#unasked
    this.#unasked = 0
    const connection = this.#connection
    connection.flush().then(
      () => {
        if (this.#connection !== connection) return
        this.#confirming = false
        this.#waiting -= asked
        this.#relieve()
        if (this.#unasked >= CONFIRM_STEP_BYTES) this.#confirm()
      },
      // The connection is lost, and everything about it is reset then.
      () => undefined,
    )
  }

  #relieve(): void {
    if (!this.#wasCongested || this.#waiting > BUS_LOW_WATER_BYTES) return
    this.#wasCongested = false
    this.#events.onRelief()
  }
}

/** The id that belongs to a secret. */
export function idOf(secret: Uint8Array): Buffer {
  return createHash('sha256').update(secret).digest().subarray(0, ID_BYTES)
}

function newIdentity(): Identity {
  const secret = randomBytes(ID_BYTES)
  const id = idOf(secret)
  return { secret, id, header: encodeHeader(id) }
}

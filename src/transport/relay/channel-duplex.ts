import { Duplex } from 'node:stream'
import {
  DATA_HEADER_BYTES,
  DATA_OVERHEAD_BYTES,
  MAX_PAYLOAD_BYTES,
  WINDOW_BYTES,
  allocDataFrame,
  dataCost,
  encodeFrame,
} from 'peerlog-relay/frames'
import {
  CHANNEL_BUFFER_BYTES,
  CREDIT_STEP_BYTES,
  MIN_MESSAGE_PROGRESS_BYTES,
  MIN_PIECE_BYTES,
  PEER_SILENCE_MS,
} from './limits.ts'
import { MessageLengths } from './message-lengths.ts'

/** As much of the relay socket as a channel needs. */
export interface ChannelLink {
  send(frame: Buffer): void
  /** More would only pile up in the socket. */
  readonly congested: boolean
  /** Calls back once when the socket is no longer congested, or lost. */
  onceWritable(callback: () => void): void
}

type Done = (error?: Error | null) => void

/** The bytes of one channel: DATA frames within the credit of both sides. What goes through it is a secret stream. */
export class ChannelDuplex extends Duplex {
  readonly #link: ChannelLink
  readonly #channel: number
  readonly #lengths = new MessageLengths()
  /** Whether the other side, or the relay, has ended the channel. */
  #over = false
  #closeSent = false
  #endedByPeer = false

  /** Cost of the DATA that we may still send. */
  #credit = WINDOW_BYTES
  #queue: Uint8Array[] = []
  /** Bytes of the first chunk that were already sent. */
  #offset = 0
  #queued = 0
  #written: Done | undefined
  #waitingForLink = false

  /** Cost of the DATA that has arrived and was not returned as CREDIT. */
  #owed = 0
  /** Bytes that wait for the application. */
  #held = 0
  #granting: NodeJS.Immediate | undefined
  #arrived = 0
  #progress: NodeJS.Timeout | undefined
  #stalled = false
  /** Told when the other side has too little credit to show that it is alive, and when it has enough again. */
  onStalled: ((stalled: boolean) => void) | undefined

  constructor(link: ChannelLink, channel: number) {
    super({ writableHighWaterMark: CHANNEL_BUFFER_BYTES, emitClose: true })
    this.#link = link
    this.#channel = channel
    // Whoever uses the stream hears about it too; this one is for the moments when nobody does.
    this.on('error', () => undefined)
  }

  /** A DATA frame arrived. */
  receive(payload: Buffer): void {
    if (this.destroyed || this.#over) return
    this.#owed += dataCost(payload.length)
    if (this.#owed > WINDOW_BYTES + dataCost(MAX_PAYLOAD_BYTES)) {
      this.destroy(new Error('the peer or the relay sent beyond the window'))
    } else if (!this.#lengths.accept(payload)) {
      this.destroy(new Error('the peer or the relay announced a message that is too large'))
    } else {
      this.push(payload)
      this.#grantLater()
      this.#arrived += payload.length
      if (!this.#lengths.atBoundary) this.#watchProgress()
    }
  }

  /** Ends the channel if the message that is arriving does not get on. */
  #watchProgress(): void {
    if (this.#progress !== undefined) return
    const { completed } = this.#lengths
    const before = this.#arrived
    this.#progress = setTimeout(() => {
      this.#progress = undefined
      if (this.#lengths.atBoundary) return
      if (this.#lengths.completed > completed || this.#arrived - before >= MIN_MESSAGE_PROGRESS_BYTES) {
        this.#watchProgress()
      } else if (!this.#stalled) {
        this.destroy(new Error('a message of the peer does not get on'))
      }
    }, PEER_SILENCE_MS)
  }

  /** A CREDIT frame arrived. */
  addCredit(bytes: number): void {
    this.#credit += bytes
    if (this.#credit > WINDOW_BYTES) this.destroy(new Error('the peer or the relay credited more than was sent'))
    else this.#pump()
  }

  /** A CLOSE frame arrived, or the socket is lost: what has arrived can still be read. */
  endRemotely(): void {
    if (this.#over) return
    this.#over = true
    this.#endedByPeer = !this.#closeSent
    if (!this.destroyed) this.push(null)
    this.#pump()
  }

  /** Whether the other side ended the channel before we did. */
  get endedByPeer(): boolean {
    return this.#endedByPeer
  }

  /** Bytes of complete messages that the application has not taken: so much of the window is not given back. */
  hold(bytes: number): void {
    const falling = bytes < this.#held
    this.#held = bytes
    if (falling) this.#grantLater()
  }

  override _read(): void {
    // Frames are pushed as they come; the window bounds them.
  }

  override _write(chunk: Uint8Array, _encoding: BufferEncoding, done: Done): void {
    this.#enqueue([chunk], done)
  }

  override _writev(chunks: { chunk: Uint8Array }[], done: Done): void {
    this.#enqueue(
      chunks.map(({ chunk }) => chunk),
      done,
    )
  }

  override _final(done: Done): void {
    this.#sendClose()
    done()
  }

  override _destroy(error: Error | null, done: Done): void {
    clearImmediate(this.#granting)
    clearTimeout(this.#progress)
    this.#sendClose()
    this.#over = true
    done(error)
  }

  #enqueue(chunks: Uint8Array[], done: Done): void {
    this.#queue = chunks
    this.#offset = 0
    this.#queued = chunks.reduce((sum, chunk) => sum + chunk.length, 0)
    this.#written = done
    this.#pump()
  }

  /** Sends as much of the queue as the window and the socket take. */
  #pump(): void {
    while (this.#queued > 0 && !this.#over) {
      if (this.#link.congested) return this.#pumpWhenWritable()
      const room = Math.min(this.#credit - DATA_OVERHEAD_BYTES, MAX_PAYLOAD_BYTES)
      if (room < Math.min(this.#queued, MIN_PIECE_BYTES)) return
      this.#sendPiece(Math.min(this.#queued, room))
    }
    this.#queue = []
    this.#queued = 0
    const done = this.#written
    this.#written = undefined
    done?.()
  }

  #pumpWhenWritable(): void {
    if (this.#waitingForLink) return
    this.#waitingForLink = true
    this.#link.onceWritable(() => {
      this.#waitingForLink = false
      this.#pump()
    })
  }

  #sendPiece(bytes: number): void {
    const frame = allocDataFrame(this.#channel, bytes)
    let filled = DATA_HEADER_BYTES
    while (filled < frame.length) {
      const chunk = this.#queue[0] as Uint8Array
      const part = chunk.subarray(this.#offset, this.#offset + frame.length - filled)
      frame.set(part, filled)
      filled += part.length
      this.#offset += part.length
      if (this.#offset < chunk.length) continue
      this.#queue.shift()
      this.#offset = 0
    }
    this.#queued -= bytes
    this.#credit -= dataCost(bytes)
    this.#link.send(frame)
  }

  #sendClose(): void {
    if (this.#closeSent || this.#over) return
    this.#closeSent = true
    this.#link.send(encodeFrame({ kind: 'close', channel: this.#channel }))
  }

  /** After the secret stream has had its turn, so that a message that is now complete counts as held. */
  #grantLater(): void {
    if (this.#over || this.destroyed) return
    this.#granting ??= setImmediate(() => {
      this.#granting = undefined
      this.#grant()
    })
  }

  #grant(): void {
    if (this.#over || this.#closeSent) return
    const bytes = this.#owed - Math.min(this.#held, WINDOW_BYTES)
    if (bytes >= CREDIT_STEP_BYTES) {
      this.#owed -= bytes
      this.#link.send(encodeFrame({ kind: 'credit', channel: this.#channel, bytes }))
    }
    const stalled = this.#owed > WINDOW_BYTES / 2
    if (stalled === this.#stalled) return
    this.#stalled = stalled
    this.onStalled?.(stalled)
  }
}

import {
  DIAL_TIMEOUT_MS,
  PACKET_BYTES,
  RETRANSMIT_MAX_MS,
  RETRANSMIT_MIN_MS,
  RETRANSMIT_MS,
  STREAM_BUFFER_BYTES,
  STREAM_LINGER_MS,
  STREAM_MIN_WINDOW_BYTES,
  STREAM_SILENCE_MS,
  STREAM_WINDOW_BYTES,
} from './limits.ts'
import type { Packet } from './network.ts'
import type { Time, Timer } from './scheduler.ts'

/** Part of a message, or the end of the stream (null), at its place in the stream. */
interface Piece {
  seq: number
  bytes: Buffer | null
  /** True for the last part of a message. */
  ends: boolean
}

/** Packets of streams: they open it, carry a piece, acknowledge one and all before another, or say that there is none. */
export type StreamPacket = Packet & { stream: number } & (
    | { kind: 'open' | 'opened' | 'reset' }
    | { kind: 'piece'; piece: Piece; sentAt: number }
    /** `below`: all pieces before that have come; `seq` has come too, by a packet that was sent then. */
    | { kind: 'ack'; below: number; seq: number; sentAt: number }
  )

/** A packet as it is made: the sizes are those of what it carries. */
export type StreamPacketBody =
  | { kind: 'open' | 'opened' | 'reset' }
  | { kind: 'piece'; piece: Piece; sentAt: number; again: boolean }
  | { kind: 'ack'; below: number; seq: number; sentAt: number }

export interface StreamHandlers {
  /** The stream has come about. */
  opened(): void
  message(bytes: Buffer): void
  /** More can be sent. */
  writable(): void
  /** It is over, for whatever reason. */
  closed(): void
}

interface Unacknowledged {
  piece: Piece
  /** When it was last sent, and when it is sent again without further news. */
  sentAt: number
  dueAt: number
  tries: number
}

const CONTROL_BYTES = 16
/** Milliseconds by which a packet may be late without being taken for lost. */
const OVERTAKING_MS = 20

/**
 * One side of a reliable stream of messages over packets, as TCP or UDX would make it: it sends again what is not
 * acknowledged, hands out everything in order, has a bounded window, and gives up a peer that does not answer. The two
 * sides may learn of a broken stream at different times.
 */
export class StreamEnd {
  readonly id: number
  readonly peer: number
  readonly initiator: boolean
  handlers: StreamHandlers | null = null
  readonly #time: Time
  readonly #send: (body: StreamPacketBody, bytes: number) => void
  readonly #onGone: () => void
  #state: 'opening' | 'open' | 'closing' | 'gone'
  readonly #queue: Piece[] = []
  #queuedBytes = 0
  readonly #sent = new Map<number, Unacknowledged>()
  #sentBytes = 0
  /** Bytes that may be on the way: as TCP finds them, more and more until something is lost (RFC 5681). */
  #window: number = STREAM_MIN_WINDOW_BYTES
  #threshold: number = STREAM_WINDOW_BYTES
  #shrankAt = -Infinity
  #nextSeq = 0
  #lastAnswerAt = 0
  #roundTripMs = RETRANSMIT_MS / 2
  #timer: Timer | null = null
  #timerAt = Infinity
  #linger: Timer | null = null
  #below = 0
  readonly #early = new Map<number, Piece>()
  #parts: Buffer[] = []

  /** @param onGone the stream is not heard of any more. */
  constructor(
    id: number,
    peer: number,
    initiator: boolean,
    time: Time,
    send: (body: StreamPacketBody, bytes: number) => void,
    onGone: () => void,
  ) {
    this.id = id
    this.peer = peer
    this.initiator = initiator
    this.#time = time
    this.#send = send
    this.#onGone = onGone
    this.#state = initiator ? 'opening' : 'open'
    this.#lastAnswerAt = time.now
    if (initiator) this.#knock(time.now + DIAL_TIMEOUT_MS, RETRANSMIT_MS)
    else this.#send({ kind: 'opened' }, CONTROL_BYTES)
  }

  #knock(until: number, wait: number): void {
    if (this.#state !== 'opening') return
    if (this.#time.now >= until) return this.#end()
    this.#send({ kind: 'open' }, CONTROL_BYTES)
    this.#time.in(wait, () => this.#knock(until, Math.min(RETRANSMIT_MAX_MS, wait * 2)))
  }

  get isWritable(): boolean {
    return this.#state === 'open' && this.#queuedBytes < STREAM_BUFFER_BYTES
  }

  send(message: Buffer): void {
    if (this.#state !== 'open') return
    for (let at = 0; at === 0 || at < message.length; at += PACKET_BYTES) {
      // A copy: its sender may use the bytes again.
      const bytes = Buffer.from(message.subarray(at, at + PACKET_BYTES))
      this.#enqueue(bytes, at + PACKET_BYTES >= message.length)
    }
    this.#flush()
  }

  #enqueue(bytes: Buffer | null, ends: boolean): void {
    this.#queue.push({ seq: this.#nextSeq++, bytes, ends })
    this.#queuedBytes += bytes?.length ?? 0
  }

  /** Sends what is still to be sent, for a while, and then the end. The handlers hear no more. */
  close(): void {
    if (this.#state === 'opening') return this.#end()
    if (this.#state !== 'open') return
    this.#enqueue(null, true)
    this.#state = 'closing'
    this.handlers = null
    this.#linger = this.#time.in(STREAM_LINGER_MS, () => this.#end())
    this.#flush()
  }

  /** Nothing is sent any more, and nothing heard: the device is gone. */
  drop(): void {
    this.handlers = null
    this.#end()
  }

  receive(packet: StreamPacket): void {
    if (this.#state === 'gone') return
    switch (packet.kind) {
      case 'open':
        return this.#send({ kind: 'opened' }, CONTROL_BYTES)
      case 'opened':
        if (this.#state !== 'opening') return
        this.#open()
        return
      case 'reset':
        return this.#end()
      case 'piece':
        // What comes first shows that the answer to our knock was lost.
        if (this.#state === 'opening') this.#open()
        return this.#onPiece(packet.piece, packet.sentAt)
      case 'ack':
        return this.#onAck(packet.below, packet.seq, packet.sentAt)
    }
  }

  #open(): void {
    this.#state = 'open'
    this.#lastAnswerAt = this.#time.now
    this.handlers?.opened()
  }

  #onPiece(piece: Piece, sentAt: number): void {
    if (piece.seq >= this.#below) this.#early.set(piece.seq, piece)
    const ready: Piece[] = []
    for (let next = this.#early.get(this.#below); next !== undefined; next = this.#early.get(this.#below)) {
      this.#early.delete(this.#below++)
      ready.push(next)
    }
    this.#send({ kind: 'ack', below: this.#below, seq: piece.seq, sentAt }, CONTROL_BYTES)
    for (const { bytes, ends } of ready) {
      if (bytes === null) return this.#end()
      this.#parts.push(bytes)
      if (!ends) continue
      const message = this.#parts.length === 1 ? bytes : Buffer.concat(this.#parts)
      this.#parts = []
      this.handlers?.message(message)
    }
  }

  #onAck(below: number, seq: number, sentAt: number): void {
    const { now } = this.#time
    this.#lastAnswerAt = now
    const answered = this.#sent.get(seq)
    this.#roundTripMs += (now - sentAt - this.#roundTripMs) / 8
    if (answered !== undefined) this.#take(answered)
    // What was sent well before something that has come is taken for lost (RFC 8985).
    const lostBefore = sentAt - OVERTAKING_MS - this.#roundTripMs / 4
    for (const sent of this.#sent.values()) if (sent.piece.seq >= below && sent.sentAt < lostBefore) this.#repeat(sent)
    // Twice as much after each round trip at first, then a packet more.
    const grown = this.#window < this.#threshold ? PACKET_BYTES : (PACKET_BYTES * PACKET_BYTES) / this.#window
    this.#window = Math.min(STREAM_WINDOW_BYTES, this.#window + grown)
    for (const sent of this.#sent.values()) {
      if (sent.piece.seq >= below) break
      this.#take(sent)
    }
    if (this.#state === 'closing' && this.#sent.size === 0 && this.#queue.length === 0) return this.#end()
    this.#flush()
    if (this.isWritable) this.handlers?.writable()
  }

  #take({ piece }: Unacknowledged): void {
    this.#sent.delete(piece.seq)
    this.#sentBytes -= piece.bytes?.length ?? 0
  }

  #flush(): void {
    const { now } = this.#time
    while (this.#queue.length > 0 && this.#sentBytes < this.#window) {
      const piece = this.#queue.shift() as Piece
      if (this.#sent.size === 0) this.#lastAnswerAt = now
      this.#queuedBytes -= piece.bytes?.length ?? 0
      this.#sentBytes += piece.bytes?.length ?? 0
      this.#sent.set(piece.seq, { piece, sentAt: now, dueAt: now + this.#patience(1), tries: 1 })
      this.#sendPiece(piece, false)
    }
    this.#arm()
  }

  #sendPiece(piece: Piece, again: boolean): void {
    this.#send({ kind: 'piece', piece, sentAt: this.#time.now, again }, CONTROL_BYTES + (piece.bytes?.length ?? 0))
  }

  #patience(tries: number): number {
    const first = Math.max(RETRANSMIT_MIN_MS, Math.ceil(this.#roundTripMs * 2))
    return Math.min(RETRANSMIT_MAX_MS, first * 2 ** Math.min(tries - 1, 10))
  }

  #repeat(sent: Unacknowledged): void {
    const { now } = this.#time
    if (now - this.#shrankAt > this.#roundTripMs) {
      this.#shrankAt = now
      this.#window = this.#threshold = Math.max(STREAM_MIN_WINDOW_BYTES, this.#window / 2)
    }
    sent.sentAt = now
    sent.dueAt = now + this.#patience(sent.tries)
    this.#sendPiece(sent.piece, true)
  }

  #arm(): void {
    let at = Infinity
    for (const { dueAt } of this.#sent.values()) at = Math.min(at, dueAt)
    if (at >= this.#timerAt) return
    this.#timer?.cancel()
    this.#timerAt = at
    this.#timer = this.#time.at(at, () => this.#sendAgain())
  }

  #sendAgain(): void {
    this.#timer = null
    this.#timerAt = Infinity
    if (this.#state === 'gone') return
    const { now } = this.#time
    if (this.#sent.size > 0 && now - this.#lastAnswerAt >= STREAM_SILENCE_MS) return this.#end()
    for (const sent of this.#sent.values()) {
      if (sent.dueAt > now) continue
      sent.tries++
      this.#repeat(sent)
    }
    this.#arm()
  }

  #end(): void {
    if (this.#state === 'gone') return
    this.#state = 'gone'
    this.#timer?.cancel()
    this.#linger?.cancel()
    this.#onGone()
    const { handlers } = this
    this.handlers = null
    handlers?.closed()
  }
}

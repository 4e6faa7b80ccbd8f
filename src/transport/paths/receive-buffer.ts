import { MAX_MESSAGE_BYTES } from '../../base/limits.ts'
import { CLOSE, DATA, PART_BYTES } from './frames.ts'
import type { Frame } from './frames.ts'
import { ACK_DELAY_MS, ACK_STEP_BYTES, FRAME_COST_BYTES, INBOX_BYTES, PATHS_WINDOW_BYTES } from './limits.ts'

/** Bytes that an honest peer can have brought us to hold at most. */
export const MAX_UNREAD_BYTES: number = INBOX_BYTES + PATHS_WINDOW_BYTES + MAX_MESSAGE_BYTES + 2 * FRAME_COST_BYTES

export type Numbered = Extract<Frame, { number: number }>
export type Accepted =
  | { type: 'message'; message: Buffer }
  | { type: 'close'; reason: string }
  | { type: 'part' | 'repeat' }
  | { type: 'violation'; detail: string }

/** Takes over the numbered frames of one direction: puts parts together, drops repeats, and says what to acknowledge. */
export class ReceiveBuffer {
  #next = 0
  #part: Buffer | null = null
  #unread = 0
  /** Whether nobody will read what comes. */
  #unwanted = false
  #takenOver = 0
  #ackBytes = 0
  #ackAt = Infinity

  /** How many frames are taken over: not more while the reader is behind. */
  get takenOver(): number {
    return this.#takenOver
  }

  /** When an acknowledgement is due; infinity while none is. */
  get ackAt(): number {
    return this.#ackAt
  }

  /** Bytes that nobody has read yet. */
  get unread(): number {
    return this.#unread
  }

  accept(frame: Numbered, now: number): Accepted {
    if (frame.number < this.#next) {
      this.#ackAt = Math.min(this.#ackAt, now + ACK_DELAY_MS)
      return { type: 'repeat' }
    }
    if (frame.number > this.#next) return violation('a frame out of order')
    const accepted = this.#take(frame)
    if (accepted.type === 'violation') return accepted
    this.#next++
    if (frame.type === CLOSE) {
      this.#takenOver = this.#next
      this.#ackAt = now
      return accepted
    }
    const cost = frame.message.length + FRAME_COST_BYTES
    this.#ackBytes += cost
    if (!this.#unwanted) this.#unread += cost
    if (this.#unread > MAX_UNREAD_BYTES) return violation('more than the window')
    this.#update(now)
    return accepted
  }

  /** The reader has taken a message. */
  read(message: Uint8Array, now: number): void {
    if (this.#unwanted) return
    this.#unread -= message.length + FRAME_COST_BYTES * (message.length > PART_BYTES ? 2 : 1)
    this.#update(now)
  }

  /** Nobody will read what is here or comes. */
  discard(now: number): void {
    this.#unwanted = true
    this.#unread = 0
    this.#update(now)
  }

  /** What was told may not have arrived. */
  tellAgain(now: number): void {
    if (this.#takenOver > 0) this.#ackAt = now
  }

  /** What to acknowledge now; 0: nothing yet. */
  acknowledge(): number {
    this.#ackBytes = 0
    this.#ackAt = Infinity
    return this.#takenOver
  }

  #take(frame: Numbered): Accepted {
    const part = this.#part
    if (frame.type === DATA) {
      if (part === null) return { type: 'message', message: frame.message }
      if (part.length + frame.message.length > MAX_MESSAGE_BYTES) return violation('too long a message')
      this.#part = null
      return { type: 'message', message: Buffer.concat([part, frame.message]) }
    }
    if (part !== null) return violation('a message without its end')
    if (frame.type === CLOSE) return { type: 'close', reason: frame.reason }
    this.#part = frame.message
    return { type: 'part' }
  }

  #update(now: number): void {
    if (this.#unread > INBOX_BYTES || this.#takenOver === this.#next) return
    this.#takenOver = this.#next
    this.#ackAt = this.#ackBytes >= ACK_STEP_BYTES ? now : Math.min(this.#ackAt, now + ACK_DELAY_MS)
  }
}

function violation(detail: string): Accepted {
  return { type: 'violation', detail }
}

import { assert } from '../../base/errors.ts'
import { DATA, encodeClose, encodeNumbered, PART, PART_BYTES } from './frames.ts'
import { FRAME_COST_BYTES, PATHS_WINDOW_BYTES } from './limits.ts'

/** The numbered frames of one direction, from the first that is not acknowledged: to be sent, or sent and kept. */
export class SendBuffer {
  #frames: Buffer[] = []
  /** Place in `#frames` of the one with the number `base`. */
  #first = 0
  #base = 0
  /** Number of the next to be given to the path in use, and of the one after all that were ever given to any. */
  #sent = 0
  #everSent = 0
  #bytes = 0
  #unsentBytes = 0
  #closed = false

  /** Whether one more message may be put in. */
  get hasRoom(): boolean {
    return this.#bytes < PATHS_WINDOW_BYTES && !this.#closed
  }

  /** Bytes that are kept; at most the window and one message. */
  get bytes(): number {
    return this.#bytes
  }

  get unsentBytes(): number {
    return this.#unsentBytes
  }

  get hasUnsent(): boolean {
    return this.#sent < this.#end
  }

  /** Whether anything that was given to the path in use is not acknowledged. */
  get inFlight(): boolean {
    return this.#sent > this.#base
  }

  /** Whether the last frame there will be is acknowledged. */
  get done(): boolean {
    return this.#closed && this.#base === this.#end
  }

  get #end(): number {
    return this.#base + this.#frames.length - this.#first
  }

  push(message: Uint8Array): void {
    assert(this.hasRoom, 'a message beyond the window')
    if (message.length <= PART_BYTES) return this.#add(encodeNumbered(DATA, this.#end, message))
    this.#add(encodeNumbered(PART, this.#end, message.subarray(0, PART_BYTES)))
    this.#add(encodeNumbered(DATA, this.#end, message.subarray(PART_BYTES)))
  }

  /** Nothing comes after this. */
  close(reason: string): void {
    if (this.#closed) return
    this.#add(encodeClose(this.#end, reason))
    this.#closed = true
  }

  /** The next frame to be sent. */
  take(): Buffer {
    const frame = this.#frames[this.#first + this.#sent - this.#base]
    assert(frame !== undefined, 'nothing to send')
    this.#sent++
    this.#everSent = Math.max(this.#everSent, this.#sent)
    this.#unsentBytes -= frame.length + FRAME_COST_BYTES
    return frame
  }

  /** Another path takes over, and gets all that was not acknowledged. */
  rewind(): void {
    this.#sent = this.#base
    this.#unsentBytes = this.#bytes
  }

  /** The peer has taken over all before this number: whether that is news; or null, if it cannot be. */
  acknowledge(number: number): boolean | null {
    if (number > this.#everSent) return null
    if (number <= this.#base) return false
    while (this.#base < number) {
      const frame = this.#frames[this.#first] as Buffer
      const cost = frame.length + FRAME_COST_BYTES
      if (this.#base >= this.#sent) this.#unsentBytes -= cost
      this.#bytes -= cost
      // Without a reference the bytes are free at once.
      this.#frames[this.#first++] = NONE
      this.#base++
    }
    this.#sent = Math.max(this.#sent, this.#base)
    if (this.#first === this.#frames.length) {
      this.#frames = []
      this.#first = 0
    } else if (this.#first >= 1024 && this.#first * 2 >= this.#frames.length) {
      this.#frames = this.#frames.slice(this.#first)
      this.#first = 0
    }
    return true
  }

  #add(frame: Buffer): void {
    const cost = frame.length + FRAME_COST_BYTES
    this.#frames.push(frame)
    this.#bytes += cost
    this.#unsentBytes += cost
  }
}

const NONE = Buffer.alloc(0)

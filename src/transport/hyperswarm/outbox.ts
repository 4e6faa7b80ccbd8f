import type NoiseSecretStream from '@hyperswarm/secret-stream'
import { DATA, encodeFrame } from './frames.ts'
import type { Frame } from './frames.ts'

/** Frames other than DATA that may wait for a peer which does not read; a flooder's answers would grow without end. */
const MAX_CONTROL_BACKLOG = 4096
/** Bytes handed to the stream while it is full; a little slack keeps it busy while its 'drain' is on the way. */
const STREAM_SLACK_BYTES: number = 256 * 1024

/** Writes frames to the stream, and knows when it has had enough of them. */
export class Outbox {
  readonly #stream: NoiseSecretStream
  readonly #alloc: (bytes: number) => Buffer
  #full = false
  #waitingBytes = 0
  #waitingControl = 0

  constructor(stream: NoiseSecretStream, onDrain: () => void) {
    this.#stream = stream
    this.#alloc = (bytes) => stream.alloc(bytes)
    stream.on('drain', () => {
      this.#full = false
      this.#waitingBytes = 0
      this.#waitingControl = 0
      onDrain()
    })
  }

  /** False while messages should wait. */
  get writable(): boolean {
    return this.#waitingBytes < STREAM_SLACK_BYTES && !this.#stream.destroying
  }

  /** Whether the peer asks for answers and does not read them. */
  get flooded(): boolean {
    return this.#waitingControl > MAX_CONTROL_BACKLOG
  }

  write(frame: Frame): void {
    if (this.#stream.destroying) return
    const bytes = encodeFrame(frame, this.#alloc)
    if (!this.#stream.write(bytes)) this.#full = true
    if (!this.#full) return
    this.#waitingBytes += bytes.length
    if (frame.type !== DATA) this.#waitingControl++
  }
}

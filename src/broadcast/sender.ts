import { FRAME_TARGET_BYTES, MAX_PUSH_BYTES, MAX_SERVES, SERVE_WINDOW_BYTES } from '../base/limits.ts'
import type { Run } from '../event/run.ts'
import { encodedRunBytes } from '../event/run.ts'
import type { RangeRequest } from './messages.ts'
import { encodeFork, encodeFrame } from './messages.ts'
import type { RemoteFrontier } from './remote-frontier.ts'
import type { Replica } from './replica.ts'

interface Serve {
  next: number
  withPeaks: boolean
}

/** What one peer is to be sent: ranges it has asked for, and new events that are pushed to it. */
export class Sender {
  readonly #replica: Replica
  readonly #remote: RemoteFrontier
  readonly #serves = new Map<string, Serve>()
  #pushes: Run[] = []
  #pushBytes = 0
  #inFlight: number[] = []
  #inFlightBytes = 0
  #proofs: Buffer[] = []

  constructor(replica: Replica, remote: RemoteFrontier) {
    this.#replica = replica
    this.#remote = remote
  }

  get idle(): boolean {
    return this.#serves.size + this.#pushes.length + this.#inFlight.length + this.#proofs.length === 0
  }

  isServing(hex: string): boolean {
    return this.#serves.has(hex)
  }

  /** Takes a range that the peer asks for. False if it has asked for too much at once. */
  serve(range: RangeRequest): boolean {
    const hex = range.author.toString('hex')
    const log = this.#replica.log(hex)
    if (log === undefined) return true
    if (log.fork !== null) return this.sendProof(log.fork)
    this.#remote.set(hex, range.from)
    this.#serves.set(hex, { next: range.from, withPeaks: range.want === 'peaks' })
    return this.#serves.size <= MAX_SERVES
  }

  sendProof(proof: Buffer): boolean {
    this.#proofs.push(proof)
    return this.#proofs.length <= MAX_SERVES
  }

  /** Takes a new run that continues what the peer holds. False if too much is waiting already. */
  push(run: Run): boolean {
    const bytes = encodedRunBytes(run)
    if (this.#pushBytes + bytes > MAX_PUSH_BYTES && this.#pushes.length > 0) return false
    this.#pushes.push(run)
    this.#pushBytes += bytes
    return true
  }

  /** The next message to send, or null while there is none or the peer has not acknowledged enough. */
  next(): Buffer | null {
    const proof = this.#proofs.shift()
    if (proof !== undefined) return encodeFork(proof)
    if (this.#inFlightBytes >= SERVE_WINDOW_BYTES) return null
    const runs: Run[] = []
    this.#takeServed(runs, this.#takePushes(runs))
    if (runs.length === 0) return null
    const frame = encodeFrame(runs)
    this.#inFlight.push(frame.length)
    this.#inFlightBytes += frame.length
    return frame
  }

  #takePushes(runs: Run[]): number {
    let bytes = 0
    let taken = 0
    while (taken < this.#pushes.length && bytes < FRAME_TARGET_BYTES) {
      const run = this.#pushes[taken++] as Run
      bytes += encodedRunBytes(run)
      runs.push(run)
    }
    this.#pushes.splice(0, taken)
    this.#pushBytes -= bytes
    return bytes
  }

  #takeServed(runs: Run[], already: number): void {
    let bytes = already
    for (const [hex, serve] of this.#serves) {
      if (bytes >= FRAME_TARGET_BYTES) return
      while (bytes < FRAME_TARGET_BYTES) {
        const run = this.#replica.readRun(hex, serve.next, FRAME_TARGET_BYTES - bytes, serve.withPeaks)
        if (run === null) break
        serve.next += run.events.length
        bytes += encodedRunBytes(run)
        runs.push(run)
        this.#remote.set(hex, serve.next)
        if (serve.withPeaks && run.events.length === 0) break
        serve.withPeaks = false
      }
      if (bytes >= FRAME_TARGET_BYTES && serve.next < (this.#replica.log(hex)?.mmr.length ?? 0)) return
      this.#serves.delete(hex)
    }
  }

  /** The peer has stored that many more frames. False if it was sent fewer. */
  acknowledged(frames: number): boolean {
    if (frames < 1 || frames > this.#inFlight.length) return false
    for (const bytes of this.#inFlight.splice(0, frames)) this.#inFlightBytes -= bytes
    return true
  }
}

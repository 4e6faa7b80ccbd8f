import {
  ACK_TIMEOUT_MS,
  FRAME_SLOW_MS,
  FRAME_START_BYTES,
  FRAME_TARGET_BYTES,
  MAX_PUSH_BYTES,
  MAX_RUNS_PER_FRAME,
  SERVE_START_BYTES,
  SERVE_WINDOW_BYTES,
} from '../base/limits.ts'
import type { Run } from '../event/run.ts'
import { encodedRunBytes } from '../event/run.ts'
import type { Violation } from './end-reason.ts'
import type { RangeRequest } from './messages.ts'
import { encodeFork, encodeFrame } from './messages.ts'
import { RepeatBudget } from './repeat-budget.ts'
import type { RemoteFrontier } from './remote-frontier.ts'
import type { Manner } from './receiver.ts'
import type { Pace, Replica } from './replica.ts'

/** No offence: its connection may be slow. */
export const DEAF: Violation = { reason: 'silence', detail: 'does not acknowledge what it is sent' }

export interface SenderOptions {
  pace: Pace
  handshakeHash: Uint8Array
}

interface Serve {
  next: number
  /** Up to here it has been sent before, or said to be there. */
  again: number
  withPeaks: boolean
}

/** What one peer is to be sent: ranges it has asked for, and new events that are pushed to it. */
export class Sender {
  readonly #replica: Replica
  readonly #remote: RemoteFrontier
  readonly #pace: Pace
  /** From 0 to 1: neither side can choose it. */
  readonly #lot: number
  #manner: Manner | null = null
  readonly #serves = new Map<string, Serve>()
  #pushes: Run[] = []
  #pushBytes = 0
  #inFlight: number[] = []
  #inFlightBytes = 0
  /** Bytes that may be on the way: it grows with what the peer acknowledges. */
  #window: number = SERVE_START_BYTES
  /** Bytes that a frame is filled up to: what a slow connection takes too long for is as good as not sent. */
  #frameBytes: number = FRAME_START_BYTES
  readonly #repeats = new RepeatBudget()
  /** When what the peer has been sent before may be sent again, in milliseconds; infinity if nothing waits for that. */
  #repeatAt = Infinity
  /** Since when the peer has owed an acknowledgement. */
  #owedSince = 0
  readonly #proofs: Buffer[] = []
  /** Forked logs of which the peer has the proof. */
  readonly #proven = new Set<string>()

  constructor(replica: Replica, remote: RemoteFrontier, { pace, handshakeHash }: SenderOptions) {
    this.#replica = replica
    this.#remote = remote
    this.#pace = pace
    this.#lot = (handshakeHash[0] as number) / 256
  }

  /** The peer has said how it wants what others have written. */
  prefer(manner: Manner): void {
    this.#manner = manner
  }

  /** Whether it is pushed what others have written: as it likes; if it has not said, as the lot falls. */
  get isEager(): boolean {
    return this.#manner === null ? this.#lot < this.#pace.eagerShare : this.#manner === 'eager'
  }

  get idle(): boolean {
    return this.#serves.size + this.#pushes.length + this.#inFlight.length + this.#proofs.length === 0
  }

  /** When to call `next` or `violation` again; infinity for never. */
  get wakeAt(): number {
    return Math.min(this.#repeatAt, this.#inFlight.length > 0 ? this.#owedSince + ACK_TIMEOUT_MS : Infinity)
  }

  violation(now: number): Violation | null {
    return this.#inFlight.length > 0 && now - this.#owedSince >= ACK_TIMEOUT_MS ? DEAF : null
  }

  isServing(hex: string): boolean {
    return this.#serves.has(hex)
  }

  /** Takes a range that the peer asks for, in place of an earlier one of the same log. */
  serve({ author, from, want }: RangeRequest): void {
    const hex = author.toString('hex')
    const log = this.#replica.log(hex)
    if (log === undefined) return
    if (log.fork !== null) return this.sendProof(hex, log.fork)
    const again = Math.max(this.#remote.lengthOf(hex), this.#serves.get(hex)?.again ?? 0)
    this.#serves.delete(hex)
    if (want !== 'since') this.#remote.set(hex, from)
    const { length } = log.mmr
    if (want === 'since') {
      const first = this.#replica.seqBefore(hex, from)
      this.#remote.set(hex, first)
      this.#serves.set(hex, { next: first, again, withPeaks: true })
    } else if (from >= log.start) {
      // Peaks are owed even to a peer that holds more than we do: then those at our end.
      if (want === 'peaks') this.#serves.set(hex, { next: Math.min(from, length), again, withPeaks: true })
      else if (from < length) this.#serves.set(hex, { next: from, again, withPeaks: false })
    }
  }

  /** Sends the proof that a log is forked, once. */
  sendProof(hex: string, proof: Buffer): void {
    this.#serves.delete(hex)
    if (this.#proven.has(hex)) return
    this.#proven.add(hex)
    this.#proofs.push(proof)
  }

  /** The peer knows that the log is forked. */
  knowsProof(hex: string): void {
    this.#proven.add(hex)
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
  next(now: number): Buffer | null {
    const proof = this.#proofs.shift()
    if (proof !== undefined) return encodeFork(proof)
    if (this.#inFlightBytes >= this.#window) return null
    const runs: Run[] = []
    this.#takeServed(runs, this.#takePushes(runs), now)
    if (runs.length === 0) return null
    const frame = encodeFrame(runs)
    if (this.#inFlight.length === 0) this.#owedSince = now
    this.#inFlight.push(frame.length)
    this.#inFlightBytes += frame.length
    return frame
  }

  #takePushes(runs: Run[]): number {
    let bytes = 0
    let taken = 0
    while (taken < this.#pushes.length && taken < MAX_RUNS_PER_FRAME && bytes < this.#frameBytes) {
      const run = this.#pushes[taken++] as Run
      bytes += encodedRunBytes(run)
      runs.push(run)
    }
    this.#pushes.splice(0, taken)
    this.#pushBytes -= bytes
    return bytes
  }

  #takeServed(runs: Run[], already: number, now: number): void {
    let bytes = already
    this.#repeatAt = Infinity
    for (const [hex, serve] of this.#serves) {
      if (this.#mustWait(serve, now)) continue
      for (;;) {
        if (bytes >= this.#frameBytes || runs.length >= MAX_RUNS_PER_FRAME) return
        const run = this.#replica.readRun(hex, serve.next, this.#frameBytes - bytes, serve.withPeaks)
        if (run === null) break
        serve.next += run.events.length
        const size = encodedRunBytes(run)
        bytes += size
        if (run.from < serve.again) this.#repeats.spend(size)
        runs.push(run)
        this.#remote.atLeast(hex, serve.next)
        if (serve.next >= (this.#replica.log(hex)?.mmr.length ?? 0)) break
        serve.withPeaks = false
      }
      this.#serves.delete(hex)
    }
  }

  /** What a peer asks for again and again it gets, but not at the expense of others. */
  #mustWait(serve: Serve, now: number): boolean {
    const wait = serve.next < serve.again ? this.#repeats.wait(now) : 0
    if (wait > 0) this.#repeatAt = now + wait
    return wait > 0
  }

  /** The peer has stored that many more frames. False if it was sent fewer. */
  acknowledged(frames: number, now: number): boolean {
    if (frames < 1 || frames > this.#inFlight.length) return false
    const isSlow = now - this.#owedSince > FRAME_SLOW_MS
    this.#owedSince = now
    for (const bytes of this.#inFlight.splice(0, frames)) {
      this.#inFlightBytes -= bytes
      this.#window = Math.min(SERVE_WINDOW_BYTES, this.#window + bytes)
      this.#frameBytes = isSlow
        ? Math.max(FRAME_START_BYTES, this.#frameBytes / 2)
        : Math.min(FRAME_TARGET_BYTES, this.#frameBytes + bytes)
    }
    return true
  }
}

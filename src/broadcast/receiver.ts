import { toHex } from '../base/bytes.ts'
import { assert } from '../base/errors.ts'
import { MAX_USELESS_BYTES, PROGRESS_INTERVAL_MS, SILENCE_TIMEOUT_MS, USELESS_RUN_BYTES } from '../base/limits.ts'
import type { Run } from '../event/run.ts'
import { encodedRunBytes } from '../event/run.ts'
import type { Violation } from './end-reason.ts'
import { EAGER_MESSAGE, encodeAck, encodeRequest, LAZY_MESSAGE } from './messages.ts'
import { Puller } from './puller.ts'
import type { RemoteFrontier } from './remote-frontier.ts'
import type { Claims, Pace, Replica } from './replica.ts'
import type { Teller } from './teller.ts'

/** What became of a received run; see the store's ingest. */
export type RunStatus =
  'stored' | 'duplicate' | 'gap' | 'held' | 'unverified' | 'invalid' | 'forked' | 'frozen' | 'no-room'

/** How a peer passes on what others have written: `'eager'`: it pushes; `'lazy'`: it announces. */
export type Manner = 'lazy' | 'eager'

export interface ReceiverOptions {
  claims: Claims
  pace: Pace
}

interface Received {
  run: Run
  hex: string
  /** It is part of what the peer was asked for. */
  asked: boolean
}

export const TOO_MANY_LOGS: Violation = { reason: 'flood', detail: 'announced more logs than anyone has' }
const UNSIGNED: Violation = { reason: 'invalid-events', detail: 'sent events that their author has not signed' }
const USELESS: Violation = { reason: 'flood', detail: 'kept sending events that are of no use here' }

/** What one peer sends us: its frames until they are stored, what is still to be asked for, and how much of it is useless. */
export class Receiver {
  readonly puller: Puller
  readonly #replica: Replica
  readonly #remote: RemoteFrontier
  readonly #teller: Teller
  readonly #ingests: Received[][] = []
  #acks = 0
  readonly #pace: Pace
  /** What we want of the peer, and what we have told it; null: what it likes. */
  #wish: Manner | null = null
  #said: Manner | null = null
  #uselessBytes = 0
  #received = 0
  #pulling = false
  #progressAt = 0

  constructor(replica: Replica, remote: RemoteFrontier, teller: Teller, { claims, pace }: ReceiverOptions) {
    this.#replica = replica
    this.#remote = remote
    this.#teller = teller
    this.#pace = pace
    this.puller = new Puller(replica, remote, claims)
  }

  /** Whether what the peer announces of others is likely to be pushed by another one. */
  get expectsOthers(): boolean {
    return this.#wish === null ? this.#pace.eagerShare < 1 : this.#wish === 'lazy'
  }

  /** The runs of a frame that are to be verified and stored; none if all of them wait for an answer of the peer. */
  frame(runs: readonly Run[], now: number): Run[] | Violation {
    const received: Received[] = []
    for (const run of runs) {
      const hex = toHex(run.author)
      if (run.peaks !== null && !this.puller.takePeaks(hex)) {
        return { reason: 'protocol-violation', detail: 'sent peaks that nobody asked for' }
      }
      const asked = this.puller.arrived(hex, run)
      // One look at a log that does not continue ours is enough: the peaks, which are on their way, tell who is wrong.
      if (run.peaks === null && this.puller.isSuspect(hex)) {
        if (asked) this.puller.progressed(hex, 0, now)
        this.wasted(encodedRunBytes(run))
        continue
      }
      received.push({ run, hex, asked })
    }
    if (received.length > 0) this.#ingests.push(received)
    else if (this.flood !== null) return this.flood
    else this.#acks++
    return received.map(({ run }) => run)
  }

  /** What became of the oldest frame's runs. */
  ingested(statuses: readonly RunStatus[], now: number): Violation | null {
    const received = this.#ingests.shift()
    assert(received?.length === statuses.length, 'one status for every run')
    this.#acks++
    for (const [i, one] of received.entries()) {
      const violation = this.#onStatus(statuses[i] as RunStatus, one, now)
      if (violation !== null) return violation
    }
    return this.flood
  }

  #onStatus(status: RunStatus, { run, hex, asked }: Received, now: number): Violation | null {
    const { puller } = this
    const end = run.from + run.events.length
    const bytes = encodedRunBytes(run)
    const isHeld = this.#replica.heldUntil(hex) !== null || puller.isDelayed(hex)
    // What does not follow what is here is no progress, unless what is between has come and is held back.
    if (asked && (status !== 'gap' || isHeld) && status !== 'unverified') {
      puller.progressed(hex, status === 'stored' ? bytes : 0, now)
    }
    switch (status) {
      case 'stored':
        this.#received += run.events.length
        this.#uselessBytes = Math.max(0, this.#uselessBytes - bytes)
        return null
      case 'duplicate':
        this.#remote.atLeast(hex, end)
        puller.settle(hex)
        if (asked) return null
        this.#wish = 'lazy'
        // Not compared with what is here. Our head, which has the root in it, shows the peer if it should have been.
        this.#teller.tell(hex)
        this.wasted(bytes)
        return null
      case 'gap':
        if (!isHeld) this.wasted(bytes)
        // It is here in the end by whatever way: that the peer has it is not asked again.
        this.#remote.atLeast(hex, end)
        return puller.want(hex, end, 'events') ? null : TOO_MANY_LOGS
      case 'held': {
        this.#remote.atLeast(hex, end)
        const ok = puller.want(hex, end, 'events')
        puller.delay(hex, this.#replica.heldUntil(hex) ?? now + SILENCE_TIMEOUT_MS)
        return ok ? null : TOO_MANY_LOGS
      }
      case 'unverified':
        // Before its first event there is nothing that a log could contradict.
        if (run.from === 0 && this.#replica.log(hex) === undefined) return UNSIGNED
        this.wasted(bytes)
        return puller.suspect(hex, end) ? null : TOO_MANY_LOGS
      case 'frozen':
      case 'no-room':
        this.wasted(bytes)
        puller.drop(hex)
        return null
      case 'forked':
        puller.drop(hex)
        return null
      case 'invalid':
        return UNSIGNED
    }
  }

  /** Takes note of a run or proof that is of no use here. */
  wasted(bytes: number): void {
    this.#uselessBytes += bytes + USELESS_RUN_BYTES
  }

  get flood(): Violation | null {
    return this.#uselessBytes > MAX_USELESS_BYTES ? USELESS : null
  }

  /** Notes that the peer has a log that we lack, wholly or in part. */
  want(...what: Parameters<Puller['want']>): Violation | null {
    return this.puller.want(...what) ? null : TOO_MANY_LOGS
  }

  wake(now: number): void {
    this.puller.wake(now)
  }

  /** The next message about what we receive, or null. */
  next(now: number): Buffer | null {
    if (this.#acks > 0) {
      const ack = encodeAck(this.#acks)
      this.#acks = 0
      return ack
    }
    if (this.#wish !== this.#said) {
      this.#said = this.#wish
      return this.#wish === 'lazy' ? LAZY_MESSAGE : EAGER_MESSAGE
    }
    const ranges = this.puller.requests(now)
    // Nobody else has pushed it: this peer, which is asked for it, shall from now on.
    if (this.puller.takeAskedUnpushed()) this.#wish = 'eager'
    if (ranges.length === 0) return null
    this.#pulling = true
    return encodeRequest(ranges)
  }

  /** How far the pulling is, now and then while there is any. */
  progress(now: number): { received: number; remaining: number } | null {
    const { idle } = this.puller
    if (!this.#pulling || (!idle && now - this.#progressAt < PROGRESS_INTERVAL_MS)) return null
    this.#progressAt = now
    this.#pulling = !idle
    return { received: this.#received, remaining: this.puller.remaining }
  }
}

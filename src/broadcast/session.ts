import { assert } from '../base/errors.ts'
import {
  ADMISSION_TIMEOUT_MS,
  CONTROL_BURST,
  CONTROL_PER_FRAME,
  CONTROL_PER_SECOND,
  LAZY_PULL_MS,
  MAX_USELESS_BYTES,
  PING_INTERVAL_MS,
  PROGRESS_INTERVAL_MS,
  SILENCE_TIMEOUT_MS,
} from '../base/limits.ts'
import type { Run } from '../event/run.ts'
import { admissionProof, checkAdmission } from './admission.ts'
import type { EndReason } from './end-reason.ts'
import { END_REASONS } from './end-reason.ts'
import type { Head, HeadsKind, Message, RangeRequest } from './messages.ts'
import * as messages from './messages.ts'
import { Puller } from './puller.ts'
import { RemoteFrontier } from './remote-frontier.ts'
import type { Claims, Replica, ReplicaChange, ReplicaLog } from './replica.ts'
import { Sender } from './sender.ts'
import { headTag, Teller } from './teller.ts'

/** What the shell has to do, one at a time and in order. */
export type Output =
  | { type: 'send'; bytes: Buffer }
  /** Verify and store the runs in one transaction, then call `ingested` with what became of each. */
  | { type: 'ingest'; runs: Run[] }
  /** Check and store a fork proof, then call `proofIngested`. */
  | { type: 'ingest-proof'; proof: Buffer }
  | { type: 'admitted' }
  | { type: 'progress'; received: number; remaining: number }
  | { type: 'in-sync' }
  /** Close the connection. `byPeer`: the peer said so; otherwise it is our decision, and `detail` says what it did. */
  | { type: 'end'; reason: EndReason; detail: string; byPeer: boolean }

/** What became of a received run; see the store's ingest. */
export type RunStatus = 'stored' | 'duplicate' | 'gap' | 'held' | 'unverified' | 'invalid' | 'forked' | 'frozen'

export interface SessionOptions {
  initiator: boolean
  handshakeHash: Uint8Array
  admissionKey: Buffer
  replica: Replica
  claims: Claims
}

/** Control messages that a fork proof counts for: it takes two signatures and up to thousands of hashes to check. */
const FORK_COST = 64

interface Ingest {
  runs: Run[]
  bytes: number
}

/**
 * One conversation with one peer, as a state machine without IO: messages, changes of the replica and the time go in;
 * `poll` gives out, one by one, what is to be done. The same code runs over every transport and in a simulator.
 *
 * hello ⇄ hello, root ⇄ root; if the roots differ heads ⇄ heads; then requests and frames until nothing is missing, and
 * from then on new events are pushed as they are stored. See docs/PROTOCOL.md.
 */
export class Session {
  readonly #options: SessionOptions
  readonly #replica: Replica
  readonly #remote: RemoteFrontier
  readonly #puller: Puller
  readonly #sender: Sender
  readonly #teller: Teller
  readonly #outputs: Output[] = []
  #phase: 'idle' | 'hello' | 'root' | 'heads' | 'open' | 'ended' = 'idle'
  #sentRoot: Buffer | null = null
  /** Logs of which the peer holds less than we do. */
  readonly #ahead = new Set<string>()
  readonly #ingests: Ingest[] = []
  #inSync = false
  #pulling = false
  #received = 0
  #progressAt = 0
  #eager = true
  #weAreLazy = false
  #uselessBytes = 0
  #control = CONTROL_BURST
  #controlAt = 0
  #startedAt = 0
  #lastReceived = 0
  #lastSent = 0

  constructor(options: SessionOptions) {
    this.#options = options
    this.#replica = options.replica
    this.#remote = new RemoteFrontier(options.replica)
    this.#puller = new Puller(options.replica, options.claims)
    this.#sender = new Sender(options.replica, this.#remote)
    this.#teller = new Teller(options.replica, this.#remote)
  }

  get ended(): boolean {
    return this.#phase === 'ended'
  }

  /** True once the peer has proved that it knows the database. */
  get admitted(): boolean {
    return this.#phase === 'root' || this.#phase === 'heads' || this.#phase === 'open'
  }

  /** True while neither side lacks anything of the other's, as far as both have said. */
  get inSync(): boolean {
    return this.#inSync && this.#sender.idle
  }

  // ---- inputs ---------------------------------------------------------------------------------------------------

  start(now: number): void {
    assert(this.#phase === 'idle', 'a session starts once')
    const { admissionKey, handshakeHash, initiator } = this.#options
    this.#phase = 'hello'
    this.#startedAt = this.#lastReceived = this.#lastSent = this.#controlAt = now
    this.#send(messages.encodeHello(admissionProof(admissionKey, handshakeHash, initiator)))
  }

  /** A message from the peer: any bytes whatever. */
  receive(bytes: Buffer, now: number): void {
    if (this.ended) return
    this.#lastReceived = now
    const message = messages.decodeMessage(bytes)
    if (message === null) return this.#end('protocol-violation', 'sent a message that is malformed')
    if (message.type === 'goodbye') return this.#onGoodbye(message.code)
    if (message.type === 'hello') return this.#onHello(message.version, message.proof)
    if (!this.admitted) return this.#end('protocol-violation', `sent ${message.type} before it was admitted`)
    if (message.type !== 'frame' && message.type !== 'ack' && !this.#spendControl(message.type === 'fork' ? FORK_COST : 1, now)) {
      return this.#end('flood', 'sent too many control messages')
    }
    this.#onMessage(message, bytes.length, now)
  }

  /** The replica has changed, by us or by any peer; `fromThisPeer`: by what this session received. */
  changed(changes: readonly ReplicaChange[], fromThisPeer: boolean, now: number): void {
    if (this.ended) return
    for (const { run, log, local } of changes) {
      const length = run.from + run.events.length
      if (this.#sentRoot !== null) this.#remote.grown(log.hex, run.from)
      if (fromThisPeer) {
        this.#remote.set(log.hex, Math.max(length, this.#remote.lengthOf(log.hex)))
      } else if (this.#phase === 'open') {
        this.#offer(run, log, local)
      } else {
        this.#teller.tell(log.hex)
      }
      this.#puller.grown(log.hex, now)
    }
  }

  /** Logs that were found to be forked: the proof goes to everybody. */
  forked(logs: readonly ReplicaLog[]): void {
    for (const { hex, fork } of logs) {
      this.#puller.drop(hex)
      this.#ahead.delete(hex)
      if (this.#phase === 'open' && fork !== null) this.#sender.sendProof(fork)
    }
  }

  /** What became of the runs of the oldest `ingest` output. */
  ingested(statuses: readonly RunStatus[], now: number): void {
    const ingest = this.#ingests.shift()
    assert(ingest?.runs.length === statuses.length, 'one status for every run')
    if (this.ended) return
    let useful = false
    let pushedTwice = false
    for (const [i, run] of ingest.runs.entries()) {
      const hex = run.author.toString('hex')
      const status = statuses[i] as RunStatus
      useful ||= status === 'stored'
      pushedTwice ||= status === 'duplicate' && !this.#puller.isActive(hex)
      this.#onStatus(status, run, hex, now)
      if (this.ended) return
    }
    this.#uselessBytes = useful ? 0 : this.#uselessBytes + ingest.bytes
    if (this.#uselessBytes > MAX_USELESS_BYTES) return this.#end('flood', 'kept sending events that are here already')
    if (pushedTwice && !this.#weAreLazy) {
      this.#weAreLazy = true
      this.#send(messages.LAZY_MESSAGE)
    }
    this.#send(messages.encodeAck(1))
    if (this.#pulling && (this.#puller.idle || now - this.#progressAt >= PROGRESS_INTERVAL_MS)) this.#reportProgress(now)
  }

  proofIngested(valid: boolean): void {
    if (!valid) this.#end('protocol-violation', 'sent a fork proof that proves nothing')
  }

  /** Another session has let go of a log that it was pulling. */
  unblock(): void {
    this.#puller.unblock()
  }

  /** Time has passed; see `wakeAt`. */
  wake(now: number): void {
    if (this.ended) return
    if (this.#phase === 'hello' && now - this.#startedAt >= ADMISSION_TIMEOUT_MS) {
      return this.#end('not-admitted', 'did not prove in time that it knows the database')
    }
    if (now - this.#lastReceived >= SILENCE_TIMEOUT_MS) return this.#end('silence', 'has not been heard of')
    if (this.#puller.stalled(now)) return this.#end('stalled', 'did not send what it had announced')
    if (this.#puller.wake(now) && this.#weAreLazy) {
      this.#weAreLazy = false
      this.#send(messages.EAGER_MESSAGE)
    }
    if (this.admitted && now - this.#lastSent >= PING_INTERVAL_MS) this.#send(messages.PING_MESSAGE)
  }

  /** Ends the session from our side. */
  close(): void {
    if (!this.ended) this.#end('closing', '')
  }

  /** The connection is gone: nothing more can be sent. */
  lost(): void {
    this.#phase = 'ended'
    this.#puller.close()
    this.#outputs.length = 0
  }

  // ---- outputs --------------------------------------------------------------------------------------------------

  /** The next thing to do, or null for now. Call it when the connection can take more, and after every input. */
  poll(now: number): Output | null {
    const output = this.#outputs.shift() ?? this.#nextOutput(now)
    if (output?.type === 'send') this.#lastSent = now
    return output
  }

  #nextOutput(now: number): Output | null {
    if (!this.admitted) return null
    const heads = this.#teller.nextHeads()
    if (heads !== null) return { type: 'send', bytes: heads }
    if (this.#phase !== 'open') return null
    const ranges = this.#puller.requests(now)
    if (ranges.length > 0) {
      this.#pulling = true
      this.#inSync = false
      return { type: 'send', bytes: messages.encodeRequest(ranges) }
    }
    const frame = this.#sender.next()
    if (frame !== null) {
      this.#control = Math.min(CONTROL_BURST, this.#control + CONTROL_PER_FRAME)
      return { type: 'send', bytes: frame }
    }
    const news = this.#teller.nextNews(now)
    if (news !== null) return { type: 'send', bytes: news }
    return this.#nextInSync()
  }

  /** When to call `wake` and `poll` next, in milliseconds; infinity for never. */
  get wakeAt(): number {
    if (this.ended) return Infinity
    let at = Math.min(this.#lastReceived + SILENCE_TIMEOUT_MS, this.#puller.wakeAt)
    if (this.#phase === 'hello') at = Math.min(at, this.#startedAt + ADMISSION_TIMEOUT_MS)
    else at = Math.min(at, this.#lastSent + PING_INTERVAL_MS)
    return this.#phase === 'open' ? Math.min(at, this.#teller.wakeAt) : at
  }

  // ---- messages -------------------------------------------------------------------------------------------------

  #onHello(version: number, proof: Buffer): void {
    if (this.#phase !== 'hello') return this.#end('protocol-violation', 'said hello twice')
    const { admissionKey, handshakeHash, initiator } = this.#options
    if (version !== messages.PROTOCOL_VERSION) {
      return this.#end('other-version', `speaks protocol ${version}, we ${messages.PROTOCOL_VERSION}`)
    }
    if (!checkAdmission(proof, admissionKey, handshakeHash, !initiator)) {
      return this.#end('not-admitted', 'does not know the database, or has another secret')
    }
    this.#phase = 'root'
    this.#outputs.push({ type: 'admitted' })
    this.#sentRoot = this.#replica.frontierRoot()
    this.#send(messages.encodeRoot(this.#sentRoot))
  }

  #onGoodbye(code: number): void {
    const reason = END_REASONS[code] ?? 'closing'
    this.#finish({ type: 'end', reason, detail: '', byPeer: true })
  }

  #onMessage(message: Message, bytes: number, now: number): void {
    switch (message.type) {
      case 'root':
        return this.#onRoot(message.root)
      case 'heads':
        return this.#onHeads(message.kind, message.heads, now)
      case 'request':
        return this.#onRequest(message.ranges)
      case 'frame':
        return this.#onFrame(message.runs, bytes)
      case 'ack':
        if (!this.#sender.acknowledged(message.frames)) {
          this.#end('protocol-violation', 'acknowledged more than it was sent')
        }
        return
      case 'fork':
        this.#outputs.push({ type: 'ingest-proof', proof: message.proof })
        return
      case 'lazy':
      case 'eager':
        this.#eager = message.type === 'eager'
        return
      default:
        return
    }
  }

  #onRoot(root: Buffer): void {
    if (this.#phase !== 'root') return this.#end('protocol-violation', 'sent its root twice')
    if (this.#sentRoot?.equals(root) === true) {
      this.#remote.setEqual()
      this.#phase = 'open'
      return
    }
    this.#phase = 'heads'
    this.#teller.tellAll()
  }

  #onHeads(kind: HeadsKind, heads: Head[], now: number): void {
    if (this.#phase === 'root' || (this.#phase === 'heads') === (kind === 'news')) {
      return this.#end('protocol-violation', 'sent heads out of turn')
    }
    for (const head of heads) this.#onHead(head, kind === 'news' && this.#weAreLazy ? now + LAZY_PULL_MS : 0)
    if (kind !== 'last') return
    this.#phase = 'open'
    for (const log of this.#replica.logs()) this.#compare(log)
  }

  #onHead({ author, length, tag }: Head, notBefore: number): void {
    const hex = author.toString('hex')
    const ours = this.#replica.log(hex)
    if (ours !== undefined && ours.fork !== null) {
      if (!tag.equals(messages.FORKED_TAG)) this.#sender.sendProof(ours.fork)
      return
    }
    if (tag.equals(messages.FORKED_TAG)) return this.#puller.want(author, hex, length, 'proof', 0)
    this.#remote.set(hex, length)
    const ourLength = ours?.mmr.length ?? 0
    if (ourLength < length) {
      this.#puller.want(author, hex, length, 'events', notBefore)
    } else if (ours !== undefined && ourLength === length && !tag.equals(headTag(ours))) {
      this.#puller.want(author, hex, length, 'peaks', 0)
    }
    if (ours !== undefined) this.#compare(ours)
  }

  #onRequest(ranges: RangeRequest[]): void {
    for (const range of ranges) {
      if (!this.#sender.serve(range)) return this.#end('flood', 'asked for too many ranges at once')
    }
  }

  #onFrame(runs: Run[], bytes: number): void {
    for (const run of runs) {
      if (run.peaks !== null && !this.#puller.expectsPeaks(run.author.toString('hex'))) {
        return this.#end('protocol-violation', 'sent peaks that nobody asked for')
      }
    }
    this.#ingests.push({ runs, bytes })
    this.#outputs.push({ type: 'ingest', runs })
  }

  #onStatus(status: RunStatus, run: Run, hex: string, now: number): void {
    const end = run.from + run.events.length
    switch (status) {
      case 'stored':
        this.#received += run.events.length
        return
      case 'duplicate':
        this.#puller.settle(hex)
        return
      case 'gap':
        if (!this.#puller.isActive(hex)) this.#puller.want(run.author, hex, end, 'events', 0)
        return
      case 'held':
        this.#puller.want(run.author, hex, end, 'events', 0)
        this.#puller.delay(hex, this.#replica.heldUntil(hex) ?? now + SILENCE_TIMEOUT_MS)
        return
      case 'unverified': {
        if (!this.#puller.isActive(hex)) {
          this.#puller.want(run.author, hex, end, 'peaks', 0)
          return
        }
        const again = this.#puller.retryWithPeaks(hex, now)
        if (again !== null) this.#send(messages.encodeRequest([again]))
        return
      }
      case 'forked':
      case 'frozen':
        this.#puller.drop(hex)
        return
      case 'invalid':
        return this.#end('invalid-events', 'sent events that their author has not signed')
    }
  }

  // ---- telling the peer -----------------------------------------------------------------------------------------

  /** A new run: pushed if the peer holds what precedes it, else announced. */
  #offer(run: Run, log: ReplicaLog, local: boolean): void {
    const { hex } = log
    const length = run.from + run.events.length
    const theirs = this.#remote.lengthOf(hex)
    if (theirs >= length) return
    const push = (this.#eager || local) && theirs === run.from && !this.#sender.isServing(hex)
    if (push && this.#sender.push(run)) {
      this.#remote.set(hex, length)
      return
    }
    if (!this.#sender.isServing(hex)) this.#teller.tell(hex)
    this.#compare(log)
  }

  #compare(log: ReplicaLog): void {
    if (log.fork === null && this.#remote.lengthOf(log.hex) < log.mmr.length) {
      this.#ahead.add(log.hex)
      this.#inSync = false
    }
  }

  #nextInSync(): Output | null {
    if (this.#inSync || !this.#puller.idle || !this.#sender.idle || !this.#teller.idle) return null
    for (const hex of this.#ahead) {
      if (this.#remote.lengthOf(hex) < (this.#replica.log(hex)?.mmr.length ?? 0)) return null
      this.#ahead.delete(hex)
    }
    this.#inSync = true
    return { type: 'in-sync' }
  }

  #reportProgress(now: number): void {
    this.#progressAt = now
    this.#pulling = !this.#puller.idle
    this.#outputs.push({ type: 'progress', received: this.#received, remaining: this.#puller.remaining })
  }

  // ---- small things ---------------------------------------------------------------------------------------------

  #spendControl(cost: number, now: number): boolean {
    const earned = ((now - this.#controlAt) / 1000) * CONTROL_PER_SECOND
    this.#control = Math.min(CONTROL_BURST, this.#control + earned) - cost
    this.#controlAt = now
    return this.#control >= 0
  }

  #send(bytes: Buffer): void {
    this.#outputs.push({ type: 'send', bytes })
  }

  #end(reason: EndReason, detail: string): void {
    this.#outputs.length = 0
    this.#send(messages.encodeGoodbye(END_REASONS.indexOf(reason), reason))
    this.#finish({ type: 'end', reason, detail, byPeer: false })
  }

  #finish(end: Output): void {
    this.#phase = 'ended'
    this.#puller.close()
    this.#outputs.push(end)
  }
}

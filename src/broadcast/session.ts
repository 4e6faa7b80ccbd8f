import { toHex } from '../base/bytes.ts'
import { assert } from '../base/errors.ts'
import { LAZY_PULL_MS } from '../base/limits.ts'
import type { Run } from '../event/run.ts'
import { admissionProof, checkAdmission } from './admission.ts'
import { Comparison } from './comparison.ts'
import { ControlBudget } from './control-budget.ts'
import type { EndReason, Violation } from './end-reason.ts'
import { CLOSING, END_REASONS } from './end-reason.ts'
import { Liveness } from './liveness.ts'
import type { Head, HeadsKind, Message } from './messages.ts'
import { Marking } from './marking.ts'
import { Meeting, type MeetingOptions } from './meeting.ts'
import * as messages from './messages.ts'
import type { Output } from './output.ts'
import type { RunStatus } from './receiver.ts'
import { Receiver } from './receiver.ts'
import { RemoteFrontier } from './remote-frontier.ts'
import type { Claims, Pace, Replica, ReplicaChange, ReplicaLog } from './replica.ts'
import { Sender } from './sender.ts'
import { Teller } from './teller.ts'

export interface SessionOptions extends MeetingOptions {
  admissionKey: Buffer
  replica: Replica
  claims: Claims
  pace: Pace
}

const BEFORE_OPEN: ReadonlySet<Message['type']> = new Set(['root', 'heads', 'range', 'tell', 'ping'])

/**
 * One conversation with one peer, as a state machine without IO: messages, changes of the replica and the time go in;
 * `poll` gives out, one by one, what is to be done. The same code runs over every transport and in a simulator.
 *
 * hello ⇄ hello, root ⇄ root; if the roots differ heads ⇄ heads, of all logs or of those that may differ (see `Meeting`);
 * then requests and frames until nothing is missing, and from then on new events are pushed as they are stored. See
 * docs/PROTOCOL.md.
 */
export class Session {
  readonly #options: SessionOptions
  readonly #replica: Replica
  readonly #remote: RemoteFrontier
  readonly #receiver: Receiver
  readonly #sender: Sender
  readonly #teller: Teller
  /** What is to be done whether or not the connection takes more. */
  readonly #effects: Exclude<Output, { type: 'send' }>[] = []
  /** HELLO and ROOT. */
  readonly #openings: Buffer[] = []
  #phase: 'idle' | 'hello' | 'root' | 'heads' | 'open' | 'ended' = 'idle'
  /** How the two have met. */
  readonly meeting: Meeting
  readonly #marking: Marking
  readonly #comparison: Comparison
  readonly #control = new ControlBudget()
  readonly #liveness = new Liveness()

  constructor(options: SessionOptions) {
    const { replica, pace } = options
    this.#options = options
    this.#replica = replica
    this.#remote = new RemoteFrontier(replica)
    this.#teller = new Teller(replica, this.#remote, pace)
    this.#receiver = new Receiver(replica, this.#remote, this.#teller, options)
    this.#sender = new Sender(replica, this.#remote, options)
    this.#comparison = new Comparison(replica, this.#remote, this.#receiver, this.#sender)
    this.meeting = new Meeting(replica, this.#remote, this.#teller, options)
    this.#marking = new Marking(replica)
  }

  get ended(): boolean {
    return this.#phase === 'ended'
  }

  /** True once the peer has proved that it knows the database. */
  get admitted(): boolean {
    return this.#phase === 'root' || this.#phase === 'heads' || this.#phase === 'open'
  }

  /** What the peer has told of a log, and whether it owes us some of it; null before the frontiers are compared. */
  account(hex: string): { length: number; owes: boolean } | null {
    if (this.#phase !== 'open') return null
    return { length: this.#remote.lengthOf(hex), owes: this.#receiver.puller.isWanted(hex) }
  }

  /** Logs that the peer has announced and that we lack, wholly or in part. */
  get wantedLogs(): number {
    return this.#receiver.puller.size + this.#comparison.unavailable
  }

  /** True while neither side lacks anything of the other's, as far as both have said. */
  get inSync(): boolean {
    return this.#comparison.isEven && this.#isIdle
  }

  // ---- inputs ---------------------------------------------------------------------------------------------------

  start(now: number): void {
    assert(this.#phase === 'idle', 'a session starts once')
    const { admissionKey, handshakeHash, initiator } = this.#options
    this.#phase = 'hello'
    this.#liveness.start(now)
    this.#openings.push(messages.encodeHello(admissionProof(admissionKey, handshakeHash, initiator)))
  }

  /** A message from the peer: any bytes whatever. `message`: what they say, if they were decoded already. */
  receive(bytes: Buffer, now: number, message: Message | null = messages.decodeMessage(bytes)): void {
    if (this.ended || this.#isTimeUnsound(now)) return
    this.#liveness.heard(now)
    if (message === null) return this.#end('protocol-violation', 'sent a message that is malformed')
    if (message.type === 'goodbye') return this.#onGoodbye(message.code)
    if (message.type === 'hello') return this.#onHello(message.version, message.proof, now)
    if (!this.admitted) return this.#end('protocol-violation', `sent ${message.type} before it was admitted`)
    if (!this.#control.spend(message, now)) return this.#end('flood', 'sent too many control messages')
    if (this.#phase !== 'open' && !BEFORE_OPEN.has(message.type)) {
      return this.#end('protocol-violation', `sent ${message.type} before its heads`)
    }
    this.#onMessage(message, bytes.length, now)
  }

  /** The replica has changed, by us or by any peer; `fromThisPeer`: by what this session received. */
  changed(changes: readonly ReplicaChange[], fromThisPeer: boolean): void {
    // What happens before our root is sent is part of it.
    if (this.ended || !this.meeting.started) return
    const { puller } = this.#receiver
    if (changes.length > 0) this.#marking.changed()
    for (const { run, log, local } of changes) {
      this.#remote.grown(log.hex, run.from)
      this.#endFor(this.#comparison.grown(log))
      if (this.ended) return
      if (fromThisPeer) {
        this.#remote.atLeast(log.hex, run.from + run.events.length)
        puller.settle(log.hex)
        continue
      }
      if (this.#phase === 'open') this.#offer(run, log, local)
      else this.#teller.tell(log.hex)
      puller.grown(log.hex)
    }
  }

  /** Logs that were found to be forked: the proof goes to everybody who does not have it. */
  forked(logs: readonly ReplicaLog[]): void {
    if (this.ended) return
    this.#marking.forget()
    for (const { hex, fork } of logs) {
      this.#receiver.puller.drop(hex)
      this.#comparison.forked(hex)
      if (this.meeting.started && fork !== null) this.#sender.sendProof(hex, fork)
    }
  }

  /** What became of the runs of the oldest `ingest` output. */
  ingested(statuses: readonly RunStatus[], now: number): void {
    if (this.ended) return
    this.#endFor(this.#receiver.ingested(statuses, now))
    if (this.ended) return
    const progress = this.#receiver.progress(now)
    if (progress !== null) this.#effects.push({ type: 'progress', ...progress })
  }

  /** `null`: it was not kept, for want of room. */
  proofIngested(valid: boolean | null): void {
    if (valid === false && !this.ended) this.#end('protocol-violation', 'sent a fork proof that proves nothing')
  }

  /** Other sessions have let go of logs that they were pulling. */
  unblock(authors: Iterable<string>): void {
    this.#receiver.puller.unblock(authors)
  }

  /** Time has passed; see `wakeAt`. */
  wake(now: number): void {
    if (this.ended || this.#isTimeUnsound(now)) return
    const owes = this.#phase === 'open' && this.#receiver.puller.stalled(now)
    this.#endFor(this.#liveness.violation(this.#stage, owes, now) ?? this.#sender.violation(now))
    if (!this.ended) this.#receiver.wake(now)
  }

  /** Ends the session from our side. */
  close(violation: Violation = CLOSING): void {
    if (!this.ended) this.#endFor(violation)
  }

  /** The connection is gone: nothing more can be sent. */
  lost(): void {
    this.#phase = 'ended'
    this.#receiver.puller.close()
    this.#effects.length = 0
  }

  // ---- outputs --------------------------------------------------------------------------------------------------

  /**
   * The next thing to do, or null for now. Call it after every input, and when the connection can take more. While it
   * can't, nothing is given to send, but everything else.
   */
  poll(now: number, writable: boolean): Output | null {
    const effect = this.#effects.shift()
    if (effect !== undefined) return effect
    if (this.ended) return null
    this.#liveness.writable(now, writable)
    if (!writable) return null
    const bytes = this.#nextMessage(now)
    if (bytes === null) return this.#nextInSync()
    this.#liveness.sent(now)
    return { type: 'send', bytes }
  }

  #nextMessage(now: number): Buffer | null {
    const opening = this.#openings.shift()
    if (opening !== undefined) return opening
    if (!this.admitted) return null
    const heads = this.meeting.next() ?? this.#teller.nextHeads()
    const message = heads ?? (this.#phase === 'open' ? this.#nextOpen(now) : null)
    return message ?? (this.#liveness.isPingDue(now) ? messages.PING_MESSAGE : null)
  }

  #nextOpen(now: number): Buffer | null {
    const message = this.#receiver.next(now)
    if (message !== null) return message
    const frame = this.#sender.next(now)
    if (frame !== null) {
      this.#control.earn()
      return frame
    }
    const news = this.#teller.nextNews(now)
    if (news !== null || !this.inSync) return news
    const mark = this.#marking.next(now)
    if (mark !== null) this.#settleMark()
    return mark
  }

  /** When to call `wake` and `poll` next, in milliseconds; infinity for never. */
  get wakeAt(): number {
    if (this.ended) return Infinity
    const at = this.#liveness.wakeAt(this.#stage)
    if (this.#phase !== 'open') return at
    const due = Math.min(at, this.#receiver.puller.wakeAt)
    if (this.#liveness.isBlocked) return due
    return Math.min(due, this.#teller.wakeAt, this.#sender.wakeAt, this.inSync ? this.#marking.wakeAt : Infinity)
  }

  get #stage(): 'hello' | 'meeting' | 'open' {
    return this.admitted ? (this.#phase === 'open' ? 'open' : 'meeting') : 'hello'
  }

  // ---- messages -------------------------------------------------------------------------------------------------

  #onHello(version: number, proof: Buffer, now: number): void {
    if (this.#phase !== 'hello') return this.#end('protocol-violation', 'said hello twice')
    const { admissionKey, handshakeHash, initiator } = this.#options
    if (version !== messages.PROTOCOL_VERSION) {
      return this.#end('other-version', `speaks protocol ${version}, we ${messages.PROTOCOL_VERSION}`)
    }
    if (!checkAdmission(proof, admissionKey, handshakeHash, !initiator)) {
      return this.#end('not-admitted', 'does not know the database, or has another secret')
    }
    this.#phase = 'root'
    this.#liveness.step(now)
    this.#effects.push({ type: 'admitted' })
    this.#openings.push(this.meeting.start())
  }

  #onGoodbye(code: number): void {
    this.#finish({ type: 'end', reason: END_REASONS[code] ?? 'closing', detail: '', byPeer: true, farewell: null })
  }

  #onMessage(message: Message, bytes: number, now: number): void {
    switch (message.type) {
      case 'root':
        return this.#onRoot(message, now)
      case 'heads':
        return this.#onHeads(message.kind, message.heads, now)
      case 'range':
      case 'tell':
        this.#liveness.step(now)
        return this.#endFor(this.meeting.search(message))
      case 'request':
        return message.ranges.forEach((range) => this.#sender.serve(range))
      case 'frame':
        return this.#onFrame(message.runs, now)
      case 'ack':
        if (this.#sender.acknowledged(message.frames, now)) return
        return this.#end('protocol-violation', 'acknowledged more than it was sent')
      case 'fork':
        return this.#onFork(message.proof, bytes)
      case 'lazy':
      case 'eager':
        this.#sender.prefer(message.type)
        break
      case 'mark':
        this.#marking.heard(message.mark)
        return this.#settleMark()
      default:
      // A ping says no more than that the peer is there.
    }
  }

  #onRoot({ root, marks, logs }: Extract<Message, { type: 'root' }>, now: number): void {
    if (this.#phase !== 'root') return this.#end('protocol-violation', 'sent its root twice')
    this.#liveness.step(now)
    const mark = this.meeting.compare(root, marks, logs)
    this.#phase = mark === null ? 'heads' : 'open'
    if (mark === null) this.#marking.changed()
    else this.#effects.push({ type: 'mark', mark })
  }

  #settleMark(): void {
    const mark = this.#marking.take()
    if (mark !== null) this.#effects.push({ type: 'mark', mark })
  }

  #onHeads(kind: HeadsKind, heads: Head[], now: number): void {
    if (this.#phase === 'root' || this.meeting.isSearching || (this.#phase === 'heads') === (kind === 'news')) {
      return this.#end('protocol-violation', 'sent heads out of turn')
    }
    if (heads.length > 0) this.#liveness.step(now)
    const askAt = this.#receiver.expectsOthers ? now + LAZY_PULL_MS : 0
    for (const head of heads) {
      this.#endFor(this.#comparison.head(head, kind === 'news' ? askAt : null))
      if (this.ended) return
    }
    if (kind !== 'last') return
    this.#phase = 'open'
    for (const { hex } of this.meeting.end()) this.#comparison.compare(this.#replica.log(hex) as ReplicaLog)
    const { unavailable } = this.#comparison
    if (unavailable > 0) this.#effects.push({ type: 'unavailable', logs: unavailable })
  }

  #onFrame(runs: Run[], now: number): void {
    const received = this.#receiver.frame(runs, now)
    if (!Array.isArray(received)) this.#endFor(received)
    else if (received.length > 0) this.#effects.push({ type: 'ingest', runs: received })
  }

  #onFork(proof: Buffer, bytes: number): void {
    const hex = toHex(proof.subarray(0, 32))
    this.#sender.knowsProof(hex)
    const log = this.#replica.log(hex)
    if (log === undefined ? this.#replica.hasRoom : log.fork === null) {
      this.#effects.push({ type: 'ingest-proof', proof })
      return
    }
    this.#receiver.wasted(bytes)
    this.#endFor(this.#receiver.flood)
  }

  // ---- telling the peer -----------------------------------------------------------------------------------------

  /** A new run: pushed if the peer holds what precedes it, else announced. */
  #offer(run: Run, log: ReplicaLog, local: boolean): void {
    const { hex } = log
    const length = run.from + run.events.length
    const theirs = this.#remote.lengthOf(hex)
    if (theirs > length) return
    const push = (local || this.#sender.isEager) && theirs === run.from && !this.#sender.isServing(hex)
    if (push && this.#sender.push(run)) {
      this.#remote.set(hex, length)
      return
    }
    // Also if the peer has announced as much: it waits for us to catch up before it calls us in sync.
    if (!this.#sender.isServing(hex)) this.#teller.tell(hex)
    this.#comparison.compare(log)
  }

  #nextInSync(): Output | null {
    if (this.#phase !== 'open' || !this.#isIdle) return null
    return this.#comparison.settle() ? { type: 'in-sync' } : null
  }

  get #isIdle(): boolean {
    return this.#receiver.puller.idle && this.#sender.idle && this.#teller.idle
  }

  // ---- small things ---------------------------------------------------------------------------------------------

  #isTimeUnsound(now: number): boolean {
    if (!this.#liveness.isSound(now)) this.#end('closing', 'our clock was set back')
    return this.ended
  }

  #endFor(violation: Violation | null): void {
    if (violation !== null) this.#end(violation.reason, violation.detail)
  }

  #end(reason: EndReason, detail: string): void {
    const farewell = messages.encodeGoodbye(END_REASONS.indexOf(reason), reason)
    this.#finish({ type: 'end', reason, detail, byPeer: false, farewell })
  }

  #finish(end: Extract<Output, { type: 'end' }>): void {
    this.#phase = 'ended'
    this.#receiver.puller.close()
    this.#effects.length = 0
    this.#effects.push(end)
  }
}

import { toHex } from '../../base/bytes.ts'
import { assert } from '../../base/errors.ts'
import { hash } from '../../base/hash.ts'
import type { Run } from '../../event/run.ts'
import { decodeEventHeader } from '../../event/event.ts'
import type { Violation } from '../end-reason.ts'
import type { RunStatus } from '../receiver.ts'
import type { HeldPieces } from './held-pieces.ts'
import type { Lane, LaneRun, StagedEvent } from './lane.ts'
import { MAX_PEAKS_TRIES, PEAKS_RETRY_MS, REFUSED_MS, STAGE_TIMEOUT_MS, STALLED_MS } from './limits.ts'
import type { EventsMessage, Part, Peaks, PieceEvent, SignedHead, Want } from './messages.ts'
import type { Place } from './place.ts'
import { Refused } from './refused.ts'
import type { GossipReplica } from './replica.ts'
import { Memory } from './memory.ts'
import type { StagedLog } from './staged-logs.ts'
import { SHARED, StagedLogs } from './staged-logs.ts'
import type { Taken } from './taken.ts'
import { useful, USELESS, wrong } from './taken.ts'

export interface Blame {
  sender: string
  violation: Violation
}

const FORGED: Violation = { reason: 'invalid-events', detail: 'sent events that are not what it said' }
const UNSIGNED: Violation = { reason: 'invalid-events', detail: 'sent events that their author has not signed' }

/**
 * Received pieces until they can be verified: that is when all events from the end of our log to a signed head are here. Until
 * then nobody knows whether they are true. So they are kept in a lane that all senders share only as long as they fit each
 * other; after that in one for each sender, where a false piece spoils only what came from the same sender.
 */
export class Stage {
  readonly #replica: GossipReplica
  readonly #refused: Refused
  readonly #logs: StagedLogs
  readonly #separations = new Memory()
  /** Logs that were given up. */
  readonly #stalls = new Memory()
  readonly #ready = new Set<string>()
  #ingesting: { log: StagedLog; lane: Lane; run: LaneRun }[] = []

  constructor(replica: GossipReplica, held: HeldPieces) {
    this.#replica = replica
    this.#refused = new Refused(held)
    this.#logs = new StagedLogs(held)
  }

  get bytes(): number {
    return this.#logs.bytes
  }

  /** Logs of which something waits, and pieces that are not taken. */
  get sizes(): { logs: number; refused: number } {
    return { logs: this.#logs.size, refused: this.#refused.size }
  }

  // ---- taking -----------------------------------------------------------------------------------------------------

  takeEvents({ author, head, events }: EventsMessage, sender: string, now: number): Taken {
    const places: Place[] = []
    for (const event of events) {
      const taken = this.#takeEvent(author, head, event, hash(event.bytes), sender, now)
      if (taken.violation !== null) return taken
      places.push(...taken.useful)
    }
    return { useful: places, violation: null }
  }

  #takeEvent(author: Buffer, head: SignedHead, piece: PieceEvent, id: Buffer, sender: string, now: number): Taken {
    const header = decodeEventHeader(piece.bytes)
    if (typeof header === 'string' || header.seq !== piece.seq || !header.author.equals(author)) {
      return wrong(FORGED)
    }
    const place = this.#placeFor(author, piece.seq, piece.time, id, sender, now)
    if (place === null) return USELESS
    const { log } = place
    let { lane } = place
    const known = lane.events.get(piece.seq)
    if (known?.id.equals(id) === true) {
      lane.addHead(head.length, head.signature, sender)
      return USELESS
    }
    if (known !== undefined || !lane.addHead(head.length, head.signature, sender)) {
      if (lane.key !== SHARED) return wrong(UNSIGNED)
      this.#separate(log, now)
      lane = this.#logs.lane(log, sender)
      lane.addHead(head.length, head.signature, sender)
    }
    log.at = now
    this.#ready.add(log.hex)
    if (piece.seq === (this.#replica.log(log.hex)?.mmr.length ?? 0)) this.#resume(log.hex, now)
    this.#logs.addEvent(log, lane, piece, id, sender)
    return useful(piece.time, id)
  }

  /** The next event of a log is here: what had to wait for it in vain is wanted again. */
  #resume(hex: string, now: number): void {
    if (!this.#stalls.has(hex, now)) return
    this.#stalls.delete(hex)
    this.#refused.release(hex)
  }

  takePart({ author, id, total, index, bytes, event }: Part, sender: string, now: number): Taken {
    assert(event !== null, 'a proof is no event')
    const place = this.#placeFor(author, event.seq, event.time, id, sender, now)
    if (place === null) return USELESS
    const { log, lane } = place
    if (lane.events.get(event.seq)?.id.equals(id) === true) return USELESS
    const key = id.toString('latin1')
    let staged = lane.parts.get(key)
    if (staged !== undefined && (staged.assembly.total !== total || staged.seq !== event.seq)) {
      if (lane.key !== SHARED) return wrong(FORGED)
      this.#separate(log, now)
      return USELESS
    }
    staged ??= this.#logs.newParts(lane, id, total, event, sender)
    const { assembly } = staged
    if (!assembly.add(index, bytes, sender)) return USELESS
    log.at = now
    const isDropped = this.#logs.addPart(log, lane, staged, bytes.length, sender)
    if (isDropped || !assembly.isWhole) return useful(event.time, id)
    this.#logs.dropParts(log, lane, staged)
    const whole = assembly.whole()
    if (whole !== null) {
      return this.#takeEvent(author, event.head, { seq: event.seq, time: event.time, bytes: whole }, id, sender, now)
    }
    if (assembly.senders.size === 1) return wrong(FORGED)
    this.#separate(log, now)
    return USELESS
  }

  /** Where an event of a log belongs, or null if it is not to be kept. */
  #placeFor(
    author: Buffer,
    seq: number,
    time: number,
    id: Buffer,
    sender: string,
    now: number,
  ): { log: StagedLog; lane: Lane } | null {
    const hex = toHex(author)
    const log = this.#replica.log(hex)
    if (this.#refused.has(id)) {
      this.#refused.again(id, sender)
      return null
    }
    const length = log?.mmr.length ?? 0
    let isSeparate = this.#separations.has(hex, now)
    if (log === undefined ? !this.#replica.hasRoom : log.fork !== null || seq < log.start) {
      this.#refused.add(time, Buffer.from(id), sender, now + REFUSED_MS)
      return null
    }
    if (seq < length) {
      if (this.#replica.items.bytes(id) !== null) return null
      // It contradicts what is here: with the peaks before it, the two prove that the author forked, or that the sender lies.
      isSeparate = true
    } else if (log === undefined && this.#replica.beginning !== null) isSeparate = true
    const staged = this.#logs.get(hex) ?? this.#logs.add(author, hex, now)
    if (staged === null) return null
    if (seq < length) this.#separations.add(hex, now)
    const lane = this.#logs.lane(staged, isSeparate ? sender : SHARED)
    if (lane.peaks !== null && length === 0 && seq < lane.peaks.seq) {
      this.#refused.add(time, Buffer.from(id), sender, now + REFUSED_MS)
      return null
    }
    return { log: staged, lane }
  }

  /** Pieces of the log did not fit each other: from now on each sender's are kept apart. */
  #separate(log: StagedLog, now: number): void {
    this.#separations.add(log.hex, now)
    const shared = log.lanes.get(SHARED)
    if (shared !== undefined) this.#logs.dropLane(log, shared)
  }

  takePeaks({ author, seq, peaks }: Peaks, sender: string): void {
    const log = this.#logs.get(toHex(author))
    const lane = log?.lanes.get(sender)
    // What nobody asked for, or a seq of another question.
    if (log === undefined || lane === undefined || lane.asked === 0 || lane.peaks !== null) return
    lane.peaks = { seq, bytes: Buffer.from(peaks) }
    this.#ready.add(log.hex)
  }

  // ---- verifying --------------------------------------------------------------------------------------------------

  /** True if runs may be whole. */
  get isReady(): boolean {
    return this.#ready.size > 0 && this.#ingesting.length === 0
  }

  /** Runs that are whole, to be verified and stored; `ingested` is told what became of them. */
  nextRuns(): Run[] {
    assert(this.#ingesting.length === 0, 'runs are stored one after the other')
    for (const hex of this.#ready) {
      this.#ready.delete(hex)
      const log = this.#logs.get(hex)
      if (log === undefined) continue
      for (const lane of log.lanes.values()) {
        const run = this.#runOf(log, lane)
        if (run === null) continue
        this.#ingesting.push({ log, lane, run })
        // The other lanes wait for what becomes of it.
        break
      }
      if (this.#ingesting.length >= 64) break
    }
    return this.#ingesting.map(({ run }) => run.run)
  }

  #runOf({ author, hex }: StagedLog, lane: Lane): LaneRun | null {
    const length = this.#replica.log(hex)?.mmr.length ?? 0
    const from = this.#beginningOf(hex, lane)
    if (typeof from === 'number') return lane.run(author, from, null)
    if (lane.peaks === null) return null
    const { seq, bytes } = lane.peaks
    if (from.kind === 'seq' && seq !== from.value) {
      // The log has grown since they were asked for.
      lane.peaks = null
      return null
    }
    const peaks = length === 0 && seq === 0 ? null : bytes
    return lane.run(author, seq, peaks)
  }

  /** Where a lane's next run begins, or what has to be asked for first. */
  #beginningOf(hex: string, lane: Lane): number | Omit<Want, 'type' | 'author'> {
    const known = this.#replica.log(hex)
    const length = known?.mmr.length ?? 0
    if (lane.key === SHARED) return length
    const { lowest } = lane
    // The peaks after the first event that contradicts ours are the first that do.
    if (lowest !== null && lowest < length) return { kind: 'seq', value: lowest + 1 }
    if (lane.isSuspect) return { kind: 'seq', value: length }
    const { beginning } = this.#replica
    if (known !== undefined || beginning === null) return length
    return 'last' in beginning ? { kind: 'last', value: beginning.last } : { kind: 'time', value: beginning.time }
  }

  /** What became of the runs. Returns who lied. */
  ingested(statuses: readonly RunStatus[], now: number): Blame[] {
    const ingesting = this.#ingesting
    assert(statuses.length === ingesting.length, 'one status for every run')
    this.#ingesting = []
    return ingesting.flatMap((one, i) => this.#onStatus(statuses[i] as RunStatus, one, now) ?? [])
  }

  /** They could not be looked at, and are given out again. */
  ingestFailed(): void {
    for (const { log } of this.#ingesting.splice(0)) this.#ready.add(log.hex)
  }

  #onStatus(
    status: RunStatus,
    { log, lane, run }: { log: StagedLog; lane: Lane; run: LaneRun },
    now: number,
  ): Blame | null {
    this.#ready.add(log.hex)
    switch (status) {
      case 'duplicate':
        // What is here already would not have been kept: the sender's peaks are ours, its events are not.
        if (run.run.peaks !== null) this.#refuse(log, lane, run.events, now + REFUSED_MS)
        this.#settle(log, now)
        return null
      case 'stored':
        log.at = now
        this.#settle(log, now)
        return null
      case 'held':
      case 'frozen':
      case 'no-room':
      case 'gap': {
        const until = Math.max(now + REFUSED_MS, status === 'held' ? (this.#replica.heldUntil(log.hex) ?? 0) : 0)
        this.#refuse(log, lane, run.events, until)
        return null
      }
      case 'forked':
        this.#logs.dropLog(log)
        return null
      case 'unverified':
      case 'invalid': {
        const [sender, ...others] = run.senders
        if (lane.key === SHARED && (status === 'unverified' || others.length > 0)) {
          this.#separate(log, now)
          return null
        }
        if (status === 'unverified') {
          lane.isSuspect = true
          return null
        }
        this.#logs.dropLane(log, lane)
        return { sender: sender as string, violation: UNSIGNED }
      }
    }
  }

  /** What waits and is stored now, or never will be, makes room. */
  #settle(log: StagedLog, now: number): void {
    const known = this.#replica.log(log.hex)
    const length = known?.mmr.length ?? 0
    for (const lane of log.lanes.values()) {
      const stale = [...lane.events.values()].filter(({ seq, id }) => {
        if (known === undefined || seq >= length) return false
        // What contradicts the stored events stays, until the sender's peaks tell who is wrong.
        return lane.key === SHARED || seq < known.start || this.#replica.items.bytes(id) !== null
      })
      lane.isSuspect = false
      lane.peaks = null
      lane.asked = 0
      this.#logs.forget(log, lane, stale)
      this.#refuse(
        log,
        lane,
        stale.filter(({ seq }) => seq < (known?.start ?? 0)),
        now + REFUSED_MS,
      )
      // The signatures of what contradicts ours are still needed.
      if ((lane.lowest ?? Infinity) >= length) lane.forgetHeads(length - 1)
    }
  }

  /** The replica has stored events of these logs, wherever they came from. */
  grown(authors: Iterable<string>, now: number): void {
    for (const hex of authors) {
      const log = this.#logs.get(hex)
      if (log === undefined) continue
      this.#ready.add(hex)
      // What we are storing ourselves is settled when it is done.
      if (this.#ingesting.every((one) => one.log !== log)) this.#settle(log, now)
    }
  }

  /** The next question for peaks to a sender, or null. */
  nextWant(now: number): { sender: string; want: Omit<Want, 'type'> } | null {
    for (const log of this.#logs.all()) {
      for (const lane of log.lanes.values()) {
        if (lane.key === SHARED || lane.peaks !== null || lane.isEmpty || lane.askAt > now) continue
        const beginning = this.#beginningOf(log.hex, lane)
        if (typeof beginning === 'number') continue
        if (++lane.asked > MAX_PEAKS_TRIES) {
          this.#giveUp(log, lane, now)
          continue
        }
        lane.askAt = now + PEAKS_RETRY_MS
        return { sender: lane.key, want: { author: log.author, ...beginning } }
      }
    }
    return null
  }

  // ---- letting go -------------------------------------------------------------------------------------------------

  /** The sender is gone, or banned: what it alone has sent is of no more use. */
  leave(sender: string): void {
    for (const log of this.#logs.all()) {
      const lane = log.lanes.get(sender)
      if (lane !== undefined && sender !== SHARED) this.#logs.dropLane(log, lane)
    }
  }

  wake(now: number): void {
    this.#refused.wake(now)
    for (const log of this.#logs.all()) {
      if (now - log.at < STAGE_TIMEOUT_MS) continue
      for (const lane of log.lanes.values()) this.#giveUp(log, lane, now)
      this.#stalls.add(log.hex, now)
      this.#logs.dropLog(log)
    }
  }

  /** They can't be stored: they make room, and are not to be sent again for now. */
  #refuse(log: StagedLog, lane: Lane, events: readonly StagedEvent[], until: number): void {
    this.#logs.forget(log, lane, events)
    for (const { time, id, sender } of events) this.#refused.add(time, id, sender, until)
  }

  /** What is missing does not come. If it is what comes next, the rest is not wanted again before that. */
  #giveUp(log: StagedLog, lane: Lane, now: number): void {
    const isGap = lane.lowest !== (this.#replica.log(log.hex)?.mmr.length ?? 0)
    const until = now + (this.#stalls.has(log.hex, now) ? REFUSED_MS : STALLED_MS)
    const events = [...lane.events.values()]
    this.#logs.dropLane(log, lane)
    if (isGap) for (const { time, id, sender } of events) this.#refused.add(time, id, sender, until, log.hex)
  }
}

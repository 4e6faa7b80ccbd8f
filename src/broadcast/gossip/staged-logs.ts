import { Assembly, stagedBytes } from './assembly.ts'
import type { HeldPieces } from './held-pieces.ts'
import type { StagedEvent, StagedParts } from './lane.ts'
import { Lane } from './lane.ts'
import { MAX_STAGED_BYTES, MAX_STAGED_LOGS } from './limits.ts'
import type { PieceEvent } from './messages.ts'
import type { Holding } from './shares.ts'
import { Shares } from './shares.ts'

/** Key of the lane that all senders share. */
export const SHARED = ''

/** A log of which something waits. */
export interface StagedLog {
  readonly author: Buffer
  readonly hex: string
  readonly lanes: Map<string, Lane>
  /** When something of it last came. */
  at: number
}

/** What waits, in bounded memory: whatever is in a lane is counted, and listed as held, until it is let go. */
export class StagedLogs {
  readonly #held: HeldPieces
  readonly #shares = new Shares(MAX_STAGED_BYTES)
  readonly #logs = new Map<string, StagedLog>()

  constructor(held: HeldPieces) {
    this.#held = held
  }

  get bytes(): number {
    return this.#shares.bytes
  }

  get size(): number {
    return this.#logs.size
  }

  get(hex: string): StagedLog | undefined {
    return this.#logs.get(hex)
  }

  all(): IterableIterator<StagedLog> {
    return this.#logs.values()
  }

  /** Null if there are too many. */
  add(author: Buffer, hex: string, now: number): StagedLog | null {
    if (this.#logs.size >= MAX_STAGED_LOGS) return null
    const log = { author: Buffer.from(author), hex, lanes: new Map<string, Lane>(), at: now }
    this.#logs.set(hex, log)
    return log
  }

  lane(log: StagedLog, key: string): Lane {
    // It may have been let go with its last lane.
    this.#logs.set(log.hex, log)
    let lane = log.lanes.get(key)
    if (lane === undefined) {
      lane = new Lane(key)
      log.lanes.set(key, lane)
    }
    return lane
  }

  /** Bytes are copied. */
  addEvent(log: StagedLog, lane: Lane, { seq, time, bytes }: PieceEvent, id: Buffer, sender: string): void {
    const staged: StagedEvent = {
      seq,
      time,
      id,
      event: Buffer.from(bytes),
      sender,
      bytes: stagedBytes(bytes.length),
      dropped: false,
      drop: () => this.forget(log, lane, [staged]),
    }
    lane.events.set(seq, staged)
    this.#held.add(time, id, sender, lane.key === SHARED, null)
    this.#shares.add(staged)
  }

  newParts(
    lane: Lane,
    id: Buffer,
    total: number,
    { seq, time }: { seq: number; time: number },
    sender: string,
  ): StagedParts {
    const parts = { seq, time, sender, assembly: new Assembly(Buffer.from(id), total), holdings: [] }
    lane.parts.set(id.toString('latin1'), parts)
    this.#held.add(time, parts.assembly.id, sender, lane.key === SHARED, parts.assembly)
    return parts
  }

  /** Counts a part. True if there was no room for it. */
  addPart(log: StagedLog, lane: Lane, parts: StagedParts, bytes: number, sender: string): boolean {
    const drop = (): void => this.dropParts(log, lane, parts)
    const holding: Holding = { sender, bytes: stagedBytes(bytes), dropped: false, drop }
    parts.holdings.push(holding)
    this.#shares.add(holding)
    return holding.dropped
  }

  forget(log: StagedLog, lane: Lane, events: Iterable<StagedEvent>): void {
    for (const event of events) {
      this.#shares.remove(event)
      if (lane.events.get(event.seq) === event) lane.events.delete(event.seq)
      this.#held.remove(event.time, event.id, event.sender)
    }
    this.#tidy(log, lane)
  }

  dropParts(log: StagedLog, lane: Lane, { time, sender, assembly, holdings }: StagedParts): void {
    for (const holding of holdings) this.#shares.remove(holding)
    lane.parts.delete(assembly.id.toString('latin1'))
    this.#held.remove(time, assembly.id, sender)
    this.#tidy(log, lane)
  }

  dropLane(log: StagedLog, lane: Lane): void {
    this.forget(log, lane, lane.events.values())
    for (const parts of lane.parts.values()) this.dropParts(log, lane, parts)
    this.#remove(log, lane)
  }

  dropLog(log: StagedLog): void {
    for (const lane of log.lanes.values()) this.dropLane(log, lane)
    if (this.#logs.get(log.hex) === log) this.#logs.delete(log.hex)
  }

  /** An empty lane is kept while it holds what was asked for. */
  #tidy(log: StagedLog, lane: Lane): void {
    if (lane.isEmpty && lane.peaks === null) this.#remove(log, lane)
  }

  #remove(log: StagedLog, lane: Lane): void {
    if (log.lanes.get(lane.key) === lane) log.lanes.delete(lane.key)
    if (log.lanes.size === 0 && this.#logs.get(log.hex) === log) this.#logs.delete(log.hex)
  }
}

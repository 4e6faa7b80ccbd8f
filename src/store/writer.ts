import { toHex } from '../base/bytes.ts'
import { assert } from '../base/errors.ts'
import { MAX_CLOCK_AHEAD_MS } from '../base/limits.ts'
import type { Timestamp } from '../event/clock.ts'
import { compareTimestamps } from '../event/clock.ts'
import type { EventBody } from '../event/event.ts'
import { decodeEventBody } from '../event/event.ts'
import { Mmr } from '../event/mmr.ts'
import type { DatabaseKeys } from '../event/keys.ts'
import type { Run } from '../event/run.ts'
import type { CausalOrder, LinkedEvent } from './causal-order.ts'
import type { Commit } from './commit.ts'
import type { EventTable } from './event-table.ts'
import type { HeldRuns } from './held-runs.ts'
import type { IngestStatus } from './ingest-status.ts'
import { checkRun } from './ingest.ts'
import type { Log } from './log.ts'
import { changedLog } from './log.ts'
import type { Logs } from './logs.ts'
import type { NewEvent, Piece } from './own-log.ts'
import type { Event } from './stored-event.ts'

/** What a transaction will have changed once it is committed. */
export class Staged {
  readonly logs: Map<string, Log> = new Map()
  /** Of them, those that were not here before. */
  newLogs = 0
  readonly commit: Commit = { runs: [], forks: [] }
}

export interface WriterParts {
  keys: DatabaseKeys
  /** Hex of this replica's own author. */
  ownAuthor: string
  logs: Logs
  table: EventTable
  held: HeldRuns
  causal: CausalOrder
  /** Whether logs may begin in the middle. */
  mayBegin: boolean
  now: () => number
}

/** Writes events of our own and runs of others into the tables, within the transaction of its caller. */
export class Writer {
  readonly #parts: WriterParts
  readonly #table: EventTable

  constructor(parts: WriterParts) {
    this.#parts = parts
    this.#table = parts.table
  }

  /** Stores events of our own and adds them, as the user sees them, to `events`. Returns the log, grown by whole segments. */
  storePiece(log: Log, piece: Piece, items: readonly NewEvent[], events: Event[]): Log {
    const { from, ids, bodies, segment } = piece
    const signature = segment?.run.signature ?? null
    const position = this.#table.insert(log, { from, events: piece.events, signature }, ids, bodies)
    for (const [i, { time, subject, type }] of bodies.entries()) {
      const { data } = items[events.length] as NewEvent
      events.push({
        id: toHex(ids[i] as Buffer),
        author: log.hex,
        seq: from + i,
        position: position + i,
        timestamp: time,
        subject,
        ...(type === '' ? {} : { type }),
        data,
        local: true,
      })
    }
    if (segment === null) return log
    const { run, after, root } = segment
    this.#table.checkpoint(log, after, sizeOf(run.events))
    const { time, tick } = bodies.at(-1) as EventBody
    return changedLog(log, { mmr: after, root, position: this.#table.nextPosition - 1, time, tick })
  }

  /** Stores what a received run adds to its log, if its author has signed it. */
  storeRun(received: Run, staged: Staged): IngestStatus {
    const hex = received.author.toString('hex')
    const { logs, keys, mayBegin } = this.#parts
    const stored = staged.logs.get(hex) ?? logs.get(hex)
    if (stored === undefined && !logs.hasRoomFor(staged.newLogs + 1)) return 'no-room'
    const known = stored ?? logs.empty(received.author)
    const check = checkRun(received, known, this.#table, keys.tag, mayBegin)
    if (!('run' in check)) {
      if (check.proof === undefined) return check.status
      return this.freeze(known, check.proof, staged) ? check.status : 'no-room'
    }
    const { run, verified } = check
    const bodies = run.events.map((bytes, i) => {
      const header = verified.headers[i]
      assert(header !== undefined, 'a header for every verified event')
      const body = run.opened?.[i]?.body ?? decodeEventBody(bytes, header, this.#parts.keys.seal)
      return typeof body === 'string' ? null : body
    })
    const latest = bodies.reduce((time, body) => Math.max(time, body?.time ?? 0), 0)
    // Our own events have a place before the next one we write, whatever the clock of this machine says now.
    if (latest > this.#parts.now() + MAX_CLOCK_AHEAD_MS && hex !== this.#parts.ownAuthor) {
      this.#parts.held.hold(hex, run, latest - MAX_CLOCK_AHEAD_MS)
      return 'held'
    }
    const log = run.from > known.mmr.length ? this.#begin(known, run) : known
    let clock: Timestamp = log
    const linked: LinkedEvent[] = []
    // An author whose clock does not advance has no place in the order; what it wrote is kept, and served, unread.
    const indexes = bodies.map((body, i) => {
      if (body === null || compareTimestamps(body, clock) <= 0) return null
      clock = body
      if (body.links.length > 0) linked.push({ seq: run.from + i, links: body.links })
      return body
    })
    this.#table.insert(log, run, verified.ids, indexes)
    this.#table.checkpoint(log, verified.mmr, sizeOf(run.events))
    const { time, tick } = clock
    const position = this.#table.nextPosition - 1
    const after = changedLog(log, { mmr: verified.mmr, root: verified.mmr.root(), position, time, tick })
    if (stored === undefined) staged.newLogs++
    staged.logs.set(hex, after)
    this.#parts.causal.arrived(log, after, linked, staged.logs)
    staged.commit.runs.push({ run, ids: verified.ids, log: after, local: hex === this.#parts.ownAuthor })
    return 'stored'
  }

  #begin(log: Log, { from, peaks }: Run): Log {
    const mmr = Mmr.from(from, peaks as Buffer)
    const begun = changedLog(log, { start: from, mmr, root: mmr.root() })
    this.#table.begin(begun)
    return begun
  }

  /** Stops a log for good: its author has signed two contradicting histories. False if there is no room for the proof. */
  freeze(log: Log, proof: Buffer, staged: Staged): boolean {
    if (!this.#parts.logs.hasRoomForFork(proof)) return false
    const frozen = changedLog(log, { fork: proof })
    staged.logs.set(log.hex, frozen)
    this.#parts.causal.frozen(frozen, staged.logs)
    staged.commit.forks.push(frozen)
    return true
  }
}

function sizeOf(events: readonly Buffer[]): number {
  return events.reduce((sum, event) => sum + event.length, 0)
}

import { assert } from '../base/errors.ts'
import { MAX_CLOCK_AHEAD_MS } from '../base/limits.ts'
import type { Timestamp } from '../event/clock.ts'
import { compareTimestamps } from '../event/clock.ts'
import { decodeEventBody } from '../event/event.ts'
import type { DatabaseKeys } from '../event/keys.ts'
import type { Run } from '../event/run.ts'
import type { Commit } from './commit.ts'
import type { EventTable } from './event-table.ts'
import { packSignature } from './event-table.ts'
import type { HeldRuns } from './held-runs.ts'
import type { IngestStatus } from './ingest-status.ts'
import { checkRun } from './ingest.ts'
import type { Log } from './log.ts'
import { changedLog } from './log.ts'
import type { Logs } from './logs.ts'
import type { NewEvent, Segment } from './own-log.ts'
import type { Event } from './stored-event.ts'

/** What a transaction will have changed once it is committed. */
export class Staged {
  readonly logs: Map<string, Log> = new Map()
  /** Of them, those that were not here before. */
  newLogs = 0
  readonly commit: Commit = { runs: [], forks: [] }
}

/** Writes segments of our own and runs of others into the tables, within the transaction of its caller. */
export class Writer {
  readonly #keys: DatabaseKeys
  readonly #ownAuthor: string
  readonly #logs: Logs
  readonly #table: EventTable
  readonly #held: HeldRuns
  readonly #now: () => number

  constructor(keys: DatabaseKeys, ownAuthor: string, logs: Logs, table: EventTable, held: HeldRuns, now: () => number) {
    this.#keys = keys
    this.#ownAuthor = ownAuthor
    this.#logs = logs
    this.#table = table
    this.#held = held
    this.#now = now
  }

  /** Stores a segment of our own and adds its events, as the user sees them, to `events`. Returns the log after it. */
  storeSegment(log: Log, segment: Segment, items: readonly NewEvent[], events: Event[]): Log {
    const { run, ids, timestamps, after, root } = segment
    const signature = packSignature(run.signature)
    for (const [i, bytes] of run.events.entries()) {
      const item = items[events.length] as NewEvent
      const { time, tick } = timestamps[i] as Timestamp
      const id = ids[i] as Buffer
      const { subject, type, data } = item
      const last = i === run.events.length - 1
      const index = { time, tick, subject, type }
      const position = this.#table.insert(log, run.from + i, id, bytes, index, last ? signature : null)
      events.push({
        id: id.toString('hex'),
        author: log.hex,
        seq: run.from + i,
        position,
        timestamp: time,
        subject,
        ...(type === '' ? {} : { type }),
        data,
        local: true,
      })
    }
    this.#table.checkpoint(log, after, sizeOf(run.events))
    const { time, tick } = timestamps.at(-1) as Timestamp
    return changedLog(log, { mmr: after, root, position: this.#table.nextPosition - 1, time, tick })
  }

  /** Stores what a received run adds to its log, if its author has signed it. */
  storeRun(received: Run, staged: Staged): IngestStatus {
    const hex = received.author.toString('hex')
    const known = staged.logs.get(hex) ?? this.#logs.get(hex)
    if (known === undefined && !this.#logs.hasRoomFor(staged.newLogs + 1)) return 'no-room'
    const log = known ?? this.#logs.empty(received.author)
    const check = checkRun(received, log, this.#table, this.#keys.tag)
    if (!('run' in check)) {
      if (check.proof === undefined) return check.status
      return this.freeze(log, check.proof, staged) ? check.status : 'no-room'
    }
    const { run, verified } = check
    const bodies = run.events.map((bytes, i) => {
      const header = verified.headers[i]
      assert(header !== undefined, 'a header for every verified event')
      const body = decodeEventBody(bytes, header, this.#keys.seal)
      return typeof body === 'string' ? null : body
    })
    const latest = bodies.reduce((time, body) => Math.max(time, body?.time ?? 0), 0)
    if (latest > this.#now() + MAX_CLOCK_AHEAD_MS) {
      this.#held.hold(hex, run, latest - MAX_CLOCK_AHEAD_MS)
      return 'held'
    }
    let clock: Timestamp = log
    const signature = packSignature(run.signature)
    for (const [i, bytes] of run.events.entries()) {
      // An author whose clock does not advance has no place in the order; what it wrote is kept, and served, unread.
      const body = bodies[i] ?? null
      const index = body !== null && compareTimestamps(body, clock) > 0 ? body : null
      clock = index ?? clock
      const id = verified.ids[i] as Buffer
      this.#table.insert(log, run.from + i, id, bytes, index, i === run.events.length - 1 ? signature : null)
    }
    this.#table.checkpoint(log, verified.mmr, sizeOf(run.events))
    const { time, tick } = clock
    const position = this.#table.nextPosition - 1
    const after = changedLog(log, { mmr: verified.mmr, root: verified.mmr.root(), position, time, tick })
    if (known === undefined) staged.newLogs++
    staged.logs.set(hex, after)
    staged.commit.runs.push({ run, ids: verified.ids, log: after, local: hex === this.#ownAuthor })
    return 'stored'
  }

  /** Stops a log for good: its author has signed two contradicting histories. False if there is no room for the proof. */
  freeze(log: Log, proof: Buffer, staged: Staged): boolean {
    if (!this.#logs.hasRoomForFork(proof)) return false
    const frozen = changedLog(log, { fork: proof })
    staged.logs.set(log.hex, frozen)
    staged.commit.forks.push(frozen)
    return true
  }
}

function sizeOf(events: readonly Buffer[]): number {
  return events.reduce((sum, event) => sum + event.length, 0)
}

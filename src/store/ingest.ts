import { equalBytes } from '../base/bytes.ts'
import { hash } from '../base/hash.ts'
import type { Run, VerifiedRun } from '../event/run.ts'
import { checkForkProof, encodeForkProof } from '../event/fork.ts'
import { runFrom, verifyRun } from '../event/run.ts'
import { Mmr } from '../event/mmr.ts'
import type { EventTable } from './event-table.ts'
import type { IngestStatus } from './ingest-status.ts'
import type { Log } from './log.ts'
import { corruptFile } from './sqlite.ts'

export type RunCheck =
  { status: 'verified'; run: Run; verified: VerifiedRun } | { status: IngestStatus; proof?: Buffer }

/**
 * Compares a received run with the log that it should continue. Nothing is written.
 *
 * @param mayBegin whether a log of which nothing is here may begin with this run, in the middle.
 */
export function checkRun(
  received: Run,
  log: Log,
  table: EventTable,
  databaseTag: Uint8Array,
  mayBegin: boolean,
): RunCheck {
  if (log.fork !== null) return { status: 'frozen' }
  const length = log.mmr.length
  const end = received.from + received.events.length
  if (received.from > length) {
    return length === 0 && mayBegin ? checkBeginning(received, databaseTag) : { status: 'gap' }
  }
  if (received.from < length && end <= length && received.peaks === null) return { status: 'duplicate' }
  const run = received.from < log.start ? fromStart(received, log.start) : received
  if (run === null) return { status: 'duplicate' }
  if (run.peaks !== null) {
    const ours = table.mmrAt(log, run.from)
    if (!equalBytes(ours.peaks(), run.peaks)) return checkFork(run, ours, log, table, databaseTag)
    if (end <= length) return { status: 'duplicate' }
  }
  const rest = runFrom(run, length, null)
  const verified = verifyRun(rest, log.mmr, databaseTag)
  if (typeof verified !== 'string') return { status: 'verified', run: rest, verified }
  // Where nothing is before the run, or the same as the sender says, a wrong signature is the sender's alone.
  const conclusive = verified === 'WRONG_EVENT' || (run.from === length && (length === 0 || run.peaks !== null))
  return { status: conclusive ? 'invalid' : 'unverified' }
}

/** The first events of a log that are here: its author's signature covers the peaks before them too. */
function checkBeginning(run: Run, databaseTag: Uint8Array): RunCheck {
  if (run.peaks === null || run.events.length === 0) return { status: 'gap' }
  const verified = verifyRun(run, Mmr.from(run.from, run.peaks), databaseTag)
  return typeof verified === 'string' ? { status: 'invalid' } : { status: 'verified', run, verified }
}

/** The same run without what precedes the start of our log, where there is nothing to compare it with; null if that is all. */
function fromStart(run: Run, start: number): Run | null {
  const skipped = start - run.from
  if (skipped > run.events.length) return null
  if (run.peaks === null) return runFrom(run, start, null)
  const mmr = Mmr.from(run.from, run.peaks)
  for (const bytes of run.events.slice(0, skipped)) mmr.append(hash(bytes))
  return runFrom(run, start, mmr.peaks())
}

/**
 * The sender says that the log began otherwise than ours. If the author's signature covers that, the author signed two
 * histories, and the two runs together prove it to anyone.
 */
function checkFork(run: Run, ours: Mmr, log: Log, table: EventTable, databaseTag: Uint8Array): RunCheck {
  const theirs = Mmr.from(run.from, run.peaks as Buffer)
  if (typeof verifyRun(run, theirs, databaseTag) === 'string') return { status: 'invalid' }
  // Our own half must end at a signed head too: the run from there to our next signature.
  const next = table.readRun(log, run.from, 0)
  const signature = next?.signature ?? table.lastSignature(log)
  if (signature === null) return { status: 'invalid' }
  const own: Run = { author: log.author, from: run.from, peaks: ours.peaks(), signature, events: next?.events ?? [] }
  const proof = encodeForkProof(own, run)
  // Their half has just been verified. If the two convict nobody, it is ours that is no longer what was signed.
  if (checkForkProof(proof, databaseTag) === null) throw corruptFile('events are not those that were signed')
  return { status: 'forked', proof }
}

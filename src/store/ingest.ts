import { equalBytes } from '../base/bytes.ts'
import type { Run, VerifiedRun } from '../event/run.ts'
import { checkForkProof, encodeForkProof } from '../event/fork.ts'
import { verifyRun } from '../event/run.ts'
import { Mmr } from '../event/mmr.ts'
import type { EventTable } from './event-table.ts'
import type { IngestStatus } from './ingest-status.ts'
import type { Log } from './log.ts'
import { corruptFile } from './sqlite.ts'

export type RunCheck =
  { status: 'verified'; run: Run; verified: VerifiedRun } | { status: IngestStatus; proof?: Buffer }

/** Compares a received run with the log that it should continue. Nothing is written. */
export function checkRun(run: Run, log: Log, table: EventTable, databaseTag: Uint8Array): RunCheck {
  if (log.fork !== null) return { status: 'frozen' }
  const length = log.mmr.length
  const end = run.from + run.events.length
  if (run.from > length) return { status: 'gap' }
  if (run.from < length && end <= length && run.peaks === null) return { status: 'duplicate' }
  if (run.peaks !== null) {
    const ours = table.mmrAt(log, run.from)
    if (!equalBytes(ours.peaks(), run.peaks)) return checkFork(run, ours, log, table, databaseTag)
    if (end <= length) return { status: 'duplicate' }
  }
  const rest = { ...run, from: length, peaks: null, events: run.events.slice(length - run.from) }
  const verified = verifyRun(rest, log.mmr, databaseTag)
  if (typeof verified !== 'string') return { status: 'verified', run: rest, verified }
  // Where nothing is before the run, or the same as the sender says, a wrong signature is the sender's alone.
  const conclusive = verified === 'WRONG_EVENT' || (run.from === length && (length === 0 || run.peaks !== null))
  return { status: conclusive ? 'invalid' : 'unverified' }
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

import { Reader } from '../base/codec.ts'
import { equalBytes } from '../base/bytes.ts'
import { Mmr } from './mmr.ts'
import type { Run } from './run.ts'
import { encodedRunBytes, readRun, verifyRun, writeRun } from './run.ts'

/**
 * Proof that an author signed two contradicting histories: two runs, one after the other, of the same author and from
 * the same seq, each with its peaks and a valid signature, whose peaks differ. Anyone who knows the database can check it.
 */
export function encodeForkProof(a: Run, b: Run): Buffer {
  const bytes = Buffer.alloc(encodedRunBytes(a) + encodedRunBytes(b))
  writeRun(bytes, writeRun(bytes, 0, a), b)
  return bytes
}

/** The author that the proof convicts, or null if it proves nothing. */
export function checkForkProof(proof: Buffer, databaseTag: Uint8Array): Buffer | null {
  const reader = new Reader(proof)
  const a = readRun(reader)
  const b = readRun(reader)
  if (!reader.finished || a.peaks === null || b.peaks === null) return null
  if (a.from !== b.from || !equalBytes(a.author, b.author) || equalBytes(a.peaks, b.peaks)) return null
  for (const run of [a, b]) {
    if (typeof verifyRun(run, Mmr.from(run.from, run.peaks as Buffer), databaseTag) === 'string') return null
  }
  return Buffer.from(a.author)
}

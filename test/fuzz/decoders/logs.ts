import { Reader } from '../../../src/base/codec.ts'
import { MAX_EVENT_BYTES, MAX_LOG_LENGTH, MAX_RUN_EVENTS } from '../../../src/base/limits.ts'
import { checkForkProof, encodeForkProof } from '../../../src/event/fork.ts'
import { Mmr, peaksBytes } from '../../../src/event/mmr.ts'
import type { Run } from '../../../src/event/run.ts'
import { encodedRunBytes, readRun, verifyRun, writeRun } from '../../../src/event/run.ts'
import type { AuthorLog } from '../../arbitraries.ts'
import { makeLog, plainBody, testAuthor } from '../../arbitraries.ts'
import type { Chance } from '../chance.ts'
import type { Decoder } from '../fuzz.ts'
import { decoder } from '../fuzz.ts'

const LENGTH = 12
const TAG = Buffer.alloc(32, 7)

function log(author: number, text: string): AuthorLog {
  const bodies = Array.from({ length: LENGTH }, (_, i) => plainBody({ tick: i, data: Buffer.from(`"${text}${i}"`) }))
  return makeLog(bodies, { keys: testAuthor(author), databaseTag: TAG })
}

/** Two histories of one author, and a log of another. */
export const LOGS: readonly [AuthorLog, AuthorLog, AuthorLog] = [log(1, 'a'), log(1, 'b'), log(2, 'c')]

/** A run as an honest peer sends it. */
export function anyRun(chance: Chance, from: AuthorLog = chance.pick(LOGS)): Run {
  const start = chance.below(LENGTH)
  return from.run(start, start + 1 + chance.below(LENGTH - start), chance.oneIn(2))
}

/** A run with one thing wrong. */
export function oddRun(chance: Chance): Run {
  const run = anyRun(chance)
  const other = anyRun(chance)
  const event = run.events[0] as Buffer
  const changed = (offset: number, value: number): Buffer[] => {
    const copy = Buffer.from(event)
    copy[offset] = value
    return [copy, ...run.events.slice(1)]
  }
  return chance.pick<() => Run>([
    () => ({ ...run, from: MAX_LOG_LENGTH + chance.below(3) - 1, peaks: null, events: [event] }),
    () => ({ ...run, from: chance.number(), peaks: null }),
    () => ({ ...run, peaks: null, events: [] }),
    () => ({ ...run, peaks: Buffer.alloc(peaksBytes(run.from)) }),
    () => ({ ...run, events: Array.from({ length: MAX_RUN_EVENTS + chance.below(2) }, () => Buffer.alloc(0)) }),
    () => ({ ...run, events: [Buffer.alloc(MAX_EVENT_BYTES + chance.below(2))] }),
    () => ({ ...run, events: other.events }),
    () => ({ ...run, events: changed(0, chance.below(4)) }),
    () => ({ ...run, events: changed(2 + chance.below(32), chance.below(256)) }),
    () => ({ ...run, events: changed(34, chance.below(128)) }),
    () => ({ ...run, signature: other.signature }),
    () => ({ ...run, signature: { ...run.signature, suite: chance.below(4) } }),
    () => ({ ...run, author: other.author }),
  ])()
}

function encodeRun(run: Run): Buffer {
  const bytes = Buffer.alloc(encodedRunBytes(run))
  writeRun(bytes, 0, run)
  return bytes
}

/** Reading a run, and checking it against the log it continues. */
export const RUNS: Decoder = decoder({
  name: 'runs',
  valid: (chance) => encodeRun(anyRun(chance, LOGS[0])),
  odd: (chance) => encodeRun(oddRun(chance)),
  decode(bytes) {
    const reader = new Reader(bytes)
    const run = readRun(reader)
    if (!reader.finished) return null
    const verified = verifyRun(run, LOGS[0].mmrs[run.from] ?? new Mmr(), TAG)
    return typeof verified === 'string' ? null : run
  },
  encode: encodeRun,
})

export const FORK_PROOFS: Decoder = decoder({
  name: 'fork proofs',
  valid(chance) {
    // At an equal start, after an event that differs.
    const start = 1 + chance.below(LENGTH - 1)
    const end = (): number => start + chance.below(LENGTH - start)
    return encodeForkProof(LOGS[0].run(start, end(), true), LOGS[1].run(start, end(), true))
  },
  odd(chance) {
    const one = (): Run => (chance.oneIn(4) ? oddRun(chance) : anyRun(chance))
    const [a, b] = [one(), one()]
    return encodeForkProof(
      a,
      chance.oneIn(3) ? { ...b, from: a.from, peaks: a.peaks && Buffer.alloc(a.peaks.length, 1) } : b,
    )
  },
  decode: (bytes) => checkForkProof(bytes, TAG),
})

import { toHex } from '../base/bytes.ts'
import { hash } from '../base/hash.ts'
import type { EventBody, EventFault, EventHeader } from './event.ts'
import { decodeEventBody, eventHeaderAt } from './event.ts'
import type { Run } from './run.ts'

/** What can be told of an event by itself, wherever it belongs. */
export interface OpenedEvent {
  header: EventHeader
  id: Buffer
  body: EventBody | EventFault
}

/** Bytes of events that are opened in one step: some tenths of a millisecond. */
const STEP_BYTES = 8192

/**
 * Hashes and unseals the events of runs that continue what is here, a few at a time, and leaves in `run.opened` what it found, so
 * that `verifyRun` and who stores the runs need not.
 *
 * @param lengthOf how many events of an author's log are here.
 * @param sealKey 32 bytes; null where nothing is sealed, or can be read.
 */
export function* openRuns(
  runs: readonly Run[],
  lengthOf: (authorHex: string) => number,
  sealKey: Uint8Array | null,
): Generator<void, void> {
  const lengths = new Map<string, number>()
  for (const run of runs) {
    const hex = toHex(run.author)
    const length = lengths.get(hex) ?? lengthOf(hex)
    const end = run.from + run.events.length
    // Of no use, or not yet.
    if (run.from > length || end <= length) continue
    lengths.set(hex, end)
    yield* openRun(run, sealKey)
  }
}

/** Of a run that is wrong at first sight nothing is opened. */
function* openRun(run: Run, sealKey: Uint8Array | null): Generator<void, void> {
  const opened: OpenedEvent[] = []
  let bytes = 0
  for (const event of run.events) {
    const header = eventHeaderAt(event, run.author, run.from + opened.length)
    if (header === null) return
    opened.push({ header, id: hash(event), body: decodeEventBody(event, header, sealKey) })
    bytes += event.length
    if (bytes < STEP_BYTES) continue
    bytes = 0
    yield
  }
  run.opened = opened
}

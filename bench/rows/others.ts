import { createRelay } from 'peerlog-relay'
import { open } from 'peerlog'
import { catchUp } from '../lib/catch-up.ts'
import { Child } from '../lib/child.ts'
import type { DatabaseFiles } from '../lib/database-files.ts'
import { benchData, EVENT_BYTES, SECRET } from '../lib/events.ts'
import { folderBytes } from '../lib/folder.ts'
import { medians } from '../lib/measure.ts'
import { relayAt } from '../lib/transports.ts'
import type { BenchRow } from '../results.ts'

const YJS_EVENTS = 20_000
/** Automerge gets slower as the list grows: its list is as long as it can be in a few seconds. */
const AUTOMERGE_EVENTS = 1_000
const ROUNDS = 3

interface Figures {
  /** Events per second, each durable before the next. */
  append: number
  /** Events per second that an empty peer in another process gets, durable. */
  catchUp: number
  bytesPerEvent: number
}

/**
 * The same list of entries in libraries that solve another problem: documents that merge. Their figures say what the
 * merging costs, not who is better at it.
 */
export async function othersRows(files: DatabaseFiles): Promise<BenchRow[]> {
  const relay = await createRelay({ port: 0, host: '127.0.0.1' })
  try {
    const yjs = await medians(ROUNDS, () => yjsFigures(files))
    const besideYjs = await medians(ROUNDS, () => ourFigures(files, relay.port, YJS_EVENTS))
    const automerge = await medians(ROUNDS, () => automergeFigures(files))
    const besideAutomerge = await medians(ROUNDS, () => ourFigures(files, relay.port, AUTOMERGE_EVENTS))
    return [
      ...rows('Yjs', YJS_EVENTS, yjs, besideYjs, {
        append: 'Y.Array.push; each update is a row of a SQLite file with the same settings as ours',
        catchUp: 'state vector there and one update back over a local WebSocket, applied and stored',
        size: 'the updates as they were appended, not compacted',
        not: 'It merges concurrent edits of one document, which peerlog does not; no signatures, no sealing, no partial reads: the document is in memory',
      }),
      ...rows('automerge-repo', AUTOMERGE_EVENTS, automerge, besideAutomerge, {
        append: 'change() and flush() with the nodefs storage adapter',
        catchUp: 'find() through the WebSocket adapters, then flush()',
        size: 'the folder of the nodefs adapter: compressed columns',
        not: 'It keeps and merges the whole history of one document, hashes linked, which peerlog does not; no signatures, no sealing, no partial reads: the document is in memory',
      }),
    ]
  } finally {
    await relay.close()
  }
}

function rows(
  name: string,
  events: number,
  theirs: Figures,
  ours: Figures,
  notes: { append: string; catchUp: string; size: string; not: string },
): BenchRow[] {
  const beside = (label: string, value: number): BenchRow['ratios'] => [{ label, value }]
  return [
    {
      name: `${name}: append one by one, ${events} entries`,
      value: theirs.append,
      unit: 'events/s',
      note: `${notes.append}. ${notes.not}`,
      ratios: beside('× as many in peerlog, each signed, sealed and committed', ours.append / theirs.append),
    },
    {
      name: `${name}: catch-up of ${events} entries`,
      value: theirs.catchUp,
      unit: 'events/s',
      note: notes.catchUp,
      ratios: beside('× as many in peerlog over a relay, each verified and durable', ours.catchUp / theirs.catchUp),
    },
    {
      name: `${name}: size on disk of one entry`,
      value: theirs.bytesPerEvent,
      unit: 'bytes',
      note: `${notes.size}; the JSON has ${EVENT_BYTES}, and its text repeats`,
      ratios: beside(
        "× as much in peerlog, whose sealed bytes can't be compressed",
        ours.bytesPerEvent / theirs.bytesPerEvent,
      ),
    },
  ]
}

async function ourFigures(files: DatabaseFiles, port: number, events: number): Promise<Figures> {
  const folder = files.freshFolder('peerlog')
  const source = `${folder}/events.db`
  const db = await open({ databaseId: 'bench', path: source, secret: SECRET, transport: { mode: 'disabled' } })
  const start = performance.now()
  for (let n = 0; n < events; n++) await db.append(`bench/${n % 20}`, benchData(n))
  const ms = performance.now() - start
  await db.close()
  const { rate } = await catchUp(files, { source, events, transport: relayAt(port) })
  return { append: (events / ms) * 1000, catchUp: rate, bytesPerEvent: folderBytes(folder) / events }
}

async function yjsFigures(files: DatabaseFiles): Promise<Figures> {
  const folder = files.freshFolder('yjs')
  const sender = new Child('yjs.ts', { path: `${folder}/doc.db`, append: YJS_EVENTS })
  const { ms } = await sender.message('appended')
  const { port } = await sender.message('ready')
  const receiver = new Child('yjs.ts', { path: files.fresh('yjs'), port, expect: YJS_EVENTS })
  const complete = await receiver.message('complete')
  await Promise.all([sender.end(), receiver.end()])
  return {
    append: (YJS_EVENTS / (ms as number)) * 1000,
    catchUp: (YJS_EVENTS / (complete['ms'] as number)) * 1000,
    bytesPerEvent: folderBytes(folder) / YJS_EVENTS,
  }
}

async function automergeFigures(files: DatabaseFiles): Promise<Figures> {
  const folder = files.freshFolder('automerge')
  const sender = new Child('automerge.ts', { path: folder, append: AUTOMERGE_EVENTS })
  const { ms } = await sender.message('appended')
  const { url, port } = await sender.message('ready')
  const path = files.freshFolder('automerge')
  const receiver = new Child('automerge.ts', { path, url, port, expect: AUTOMERGE_EVENTS })
  const complete = await receiver.message('complete')
  await Promise.all([sender.end(), receiver.end()])
  return {
    append: (AUTOMERGE_EVENTS / (ms as number)) * 1000,
    catchUp: (AUTOMERGE_EVENTS / (complete['ms'] as number)) * 1000,
    bytesPerEvent: folderBytes(folder) / AUTOMERGE_EVENTS,
  }
}

import Sqlite from 'better-sqlite3'
import type { Database } from 'peerlog'
import { open } from 'peerlog'
import { memoryNetwork } from 'peerlog/testing'
import { CountingTransport } from '../lib/counting-transport.ts'
import type { DatabaseFiles } from '../lib/database-files.ts'
import { benchItem, SECRET } from '../lib/events.ts'
import { atMost, medians } from '../lib/measure.ts'
import type { BenchRow } from '../results.ts'

const SIZES = [1_000, 10_000, 100_000, 1_000_000] as const
const ROUNDS = 5

interface Meeting {
  /** Bytes of the messages of the side that has more to say, and of both. */
  bytesEachWay: number
  bytes: number
  /** Milliseconds from the connection until both say that they are in sync. */
  ms: number
}

interface Replicas {
  author: string
  other: string
  events: number
}

/** What it costs two replicas to find that they are equal, or that one event is missing, at four sizes. */
export async function meetingRows(files: DatabaseFiles): Promise<BenchRow[]> {
  const equal: Meeting[] = []
  const missing: Meeting[] = []
  for (const size of SIZES) {
    const log = await files.log(size)
    const replicas: Replicas = {
      author: files.copy(log, files.fresh('author'), { withKey: true }),
      other: files.copy(log, files.fresh('other'), { withKey: false }),
      events: size,
    }
    // What is slow only once, such as compiling the code, is not what is measured.
    if (size === SIZES[0]) await oneMissing(replicas)
    equal.push(await medians(ROUNDS, () => meet(replicas)))
    missing.push(await medians(ROUNDS, () => oneMissing(replicas)))
    for (const file of [replicas.author, replicas.other]) files.remove(file)
  }
  return [equalRow(equal), missingRow(missing)]
}

function equalRow(equal: Meeting[]): BenchRow {
  const bytes = equal.map(({ bytesEachWay }) => bytesEachWay)
  const [first, last] = [equal[0] as Meeting, equal.at(-1) as Meeting]
  return {
    name: 'two equal replicas of 1 000 000 events meet',
    value: last.bytesEachWay,
    unit: 'bytes each way',
    note: `admission and frontier root, without the transport's own bytes; in one process. ${list('ms at', equal)}`,
    headline: true,
    ratios: [
      atMost('bytes each way', Math.max(...bytes), 300),
      atMost('bytes more than at 1000 events', last.bytesEachWay - first.bytesEachWay, 0),
      { label: 'ms from connection to InSync on both sides', value: last.ms },
    ],
  }
}

function missingRow(missing: Meeting[]): BenchRow {
  const [first, last] = [missing[0] as Meeting, missing.at(-1) as Meeting]
  return {
    name: 'one event of 1 000 000 is missing',
    value: last.bytes,
    unit: 'bytes besides the event',
    note: `both ways together, until both hold it and know it. ${list('ms at', missing)}`,
    ratios: [
      atMost('bytes', Math.max(...missing.map(({ bytes }) => bytes)), 1000),
      { label: 'bytes more than at 1000 events', value: last.bytes - first.bytes },
      atMost('ms from connection to InSync on both sides', last.ms, 20),
      { label: '× the time at 1000 events', value: last.ms / first.ms },
    ],
  }
}

function list(what: string, meetings: Meeting[]): string {
  return meetings.map(({ ms }, i) => `${i === 0 ? `${what} ` : ''}10^${i + 3}: ${ms.toFixed(1)}`).join(', ')
}

async function meet({ author, other, events }: Replicas): Promise<Meeting> {
  const network = memoryNetwork()
  const transports = [author, other].map(() => new CountingTransport(network.createTransport()))
  const options = { databaseId: 'bench', secret: SECRET }
  const synced: Promise<number>[] = []
  const databases: Database[] = []
  for (const [i, path] of [author, other].entries()) {
    const db = await open({ ...options, path, transport: transports[i] as CountingTransport })
    databases.push(db)
    synced.push(new Promise((resolve) => db.sync.once('InSync', () => resolve(performance.now()))))
  }
  const at = Math.max(...(await Promise.all(synced)))
  const bytes = transports.map((transport) => transport.bytes)
  const ms = at - Math.min(...transports.map(({ connectedAt }) => connectedAt))
  for (const db of databases) {
    if (db.position !== events) throw new Error(`holds ${db.position} events instead of ${events}`)
  }
  await Promise.all(databases.map((db) => db.close()))
  return { bytesEachWay: Math.max(...bytes), bytes: (bytes[0] as number) + (bytes[1] as number), ms }
}

/** The author appends one event while it is alone; then they meet. */
async function oneMissing(replicas: Replicas): Promise<Meeting> {
  const transport = { mode: 'disabled' } as const
  const db = await open({ databaseId: 'bench', path: replicas.author, secret: SECRET, transport })
  const { subject, data } = benchItem(replicas.events)
  const { position } = await db.append(subject, data)
  await db.close()
  replicas.events++
  const eventBytes = storedBytes(replicas.author, position)
  const result = await meet(replicas)
  return { ...result, bytes: result.bytes - eventBytes }
}

function storedBytes(file: string, position: number): number {
  const db = new Sqlite(file, { readonly: true })
  const bytes = db.prepare('SELECT length(bytes) FROM events WHERE position = ?').pluck().get(position)
  db.close()
  return bytes as number
}

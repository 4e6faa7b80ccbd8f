import { statSync } from 'node:fs'
import Sqlite from 'better-sqlite3'
import Hypercore from 'hypercore'
import type { Database, ReadOptions } from 'peerlog'
import { open } from 'peerlog'
import { BareSqlite } from '../lib/bare-sqlite.ts'
import type { DatabaseFiles } from '../lib/database-files.ts'
import { benchData, benchItem, EVENT_BYTES, SECRET } from '../lib/events.ts'
import { folderBytes } from '../lib/folder.ts'
import { rounds } from '../lib/measure.ts'
import { within } from '../lib/within.ts'
import type { BenchRow } from '../results.ts'

const MANY = 1_000_000
const EVENTS = 200_000
const AUTHORS = 100
const FOLLOWED = 100_000
const BATCH = 1000
const HYPERCORE_BLOCKS = 20_000
const ROUNDS = 3
/** Milliseconds that the follower may be behind when the last event has been appended. */
const FOLLOW_PATIENCE_MS = 60_000

/** What is done with one file, without a network: opening, reading, following, and its size. */
export async function fileRows(files: DatabaseFiles): Promise<BenchRow[]> {
  const core = await hypercoreFolder(files)
  return [await opening(files), ...(await reading(files, core)), await following(files), await size(files, core)]
}

function openLocal(file: string): Promise<Database> {
  return open({ databaseId: 'bench', path: file, secret: SECRET, transport: { mode: 'disabled' } })
}

async function opening(files: DatabaseFiles): Promise<BenchRow> {
  const ms = async (file: string): Promise<number> => {
    const start = performance.now()
    const db = await openLocal(file)
    const took = performance.now() - start
    await db.close()
    return took
  }
  const [many, few, shared] = [await files.log(MANY), await files.log(1000), await files.authors(EVENTS, AUTHORS)]
  await ms(few)
  const result = await rounds(ROUNDS, { many: () => ms(many), few: () => ms(few), shared: () => ms(shared) })
  return {
    name: 'opening a file of 1 000 000 events',
    value: result.many,
    unit: 'ms',
    note: 'closed properly before, in the cache of the operating system',
    ratios: [
      { label: '× opening one of 1000 events', value: result.many / result.few },
      { label: 'ms for 200 000 events of 100 authors', value: result.shared },
    ],
  }
}

/** Events per second of a read. */
async function readRate(db: Database, options: ReadOptions): Promise<number> {
  const start = performance.now()
  let events = 0
  for await (const event of db.read(options)) events += event.seq >= 0 ? 1 : 0
  return (events / (performance.now() - start)) * 1000
}

async function reading(files: DatabaseFiles, core: string): Promise<BenchRow[]> {
  const file = await files.log(EVENTS)
  const db = await openLocal(file)
  const shared = await openLocal(await files.authors(EVENTS, AUTHORS))
  const bare = new Sqlite(file, { readonly: true })
  const result = await rounds(ROUNDS, {
    all: () => readRate(db, {}),
    subject: () => readRate(db, { subject: 'bench/7' }),
    pattern: () => readRate(db, { subject: 'bench/1*' }),
    arrival: () => readRate(shared, {}),
    clock: () => readRate(shared, { order: 'clock' }),
    bare: () => bareRead(bare),
    hypercore: () => hypercoreRead(core),
  })
  bare.close()
  await db.close()
  await shared.close()
  return [
    {
      name: 'reading all events',
      value: result.all,
      unit: 'events/s',
      note: '200 000 events: read, checked against the index, unsealed, parsed',
      ratios: [
        { label: 'of bare better-sqlite3 iterating over the same rows', value: result.all / result.bare },
        { label: "× hypercore's get, block by block", value: result.all / result.hypercore },
      ],
    },
    {
      name: 'reading one of 20 subjects',
      value: result.subject,
      unit: 'events/s',
      note: 'of 200 000 events, the 10 000 that match',
      ratios: [
        { label: 'of reading all', value: result.subject / result.all },
        { label: 'of reading all, for a pattern that half of the subjects match', value: result.pattern / result.all },
      ],
    },
    {
      name: "reading in the order 'clock'",
      value: result.clock,
      unit: 'events/s',
      note: '200 000 events of 100 authors',
      ratios: [{ label: "of reading the same file in the order 'arrival'", value: result.clock / result.arrival }],
    },
  ]
}

function bareRead(db: Sqlite.Database): number {
  const start = performance.now()
  let rows = 0
  for (const row of db.prepare('SELECT position, bytes, id_start FROM events ORDER BY position').raw().iterate()) {
    if (Array.isArray(row)) rows++
  }
  return (rows / (performance.now() - start)) * 1000
}

async function appendAll(db: Database): Promise<void> {
  for (let n = 0; n < FOLLOWED; n += BATCH) {
    await db.appendMany(Array.from({ length: BATCH }, (_, i) => benchItem(n + i)))
  }
}

async function following(files: DatabaseFiles): Promise<BenchRow> {
  const inFresh = async (work: (db: Database) => Promise<number>): Promise<number> => {
    const file = files.fresh('follow')
    const db = await openLocal(file)
    const rate = await work(db)
    await db.close()
    files.remove(file)
    return rate
  }
  const follow = (): Promise<number> =>
    inFresh(async (db) => {
      const reading = readRate(db, { follow: true, limit: FOLLOWED })
      // The follower has read what there is, nothing, and waits.
      await new Promise(setImmediate)
      await appendAll(db)
      return within(FOLLOW_PATIENCE_MS, reading, 'the follower has not seen all that was appended')
    })
  const alone = (): Promise<number> =>
    inFresh(async (db) => {
      const start = performance.now()
      await appendAll(db)
      return (FOLLOWED / (performance.now() - start)) * 1000
    })
  const result = await rounds(ROUNDS, { follow, alone })
  return {
    name: 'following what the same process appends',
    value: result.follow,
    unit: 'events/s',
    note: 'appended in batches of 1000, each event read back by one follower',
    ratios: [{ label: 'of appending without a follower', value: result.follow / result.alone }],
  }
}

// ---- hypercore --------------------------------------------------------------------------------------------------

async function hypercoreFolder(files: DatabaseFiles): Promise<string> {
  const folder = files.fresh('core')
  const core = new Hypercore(folder)
  await core.ready()
  for (let n = 0; n < HYPERCORE_BLOCKS; n += BATCH) {
    await core.append(Array.from({ length: BATCH }, (_, i) => Buffer.from(JSON.stringify(benchData(n + i)))))
  }
  await core.close()
  return folder
}

async function hypercoreRead(folder: string): Promise<number> {
  const core = new Hypercore(folder)
  await core.ready()
  const start = performance.now()
  for (let n = 0; n < core.length; n++) await core.get(n)
  const rate = (core.length / (performance.now() - start)) * 1000
  await core.close()
  return rate
}

// ---- size -------------------------------------------------------------------------------------------------------

async function size(files: DatabaseFiles, core: string): Promise<BenchRow> {
  const log = await files.log(EVENTS)
  const bareFile = files.fresh('bare')
  const bare = await BareSqlite.create(bareFile)
  for (let n = 0; n < EVENTS; n += BATCH) bare.insert(BATCH)
  bare.close()
  const perEvent = statSync(log).size / EVENTS
  return {
    name: 'size on disk of one event',
    value: perEvent,
    unit: 'bytes',
    note: `JSON of ${EVENT_BYTES} bytes with subject, clock, seal, signature and indexes; the closed file by its events`,
    ratios: [
      { label: 'bytes besides the JSON', value: perEvent - EVENT_BYTES },
      {
        label: 'of bare SQLite with the same tables and rows of 300 bytes',
        value: perEvent / (statSync(bareFile).size / EVENTS),
      },
      {
        label: `of hypercore's ${HYPERCORE_BLOCKS} blocks of the same JSON`,
        value: perEvent / (folderBytes(core) / HYPERCORE_BLOCKS),
      },
    ],
  }
}

import path from 'node:path'
import Hypercore from 'hypercore'
import type { Database } from 'peerlog'
import { open } from 'peerlog'
import { BareSqlite } from '../lib/bare-sqlite.ts'
import { benchData, benchItem, SECRET } from '../lib/events.ts'
import { inFolder } from '../lib/folder.ts'
import { atLeast, rounds } from '../lib/measure.ts'
import type { BenchRow } from '../results.ts'

const BATCH = 1000
const BULK_EVENTS = 100_000
const SINGLE_EVENTS = 10_000
const SINGLE_CORE_EVENTS = 3_000
const IN_FLIGHT = 500
const ROUNDS = 5

/** Events per second of the work. */
async function rate(events: number, work: () => Promise<void> | void): Promise<number> {
  const start = performance.now()
  await work()
  return (events / (performance.now() - start)) * 1000
}

async function withPeerlog(folder: string, work: (db: Database) => Promise<number>): Promise<number> {
  const file = path.join(folder, `${performance.now()}.db`)
  const db = await open({ databaseId: 'bench', path: file, secret: SECRET, transport: { mode: 'disabled' } })
  const result = await work(db)
  await db.close()
  return result
}

async function withBare(folder: string, work: (db: BareSqlite) => Promise<number>): Promise<number> {
  const db = await BareSqlite.create(path.join(folder, `${performance.now()}.db`))
  const result = await work(db)
  db.close()
  return result
}

async function withHypercore(folder: string, work: (core: Hypercore) => Promise<number>): Promise<number> {
  const core = new Hypercore(path.join(folder, String(performance.now())))
  await core.ready()
  const result = await work(core)
  await core.close()
  return result
}

const block = (n: number): Buffer => Buffer.from(JSON.stringify(benchData(n)))
const batch = <T>(start: number, make: (n: number) => T): T[] =>
  Array.from({ length: BATCH }, (_, i) => make(start + i))

/** Appends in batches of 1000, in one's and with 500 in flight. */
export async function appendRows(): Promise<BenchRow[]> {
  return inFolder(async (folder) => [await bulk(folder), await single(folder), await inFlight(folder)])
}

async function bulk(folder: string): Promise<BenchRow> {
  const result = await rounds(ROUNDS, {
    peerlog: () =>
      withPeerlog(folder, (db) =>
        rate(BULK_EVENTS, async () => {
          for (let n = 0; n < BULK_EVENTS; n += BATCH) await db.appendMany(batch(n, benchItem))
        }),
      ),
    bare: () =>
      withBare(folder, (db) =>
        rate(BULK_EVENTS, () => {
          for (let n = 0; n < BULK_EVENTS; n += BATCH) db.insert(BATCH)
        }),
      ),
    hypercore: () =>
      withHypercore(folder, (core) =>
        rate(BULK_EVENTS, async () => {
          for (let n = 0; n < BULK_EVENTS; n += BATCH) await core.append(batch(n, block))
        }),
      ),
  })
  return {
    name: 'append, batches of 1000',
    value: result.peerlog,
    unit: 'events/s',
    note: 'JSON of 200 bytes: encoded, sealed, hashed, signed, durable',
    headline: true,
    ratios: [
      atLeast('of bare better-sqlite3 filling the same tables', result.peerlog / result.bare, 0.45),
      atLeast("× hypercore's unsealed append", result.peerlog / result.hypercore, 1),
    ],
  }
}

function oneByOne(folder: string): Promise<number> {
  return withPeerlog(folder, (db) =>
    rate(SINGLE_EVENTS, async () => {
      for (let n = 0; n < SINGLE_EVENTS; n++) await db.append(`bench/${n % 20}`, benchData(n))
    }),
  )
}

async function single(folder: string): Promise<BenchRow> {
  const result = await rounds(ROUNDS, {
    peerlog: () => oneByOne(folder),
    bare: () =>
      withBare(folder, (db) =>
        rate(SINGLE_EVENTS, () => {
          for (let n = 0; n < SINGLE_EVENTS; n++) db.insert(1)
        }),
      ),
    hypercore: () =>
      withHypercore(folder, (core) =>
        rate(SINGLE_CORE_EVENTS, async () => {
          for (let n = 0; n < SINGLE_CORE_EVENTS; n++) await core.append(block(n))
        }),
      ),
  })
  return {
    name: 'append one by one',
    value: result.peerlog,
    unit: 'events/s',
    note: 'each awaited, each signed and committed by itself',
    ratios: [
      atLeast('of bare one-row transactions', result.peerlog / result.bare, 0.35),
      atLeast('× hypercore', result.peerlog / result.hypercore, 3),
    ],
  }
}

async function inFlight(folder: string): Promise<BenchRow> {
  const result = await rounds(ROUNDS, {
    together: () =>
      withPeerlog(folder, (db) =>
        rate(BULK_EVENTS, async () => {
          let n = 0
          const caller = async (): Promise<void> => {
            while (n < BULK_EVENTS) {
              n++
              await db.append(`bench/${n % 20}`, benchData(n))
            }
          }
          await Promise.all(Array.from({ length: IN_FLIGHT }, caller))
        }),
      ),
    alone: () => oneByOne(folder),
  })
  return {
    name: '500 appends in flight',
    value: result.together,
    unit: 'events/s',
    note: 'group commit: those that wait share a transaction and a signature',
    ratios: [atLeast('× one by one', result.together / result.alone, 4)],
  }
}

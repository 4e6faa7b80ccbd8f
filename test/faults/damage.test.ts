import fs from 'node:fs'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { PeerlogError } from '../../src/base/errors.ts'
import type { Run } from '../../src/event/run.ts'
import type { EventStore } from '../../src/store/event-store.ts'
import type { Event } from '../../src/store/stored-event.ts'
import {
  Author,
  everything,
  item,
  openStore,
  runsOf,
  sealed,
  SEED,
  seed,
  tempFile,
  tempFolder,
} from '../store/stores.ts'
import { dice } from '../../src/base/dice.ts'
import { turns } from './scale.ts'

// Whatever is done to the bytes of a file, nobody gets an event from it that was never written, and no other replica is
// brought to store one.

const LIMIT_MS = 300_000
/** Opening with the damaged key file that lies beside it, as a user would. */
const authorSeed = seed(0)
const lines: string[] = []
afterAll(() => {
  for (const line of lines) console.log(line)
})

type Outcome = 'open' | 'use' | 'harmless' | 'shorter'

interface Truth {
  /** id → the event, whatever its place. */
  events: Map<string, string>
  runs: ReturnType<typeof runsOf>
}

/** Bytes of a database, of its write-ahead log, and what is in them. */
let database: Buffer
let log: Buffer
let truth: Truth
/** Events in the database with its write-ahead log. */
let all: number

const text = (event: object): string => JSON.stringify({ ...event, position: 0, local: true })

beforeAll(async () => {
  const file = path.join(tempFolder(), 'test.db')
  const store = openStore({ path: file, keys: sealed, authorSeed })
  for (let i = 0; i < 6; i++) {
    await store.append(Array.from({ length: 30 }, (_, n) => item(`s/${n % 5}`, { i, n, text: 'x'.repeat(n * 10) })))
  }
  store.ingest([new Author(1, sealed).write().write().run()])
  store.close()
  // The second half is in the write-ahead log only, and the database is as it was before it.
  const again = openStore({ path: file, keys: sealed, authorSeed })
  database = fs.readFileSync(file)
  for (let i = 0; i < 6; i++) await again.append([item('s/wal', { i })])
  again.ingest([new Author(2, sealed).write().write().run()])
  log = fs.readFileSync(`${file}-wal`)
  truth = { events: new Map(everything(again).map((event) => [event.id, text(event)])), runs: runsOf(again) }
  all = truth.events.size
  again.close()
})

/** Asks a store everything, and another replica to take what it serves; what it appends must be no second history. */
async function use(store: EventStore, whole: boolean): Promise<number> {
  if (whole) {
    const [event] = await store.append([item('s/new', 'new')])
    truth.events.set(event?.id as string, text(event as Event))
    const witness = openStore({ keys: sealed })
    witness.ingest(truth.runs)
    witness.ingest([store.readRun(store.author, event?.seq as number, 1, true) as Run])
    for (const { fork } of witness.logs()) expect(fork).toBeNull()
    witness.close()
  }
  const seen = [...everything(store), ...[...store.scanByClock(null)].flat(), ...everything(store, 's/2')]
  for (const event of seen) expect(truth.events.get(event.id)).toBe(text(event))
  for (const [id, expected] of truth.events) {
    const event = store.get(id)
    if (event !== null) expect(text(event)).toBe(expected)
  }
  const replica = openStore({ keys: sealed })
  for (const run of runsOf(store, 2000)) replica.ingest([run])
  for (const event of everything(replica)) expect(truth.events.get(event.id)).toBe(text(event))
  // It takes again what it had, and sees no fork in it.
  store.ingest(truth.runs)
  for (const { fork } of [...store.logs(), ...replica.logs()]) expect(fork).toBeNull()
  const count = everything(replica).length
  replica.close()
  return count
}

/** What becomes of a file with these bytes. Anything but a right answer or a refusal fails. */
async function examine(bytes: Buffer, wal: Buffer | null, expected: number): Promise<Outcome> {
  const file = tempFile()
  fs.writeFileSync(file, bytes)
  if (wal !== null) fs.writeFileSync(`${file}-wal`, wal)
  let opened = false
  let store: EventStore | null = null
  try {
    store = openStore({ path: file, keys: sealed, authorSeed })
    opened = true
    // Without the end of the write-ahead log, our own log is an older copy of itself.
    const count = await use(store, wal === null)
    return count < expected ? 'shorter' : 'harmless'
  } catch (error) {
    if (!(error instanceof PeerlogError)) throw error
    expect([
      'CORRUPT_FILE',
      'FOREIGN_FILE',
      'NEWER_SCHEMA',
      'OLDER_SCHEMA',
      'OTHER_DATABASE',
      'WRONG_SECRET',
    ]).toContain(error.code)
    return opened ? 'use' : 'open'
  } finally {
    store?.close()
    fs.rmSync(path.dirname(file), { recursive: true })
  }
}

function tell(what: string, outcomes: readonly Outcome[], shorter = 'here, but taken by no other replica,'): void {
  const of = (outcome: Outcome): number => outcomes.filter((one) => one === outcome).length
  lines.push(
    `${what}: ${outcomes.length}, noticed at open ${of('open')}, at use ${of('use')}, harmless ${of('harmless')}, ` +
      `${shorter} ${of('shorter')}, wrong events 0`,
  )
}

describe('damage', () => {
  it('of single bits of the file', { timeout: LIMIT_MS }, async () => {
    const random = dice(SEED + 20)
    const outcomes: Outcome[] = []
    for (let i = 0; i < turns(400); i++) {
      const bad = Buffer.from(database)
      // One time in four in the header and the first page, which everything hangs on.
      const at = Math.floor(random() * (i % 4 === 0 ? 4096 : bad.length))
      bad[at] = (bad[at] as number) ^ (1 << Math.floor(random() * 8))
      outcomes.push(await examine(bad, null, 182))
    }
    tell('bits flipped in the file', outcomes)
    expect(outcomes.filter((outcome) => outcome === 'use').length).toBeGreaterThan(turns(50))
  })

  it('of stretches of the file, overwritten with noise or zeros', { timeout: LIMIT_MS }, async () => {
    const random = dice(SEED + 21)
    const outcomes: Outcome[] = []
    for (let i = 0; i < turns(120); i++) {
      const bad = Buffer.from(database)
      const from = Math.floor(random() * bad.length)
      const to = from + 1 + Math.floor(random() * 6000)
      for (let at = from; at < to && at < bad.length; at++) bad[at] = i % 2 === 0 ? Math.floor(random() * 256) : 0
      outcomes.push(await examine(bad, null, 182))
    }
    tell('stretches overwritten in the file', outcomes)
  })

  it('by truncation, at any length', { timeout: LIMIT_MS }, async () => {
    const random = dice(SEED + 22)
    const outcomes: Outcome[] = []
    const lengths = Array.from({ length: database.length / 4096 }, (_, page) => page * 4096)
    for (let i = 0; i < 60; i++) lengths.push(Math.floor(random() * database.length))
    // An empty file is a new database.
    for (const length of lengths) if (length > 0) outcomes.push(await examine(database.subarray(0, length), null, 182))
    tell('lengths truncated to', outcomes)
    expect(outcomes.every((outcome) => outcome === 'open')).toBe(true)
  })

  it('of the write-ahead log: what follows it is lost, what precedes it is not', { timeout: LIMIT_MS }, async () => {
    const random = dice(SEED + 23)
    const outcomes: Outcome[] = []
    expect(await examine(database, log, all)).toBe('harmless')
    for (let i = 0; i < turns(150); i++) {
      const bad = Buffer.from(log)
      const at = Math.floor(random() * bad.length)
      bad[at] = (bad[at] as number) ^ (1 << Math.floor(random() * 8))
      outcomes.push(await examine(database, i % 3 === 0 ? bad.subarray(0, at) : bad, all))
    }
    tell('write-ahead logs flipped in or cut off', outcomes, 'end of the log lost')
    expect(outcomes).not.toContain('use')
    expect(outcomes).not.toContain('open')
  })
})

describe('a write-ahead log that is not of the file beside it', () => {
  /** A database that has been saved at some time, and the write-ahead log of a later one. */
  async function stale(late: number): Promise<{ old: Buffer; wal: Buffer; size: number; truth: Truth }> {
    const file = path.join(tempFolder(), 'test.db')
    const first = openStore({ path: file, keys: sealed, authorSeed })
    await first.append(Array.from({ length: 20 }, (_, n) => item(`s/${n}`, { n, text: 'y'.repeat(500) })))
    first.close()
    const old = fs.readFileSync(file)
    const second = openStore({ path: file, keys: sealed, authorSeed })
    for (let i = 0; i < late; i++) await second.append([item('s/late', { i, text: 'z'.repeat(700) })])
    second.close()
    const third = openStore({ path: file, keys: sealed, authorSeed })
    await third.append([item('s/last', 1)])
    const wal = fs.readFileSync(`${file}-wal`)
    const events = new Map(everything(third).map((event) => [event.id, text(event)]))
    const runs = runsOf(third)
    third.close()
    return { old, wal, size: events.size, truth: { events, runs } }
  }

  it('gives no wrong events, and is noticed where pages are missing', { timeout: LIMIT_MS }, async () => {
    const outcomes: Outcome[] = []
    const before = truth
    try {
      for (const late of [0, 1, 2, 5, 10, 20, 40, 80]) {
        const state = await stale(late)
        truth = state.truth
        outcomes.push(await examine(state.old, state.wal, state.size))
      }
    } finally {
      truth = before
    }
    tell('older copies restored under a newer write-ahead log', outcomes)
  })
})

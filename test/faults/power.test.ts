import fs from 'node:fs'
import path from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { everything, expectSound, item, openStore, sealed, SEED, tempFolder } from '../store/stores.ts'
import { dice } from '../../src/base/dice.ts'
import { DiskTrace } from './disk-trace.ts'
import type { VictimOptions } from './fixtures/victim.ts'
import { integrity, Ledger } from './ledger.ts'
import type { Fault } from './victims.ts'
import { noShim, Victim } from './victims.ts'
import { turns } from './scale.ts'

// What a process does to its files is recorded, cut off anywhere, and everything that was not synced by then is kept,
// lost or torn as a seed says. `durability: 'full'` promises that what was acknowledged is there even so, `'process'`
// that the file is sound.

const LIMIT_MS = 300_000
/** Calls that make a file a database of ours, before there is a write-ahead log. */
const FIRST_CALLS = 24
/** So few that the write-ahead log is not moved into the file meanwhile, which is synced besides. */
const SYNCED_GROUPS = 60
const counts: string[] = []
afterAll(() => console.log(`power cuts: ${counts.join('; ')}`))

type Life = Partial<VictimOptions> & { fault?: Fault }

/** Lives of one database, one after the other, and what they did to its files. */
async function record(durability: 'process' | 'full', lives: readonly Life[]): Promise<DiskTrace> {
  const folder = tempFolder()
  const trace = path.join(tempFolder(), 'trace')
  for (const [i, { fault, ...options }] of lives.entries()) {
    const victim = new Victim(
      'victim',
      {
        task: 'close',
        path: path.join(folder, 'test.db'),
        durability,
        seed: SEED + i,
        first: 1_000_000 * (i + 1),
        bytes: 300,
        shape: 'mixed',
        ...options,
      },
      { trace, ...(fault === undefined ? {} : { fault }) },
    )
    const { killed } = await victim.end()
    expect(killed).toBe(fault !== undefined)
  }
  return new DiskTrace(folder, trace)
}

interface Totals {
  cuts: number
  acknowledged: number
  found: number
  lost: number
}

/** Cuts the power at those calls, and opens what is left each time. */
async function cutAt(
  disk: DiskTrace,
  durability: 'process' | 'full',
  calls: readonly number[],
  random: () => number,
): Promise<Totals> {
  const totals: Totals = { cuts: 0, acknowledged: 0, found: 0, lost: 0 }
  for (const call of calls.toSorted((a, b) => a - b)) {
    disk.advance(call)
    const folder = tempFolder()
    const file = path.join(folder, 'test.db')
    disk.cut(folder, random)
    const ledger = new Ledger()
    ledger.note(disk.lines)
    try {
      const store = openStore({ path: file, keys: sealed, durability })
      if (durability === 'full') ledger.audit(store)
      const events = everything(store)
      const own = new Map(events.map((event) => [event.id, event]))
      expect(new Set(events.map(({ data }) => (data as { n: number }).n)).size).toBe(events.length)
      totals.found += own.size
      if (events.length < 2000) expectSound(store)
      const length = store.log(store.author)?.mmr.length ?? 0
      expect((await store.append([item('s/after', { n: 0 })]))[0]?.seq).toBe(length)
      store.close()
      expect(integrity(file)).toBe('ok')
    } catch (cause) {
      throw new Error(`the power was cut after call ${call} of ${disk.length}: ${String(cause)}`, { cause })
    }
    totals.cuts++
    totals.acknowledged += ledger.acknowledged
    totals.lost += ledger.lost
    fs.rmSync(folder, { recursive: true })
  }
  return totals
}

function note(what: string, { cuts, acknowledged, found, lost }: Totals, full: boolean): void {
  counts.push(`${what} ${cuts}, acknowledged ${acknowledged}, found ${found}${full ? `, lost ${lost}` : ''}`)
}

describe.skipIf(noShim !== null)(`a power cut${noShim === null ? '' : ` (${noShim})`}`, () => {
  it.each(['full', 'process'] as const)(
    'at any call of creating, appending, recovering and closing, with %s durability',
    { timeout: LIMIT_MS },
    async (durability) => {
      const disk = await record(durability, [
        { groups: 5, shape: 'single' },
        { groups: 8 },
        { task: 'append', shape: 'single', fault: { do: 'kill', at: 60, from: 'opened' } },
        { groups: 4, shape: 'batch' },
      ])
      const random = dice(SEED + (durability === 'full' ? 0 : 1))
      // Each call of the creation, the first ones several times, and calls at random.
      const created = disk.linesAt('kept')[1] as number
      const calls = Array.from({ length: created }, (_, i) => i + 1)
      for (let i = 0; i < 5 * FIRST_CALLS; i++) calls.push(1 + (i % FIRST_CALLS))
      while (calls.length < created + 5 * FIRST_CALLS + turns(100)) calls.push(1 + Math.floor(random() * disk.length))
      note(durability, await cutAt(disk, durability, calls, random), durability === 'full')
    },
  )

  it.each(['full', 'process'] as const)(
    'while a full write-ahead log is moved into the file and begun anew, with %s durability',
    { timeout: LIMIT_MS },
    async (durability) => {
      const disk = await record(durability, [{ groups: 20, shape: 'batch', bytes: 130_000 }])
      const random = dice(SEED + (durability === 'full' ? 2 : 3))
      const calls = Array.from({ length: turns(8) }, () => 1 + Math.floor((0.3 + 0.7 * random()) * disk.length))
      note(`${durability}, checkpoints`, await cutAt(disk, durability, calls, random), durability === 'full')
    },
  )

  it.each([
    ['full', 1],
    ['process', 0],
  ] as const)(
    'with %s durability each commit is synced that often before it is acknowledged: %i',
    async (durability, times) => {
      const disk = await record(durability, [{ groups: SYNCED_GROUPS, shape: 'single' }])
      let before = 0
      const syncs = disk.linesAt('kept').map((call) => {
        disk.advance(call)
        const sum = disk.syncs.get('test.db-wal') ?? 0
        const since = sum - before
        before = sum
        return since
      })
      expect(syncs).toHaveLength(SYNCED_GROUPS)
      // The first follows the creation of the file, which is always synced.
      expect(syncs.slice(1)).toEqual(Array.from({ length: SYNCED_GROUPS - 1 }, () => times))
      counts.push(`syncs per commit with ${durability} ${times} (${SYNCED_GROUPS - 1} commits)`)
    },
  )
})

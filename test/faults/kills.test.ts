import fs from 'node:fs'
import path from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { ID_INDEX_BATCH, MAX_CLOCK_AHEAD_MS } from '../../src/base/limits.ts'
import type { EventStore } from '../../src/store/event-store.ts'
import {
  Author,
  everything,
  expectSound,
  item,
  openStore,
  sealed,
  SEED,
  seed,
  tempFile,
  tempFolder,
} from '../store/stores.ts'
import { dice } from '../../src/base/dice.ts'
import type { VictimOptions } from './fixtures/victim.ts'
import { integrity, Ledger, show } from './ledger.ts'
import { THOROUGH, turns } from './scale.ts'
import type { Fault } from './victims.ts'
import { inPairs, noShim, Victim } from './victims.ts'

// Processes are killed at a call to the operating system that a seed chooses, or at every one of them in turn. What they
// had acknowledged must be there afterwards, once, and the log must go on without a second history.

const LIMIT_MS = 300_000
/** Events of which each is looked at on its own; of larger files the witness has verified all. */
const SOUND_EVENTS = 5000
const kills: Record<string, number> = {}
const totals = { acknowledged: 0, lost: 0, repeated: 0 }

afterAll(() => {
  const all = Object.values(kills).reduce((sum, count) => sum + count, 0)
  const each = Object.entries(kills).map(([kind, count]) => `${kind} ${count}`)
  const { acknowledged, lost, repeated } = totals
  console.log(
    `kills survived: ${all} (${each.join(', ')}); events acknowledged ${acknowledged}, lost ${lost}, repeated ${repeated}`,
  )
})

function count(kind: string, ledger: Ledger | null = null): void {
  if (ledger === null) kills[kind] = (kills[kind] ?? 0) + 1
  else for (const key of ['acknowledged', 'lost', 'repeated'] as const) totals[key] += ledger[key]
}

function victim(path: string, options: Partial<VictimOptions> = {}): VictimOptions {
  return { task: 'append', path, seed: 1, first: 0, bytes: 300, shape: 'mixed', ...options }
}

/** Opens what a killed process has left, and looks at it as a user and as another replica would. */
async function reopen(file: string, ledger: Ledger, witness: EventStore, n: number): Promise<void> {
  const store = openStore({ path: file, keys: sealed })
  ledger.glance(store)
  show(witness, store)
  const length = store.log(store.author)?.mmr.length ?? 0
  const [event] = await store.append([item('s/after', { n })])
  expect(event?.seq).toBe(length)
  ledger.author = store.author
  ledger.add({ first: n, count: 1, seq: length, id: event?.id as string })
  show(witness, store)
  store.close()
  expect(integrity(file)).toBe('ok')
}

/** The last look: at every event. */
function audit(file: string, ledger: Ledger, witness: EventStore): void {
  const store = openStore({ path: file, keys: sealed })
  ledger.audit(store)
  show(witness, store)
  expect(witness.frontierRoot()).toEqual(store.frontierRoot())
  if (store.position < SOUND_EVENTS) expectSound(store)
  store.close()
  expect(integrity(file)).toBe('ok')
}

describe.skipIf(noShim !== null)(`kill -9${noShim === null ? '' : ` (${noShim})`}`, () => {
  it.each([
    ['single', 60],
    ['batch', 60],
    ['flight', 30],
  ] as const)(
    'while appending (%s), and while opening what the last kill has left',
    { timeout: LIMIT_MS },
    async (shape, rounds) => {
      await inPairs([0, 1], async (lane) => {
        const random = dice(SEED + 10 * lane + shape.length)
        const below = (limit: number): number => Math.floor(random() * limit)
        const file = tempFile()
        const ledger = new Ledger()
        const witness = openStore({ keys: sealed })
        for (let round = 0; round < turns(rounds) / 2; round++) {
          const first = 1_000_000 * (round + 1)
          const options = victim(file, { seed: below(2 ** 31), first, shape })
          const opening = round > 0 && random() < 0.25
          const byTime = random() < 0.2
          const fault: Fault = {
            do: random() < 0.5 ? 'kill' : 'tear',
            at: 1 + below(opening ? 8 : shape === 'flight' ? 500 : 120),
            ...(opening ? {} : { from: 'opened' }),
          }
          const process = new Victim('victim', options, byTime ? {} : { fault })
          if (byTime) {
            await process.until((lines) => lines.length > 0)
            setTimeout(() => process.kill(), random() * 40)
          }
          const end = await process.end()
          expect(end.killed).toBe(true)
          count(opening && !byTime ? 'open' : 'append')
          ledger.note(end.lines)
          // Otherwise the next process finds what this one has left.
          if (random() < 0.6) await reopen(file, ledger, witness, first - 1)
        }
        audit(file, ledger, witness)
        count('append', ledger)
      })
    },
  )

  it('while ids are merged into their index', { timeout: LIMIT_MS }, async () => {
    const filled = tempFile()
    const base = openStore({ path: filled, keys: sealed, authorSeed: seed(0) })
    await base.append(Array.from({ length: ID_INDEX_BATCH - 500 }, (_, i) => item('s/base', { base: i })))
    base.close()
    const witness = openStore({ keys: sealed, authorSeed: seed(9) })
    const file = path.join(tempFolder(), 'test.db')
    fs.copyFileSync(filled, file)
    const random = dice(SEED + 100)
    const ledger = new Ledger()
    for (let round = 0; round < turns(24); round++) {
      const first = 1_000_000 * (round + 1)
      const options = victim(file, { seed: round, first, shape: 'flight', bytes: 20 })
      const fault: Fault = { do: random() < 0.5 ? 'kill' : 'tear', at: 1 + Math.floor(random() * 1500), from: 'opened' }
      const end = await new Victim('victim', options, { fault }).end()
      expect(end.killed).toBe(true)
      count('merge')
      ledger.note(end.lines)
      if (round % 6 === 5) await reopen(file, ledger, witness, first - 1)
    }
    const store = openStore({ path: file, keys: sealed })
    ledger.audit(store)
    // Found through what was merged, what is being merged and what is not.
    const lengths = store.position
    for (let position = 1; position <= lengths; position += 97) {
      const [event] = [...(store.scan(null, position - 1, false).next().value as { id: string; position: number }[])]
      expect(store.get(event?.id as string)?.position).toBe(event?.position)
    }
    show(witness, store)
    store.close()
    expect(integrity(file)).toBe('ok')
    count('merge', ledger)
  })

  it('while a full write-ahead log is moved into the file', { timeout: LIMIT_MS }, async () => {
    const random = dice(SEED + 200)
    const rounds = Array.from({ length: 6 }, (_, round) => ({
      round,
      at: 1 + Math.floor(random() * 500 * (round % 2) + random() * 8),
      tear: random() < 0.5,
    }))
    await inPairs(rounds, async ({ round, at, tear }) => {
      const file = tempFile()
      const ledger = new Ledger()
      const witness = openStore({ keys: sealed })
      const options = victim(file, { seed: round, first: 1_000_000, shape: 'batch', bytes: 200_000 })
      // Nothing is written to the file itself but by a checkpoint.
      const fault: Fault = { do: tear ? 'tear' : 'kill', at, from: 'opened', only: '.db' }
      const end = await new Victim('victim', options, { fault }).end()
      expect(end.killed).toBe(true)
      count('checkpoint')
      ledger.note(end.lines)
      expect(fs.statSync(`${file}-wal`).size).toBeGreaterThan(2 * 2 ** 20)
      await reopen(file, ledger, witness, 1)
      audit(file, ledger, witness)
      count('checkpoint', ledger)
    })
  })

  /** Calls from one at which a process is killed to the next. */
  const STRIDE = THOROUGH ? 1 : 3
  const wayOf = (at: number): 'kill' | 'tear' => (Math.ceil(at / STRIDE) % 2 === 0 ? 'kill' : 'tear')

  /** Kills a process at its first call, the next one at a later one, until one reaches its end. */
  async function sweep(
    kind: string,
    from: string | null,
    prepare: (file: string) => void,
    options: Partial<VictimOptions>,
  ): Promise<void> {
    const seen = { end: false }
    function* points(): Generator<number> {
      for (let at = 1; !seen.end; at += STRIDE) yield at
    }
    await inPairs(points(), async (at) => {
      const file = tempFile()
      prepare(file)
      const fault: Fault = { do: wayOf(at), at, ...(from === null ? {} : { from }) }
      const end = await new Victim('victim', victim(file, { task: 'close', first: 1_000_000, ...options }), {
        fault,
      }).end()
      seen.end ||= !end.killed
      if (end.killed) count(kind)
      const ledger = new Ledger()
      ledger.note(end.lines)
      const witness = openStore({ keys: sealed, authorSeed: seed(9) })
      await reopen(file, ledger, witness, 1)
      await reopen(file, ledger, witness, 2)
      audit(file, ledger, witness)
      count(kind, ledger)
      fs.rmSync(path.dirname(file), { recursive: true })
    })
    expect(seen.end).toBe(true)
  }

  it('at every call of creating a database', { timeout: LIMIT_MS }, async () => {
    await sweep('creation', null, () => undefined, { groups: 1, shape: 'single' })
  })

  it('at every call of migrating one', { timeout: LIMIT_MS }, async () => {
    const old = path.join(import.meta.dirname, '../store/fixtures/schema-1.db')
    await sweep('migration', null, (file) => fs.copyFileSync(old, file), { groups: 1, shape: 'single' })
  })

  it('at every call of storing what was held back', { timeout: LIMIT_MS }, async () => {
    const ahead = 2 * MAX_CLOCK_AHEAD_MS
    let ended = false
    for (let at = 1; !ended; at += STRIDE) {
      const file = tempFile()
      const author = new Author(1, sealed)
        .write({ time: Date.now() + ahead })
        .write({ time: Date.now() + ahead, tick: 1 })
      const before = openStore({ path: file, keys: sealed })
      expect(before.ingest([author.run()])).toEqual(['held'])
      before.close()
      const fault: Fault = { do: wayOf(at), at, from: 'opened' }
      const end = await new Victim('victim', victim(file, { task: 'release', ahead }), { fault }).end()
      ended = !end.killed
      if (end.killed) count('held')
      const store = openStore({ path: file, keys: sealed, now: () => Date.now() + ahead })
      expect(store.releaseHeld()).toBeNull()
      expect(everything(store).map(({ id }) => id)).toEqual(author.ids)
      expect(store.heldUntil(author.hex)).toBeNull()
      expectSound(store)
      store.close()
      expect(integrity(file)).toBe('ok')
    }
  })

  it('at every call of closing one', { timeout: LIMIT_MS }, async () => {
    await sweep('close', 'closing', () => undefined, { groups: 6, shape: 'single', bytes: 24_000, seed: SEED })
  })
})

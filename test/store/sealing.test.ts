import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { describe, expect, it } from 'vitest'
import { MAX_SEGMENT_BYTES, MAX_SEGMENT_EVENTS } from '../../src/base/limits.ts'
import type { DatabaseKeys } from '../../src/event/keys.ts'
import { dice } from '../../src/base/dice.ts'
import { integrity } from '../faults/ledger.ts'
import { turns } from '../faults/scale.ts'
import { everything, expectSound, item, open, openStore, runsOf, sealed, SEED, tempFile } from './stores.ts'

const ARGUMENTS = [
  '--import',
  'ts-blank-space/register',
  fileURLToPath(new URL('fixtures/sealing.ts', import.meta.url)),
]

/** Fails if the process does not end by itself, or says that anything is wrong. */
async function run(task: string, source: string, ...paths: string[]): Promise<{ answers: number; threads: number }> {
  const options = { timeout: 30_000, killSignal: 'SIGKILL' } as const
  const result = await promisify(execFile)(process.execPath, [...ARGUMENTS, task, source, ...paths], options)
  expect(result.stderr).toBe('')
  return JSON.parse(result.stdout) as { answers: number; threads: number }
}

/** Whole, readable, signed for, and the same on another replica. Returns the number of events. */
function check(path: string, keys: DatabaseKeys): number {
  expect(integrity(path)).toBe('ok')
  const store = openStore({ path, keys })
  const events = everything(store)
  expect(events.map(({ seq }) => seq)).toEqual(events.map((_, i) => i))
  expect(store.log(store.author)?.mmr.length).toBe(events.length)
  expectSound(store)
  const witness = openStore({ keys })
  for (const run of runsOf(store, MAX_SEGMENT_BYTES)) expect(witness.ingest([run])).toEqual(['stored'])
  expect(witness.frontierRoot()).toEqual(store.frontierRoot())
  store.close()
  return events.length
}

/** Chunks of one event at least, and 128 at most. */
const ALL = 300 + 3 * 1200 + 1

describe('the sealing thread', () => {
  it.each(['source', 'package'])('seals large batches of several databases in turn (%s)', async (source) => {
    const files = [tempFile(), tempFile()] as const
    const { answers, threads } = await run('append', source, ...files)
    expect(threads).toBe(1)
    expect(answers).toBeGreaterThanOrEqual((2 * 3 * 1200) / 128)
    expect(check(files[0], sealed)).toBe(ALL)
    expect(check(files[1], open)).toBe(ALL)
  })

  it('keeps no process alive that has not closed its database', async () => {
    const file = tempFile()
    expect((await run('open', 'package', file)).answers).toBeGreaterThan(0)
    expect(check(file, sealed)).toBe(ALL)
  })

  it.each(['crash', 'hang'])('may %s: what it owes is sealed without it', async (task) => {
    const files = [tempFile(), tempFile()] as const
    const { answers, threads } = await run(task, 'source', ...files)
    expect(threads).toBe(1)
    // One more signal says that the thread has ended.
    expect(answers).toBe(task === 'crash' ? 5 : 4)
    expect(check(files[0], sealed)).toBe(ALL)
    expect(check(files[1], open)).toBe(ALL)
  })

  it('may be gone before it has seen the batch', async () => {
    const file = tempFile()
    await run('killed', 'source', file)
    expect(check(file, sealed)).toBe(ALL + 3000)
  })

  it('goes on with the next batch after one that failed', async () => {
    const file = tempFile()
    const { answers } = await run('abandon', 'source', file)
    expect(answers).toBeGreaterThanOrEqual((3 * 1200) / 128)
    expect(check(file, sealed)).toBe(ALL)
  })

  it('loses nothing that was acknowledged when the process is killed', async () => {
    const random = dice(SEED)
    const file = tempFile()
    for (let round = 0; round < turns(5); round++) {
      const child = spawn(process.execPath, [...ARGUMENTS, 'endless', 'package', file], {
        stdio: ['ignore', 'pipe', 'inherit'],
      })
      const closed = once(child, 'close')
      let acknowledged = -1
      for await (const line of createInterface(child.stdout)) {
        if (acknowledged === -1) setTimeout(() => child.kill('SIGKILL'), random() * 100)
        acknowledged = Number(line)
      }
      await closed
      expect(child.signalCode).toBe('SIGKILL')
      expect(acknowledged).toBeGreaterThan(0)
      const length = check(file, sealed)
      expect(length).toBeGreaterThan(acknowledged)
      const store = openStore({ path: file, keys: sealed })
      expect((await store.append([item('after', round)]))[0]?.seq).toBe(length)
      store.close()
    }
  })

  it('leaves segments as they are', async () => {
    const file = tempFile()
    await run('append', 'package', file)
    const store = openStore({ path: file, keys: sealed })
    for (const { events } of runsOf(store, 1)) {
      expect(events.length).toBeLessThanOrEqual(MAX_SEGMENT_EVENTS)
      expect(events.reduce((sum, { length }) => sum + length, 0)).toBeLessThanOrEqual(MAX_SEGMENT_BYTES + 200)
    }
  })
})

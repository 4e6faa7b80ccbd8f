import fs from 'node:fs'
import path from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import Sqlite from 'better-sqlite3'
import { describe, expect, test } from 'vitest'
import { deriveDatabaseKeys } from '../../src/event/keys.ts'
import { DATABASE } from '../../src/simulator/limits.ts'
import type { SimRecord } from '../../src/simulator/record.ts'
import { parseScenario } from '../../src/simulator/scenario.ts'
import { EventStore } from '../../src/store/event-store.ts'
import { jsonLines, ROOT, Terminal } from './processes.ts'

const terminal = new Terminal()
const BROKEN = fileURLToPath(new URL('../simulator/fixtures/broken-cli.ts', import.meta.url))
const REGISTER = pathToFileURL(path.join(ROOT, 'node_modules/ts-blank-space/loader/register.js')).href

describe('peerlog sim', () => {
  test('tells how a run went, and repeats it from the same seed', async () => {
    const [one, again] = await Promise.all([1, 2].map(() => terminal.run(['sim', '--seed', '4', '--devices', '5'])))
    expect(one).toMatchObject({ code: 0, stderr: '' })
    expect(one?.stdout).toMatch(/verdict +all hold the same/)
    for (const word of ['seed', 'equal', 'network', 'cost', 'trace']) expect(one?.stdout).toContain(word)
    expect(again?.stdout).toBe(one?.stdout)
  })

  test('prints the record of every run as JSON', async () => {
    const { code, stdout } = await terminal.run(['sim', '--seeds', '4..6', '--devices', '4', '--loss', '0.1', '--json'])
    const records = jsonLines(stdout) as unknown as SimRecord[]
    expect(code).toBe(0)
    expect(records.map(({ seed, command }) => [seed, command])).toEqual(
      [4, 5, 6].map((seed) => [seed, `peerlog sim --seed ${seed} --devices 4 --loss 0.1`]),
    )
    expect(records.every(({ format, verdict }) => format === 1 && verdict.ok)).toBe(true)
  })

  test('keeps the databases of all devices, and what happened, as SQLite files', async () => {
    const folder = terminal.file('kept')
    const args = ['sim', '--seed', '9', '--devices', '4']
    const [kept, memory] = [await terminal.run([...args, '--keep', folder]), await terminal.run(args)]
    expect(kept.code).toBe(0)
    expect(kept.stdout).toBe(memory.stdout)
    const sim = new Sqlite(`${folder}/sim.db`, { readonly: true })
    const written = sim
      .prepare('SELECT coalesce(sum(length(ids) / 64), 0) FROM sim_events WHERE author IS NOT NULL')
      .pluck()
      .get() as number
    const { ok } = JSON.parse(
      sim.prepare("SELECT value FROM sim_result WHERE name = 'verdict'").pluck().get() as string,
    ) as { ok: boolean }
    const secret = /sealed true/.test(kept.stdout) ? Buffer.alloc(32, 7) : undefined
    sim.close()
    expect(ok).toBe(true)
    expect(written).toBeGreaterThan(0)
    const keys = await deriveDatabaseKeys(DATABASE, secret)
    const path = `${folder}/device-1.db`
    const store = EventStore.open({ path, databaseId: DATABASE, keys, readOnly: true, authorSeed: Buffer.alloc(32, 1) })
    expect(store.position).toBe(written)
    store.close()
    const again = await terminal.run([...args, '--keep', folder])
    expect(again).toMatchObject({ code: 2 })
    expect(again.stderr).toMatch(/is not empty/)
  })

  test('writes a page to look at', async () => {
    const file = terminal.file('out.html')
    const { code, stderr } = await terminal.run(['sim', '--seed', '4', '--devices', '4', '--report', file])
    expect({ code, stderr }).toEqual({ code: 0, stderr: `report: ${file}\n` })
    expect(fs.readFileSync(file, 'utf8')).toMatch(/^<!doctype html>[^]*device-4/i)
  })

  test('makes a failing run smaller, and writes a file that repeats it', { timeout: 120_000 }, async () => {
    terminal.file('')
    const broken = (args: string[]): Promise<{ code: number | null; stdout: string; stderr: string }> => {
      const flags = ['--import', REGISTER, BROKEN, 'claims-kept']
      return terminal.node([...flags, ...args], {}, terminal.folder).ended
    }
    const { code, stderr } = await broken(['sim', '--seed', '1', '--devices', '4'])
    expect(code, stderr).toBe(1)
    expect(stderr).toMatch(/rest at .* still claims/)
    expect(stderr).toContain('repeat it with: peerlog sim --seed 1 --devices 4')
    expect(stderr).toContain('peerlog sim --scenario peerlog-sim-1.json')
    const file = terminal.file('peerlog-sim-1.json')
    const scenario = parseScenario(JSON.parse(fs.readFileSync(file, 'utf8')))
    expect(scenario.devices.length).toBeLessThanOrEqual(3)
    expect(scenario.events.length).toBeLessThanOrEqual(3)
    expect(await broken(['sim', '--scenario', file, '--no-shrink'])).toMatchObject({ code: 1 })
    expect(await terminal.run(['sim', '--scenario', file])).toMatchObject({ code: 0 })
  })

  test('stops at Ctrl-C with what was found so far', async () => {
    const started = terminal.start(['sim', '--seeds', '1..100000', '--devices', '4'])
    await started.prints(/ok +seed 2/)
    const { code, stdout, stderr } = await started.interrupt()
    expect(code).toBe(0)
    expect(stdout).toMatch(/ok +seed 1 /)
    expect(stderr).toMatch(/stopped after \d+ of 100000/)
  })

  test.each([
    [['--loss', '2'], /0 to 0\.9/],
    [['--seeds', '5..1'], /1\.\.1000/],
    [['--seeds', '1..2', '--seed', '3'], /Leave --seed/],
    [['--seeds', '1..2', '--keep', 'x'], /one run/],
    [['--devices', '0'], /whole number from 1/],
    [['--scenario', 'nowhere.json'], /can't read the scenario/],
    [['--topology', 'cube'], /mesh/],
  ])('refuses %j', async (args, message) => {
    const { code, stderr } = await terminal.run(['sim', ...args])
    expect(code).toBe(2)
    expect(stderr).toMatch(message)
  })
})

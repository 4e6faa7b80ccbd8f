import { afterEach, describe, expect, it, vi } from 'vitest'
import { Puller } from '../../src/broadcast/puller.ts'
import { randomScenario } from '../../src/simulator/random-scenario.ts'
import type { SimRecord } from '../../src/simulator/record.ts'
import type { Scenario } from '../../src/simulator/scenario.ts'
import { parseScenario } from '../../src/simulator/scenario.ts'
import { shrink } from '../../src/simulator/shrink.ts'
import { simulate } from '../../src/simulator/simulate.ts'

const run = (scenario: Scenario): Promise<SimRecord> => simulate({ scenario })

afterEach(() => {
  vi.restoreAllMocks()
})

describe('shrinking', () => {
  it('leaves of a large scenario what is needed to show a fault', { timeout: 120_000 }, async () => {
    // The planted fault: nothing is ever asked for, so that what was not pushed never comes.
    vi.spyOn(Puller.prototype, 'requests').mockReturnValue([])
    const scenario = randomScenario({ seed: 5, devices: 8, transport: 'stream' })
    const record = await run(scenario)
    expect(record.verdict.ok).toBe(false)
    const shrunk = await shrink(scenario, record, { run, maxRuns: 400 })
    expect(shrunk.record.verdict.failures[0]?.check).toBe(record.verdict.failures[0]?.check)
    expect(shrunk.scenario.devices.length).toBeLessThanOrEqual(2)
    expect(shrunk.scenario.events.length).toBeLessThanOrEqual(2)
    // It fails again from a file, and without the fault it does not.
    const again = parseScenario(JSON.parse(JSON.stringify(shrunk.scenario)))
    expect((await run(again)).trace).toBe(shrunk.record.trace)
    vi.restoreAllMocks()
    expect((await run(again)).verdict.failures).toEqual([])
  })

  it('takes as many runs as it may, and no more', async () => {
    const scenario = randomScenario({ seed: 1, devices: 3, transport: 'stream' })
    const failing = await run(scenario)
    const failed: SimRecord = {
      ...failing,
      verdict: { ok: false, failures: [{ check: 'x', at: 0, device: null, detail: '' }] },
    }
    let runs = 0
    const told: number[] = []
    const shrunk = await shrink(scenario, failed, {
      run: () => {
        runs++
        return Promise.resolve(failing)
      },
      maxRuns: 7,
      onRun: (count) => told.push(count),
    })
    expect(runs).toBe(7)
    expect(told).toEqual([1, 2, 3, 4, 5, 6, 7])
    expect(shrunk.scenario).toBe(scenario)
  })
})

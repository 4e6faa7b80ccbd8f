import { readFileSync } from 'node:fs'
import { randomInt } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { randomScenario } from '../../src/simulator/random-scenario.ts'
import type { SimRecord } from '../../src/simulator/record.ts'
import type { Scenario, ScenarioEvent } from '../../src/simulator/scenario.ts'
import { parseScenario } from '../../src/simulator/scenario.ts'
import { simulate } from '../../src/simulator/simulate.ts'

const THOROUGH = process.env['PEERLOG_THOROUGH'] === '1'
/** Seeds that have found something once: what, is said beside them. */
const KNOWN = JSON.parse(readFileSync(new URL('../seeds/simulator.json', import.meta.url), 'utf8')) as Record<
  string,
  string
>
const FRESH = THOROUGH ? 1000 : 10

function expectOk({ verdict, command }: SimRecord): void {
  expect(verdict.failures, command).toEqual([])
}

/** Two devices, of which one writes. */
function pair(events: unknown[], more: object = {}): Scenario {
  return parseScenario({ format: 1, devices: [{ name: 'a' }, { name: 'b' }], events, ...more })
}

describe('random scenarios', () => {
  for (const [seed, what] of Object.entries(KNOWN)) {
    it(`seed ${seed}, which has found something before (${what})`, async () => {
      expectOk(await simulate({ scenario: randomScenario({ seed: Number(seed), transport: 'stream' }) }))
    })
  }

  const first = THOROUGH ? 1 : randomInt(2 ** 31)
  it(`${FRESH} seeds from ${first} on`, { timeout: 3_600_000 }, async () => {
    for (let seed = first; seed < first + FRESH; seed++)
      expectOk(await simulate({ scenario: randomScenario({ seed, devices: THOROUGH ? 20 : 8 }) }))
  })
})

describe('a run', () => {
  it('gives the same record again, and another one for another seed', async () => {
    const [one, again, other] = await Promise.all(
      [5, 5, 6].map((seed) => simulate({ scenario: randomScenario({ seed, devices: 6 }) })),
    )
    expect(again).toEqual(one)
    expect(other?.trace).not.toBe(one?.trace)
  })

  it('records what happened, what it cost and how far everybody had come', async () => {
    const record = await simulate({
      scenario: pair([
        { at: 1000, kind: 'message', device: 'a', count: 3 },
        { at: 2000, kind: 'partition', groups: [['a'], ['b']] },
        { at: 2500, kind: 'message', device: 'a' },
        { at: 9000, kind: 'heal' },
      ]),
    })
    expectOk(record)
    expect(record.totals.events).toBe(4)
    expect(record.devices.map(({ wrote, held }) => [wrote, held])).toEqual([
      [4, 4],
      [0, 4],
    ])
    const kinds = record.events.map(({ at, kind, device }) => `${at} ${kind} ${device}`)
    expect(kinds).toContain('1000 message a')
    expect(kinds).toContain('2500 message a')
    expect(record.partitions).toEqual([{ from: 2000, to: 9000, groups: [['a'], ['b']] }])
    const during = record.samples.filter(({ at }) => at > 3000 && at < 9000)
    expect(during.length).toBeGreaterThan(0)
    for (const { held, complete } of during) expect([held, complete]).toEqual([[4, 3], 7 / 8])
    expect(record.samples.at(-1)).toMatchObject({ written: 4, held: [4, 4], complete: 1 })
    expect(record.totals.convergedAfter).toBeLessThan(60_000)
    const sampled = record.trafficSamples.flatMap(({ bytes }) => Object.values(bytes)).reduce((sum, n) => sum + n, 0)
    expect(sampled).toBe(record.totals.bytes)
    expect(record.traffic.reduce((sum, { bytes }) => sum + bytes, 0)).toBe(record.totals.bytes)
  })

  it('loses nothing that was acknowledged, at whichever write a device dies', async () => {
    let crashes = 0
    for (const point of ['write', 'commit', 'told'] as const) {
      for (const device of ['a', 'b']) {
        for (let count = 1; ; count++) {
          const record = await simulate({
            scenario: pair([
              { at: 500, kind: 'crash', device, point, count },
              { at: 1000, kind: 'message', device: 'a', count: 2 },
              { at: 1500, kind: 'message', device: 'b' },
              { at: 2000, kind: 'message', device: 'a' },
              { at: 3000, kind: 'restart', device },
              { at: 3500, kind: 'message', device: 'a' },
            ]),
          })
          expectOk(record)
          // Beyond the last write nobody dies any more.
          if (record.totals.crashes === 0) break
          crashes++
        }
      }
    }
    expect(crashes).toBeGreaterThan(30)
  })

  it('tells an append that a crash has cut off after its commit: nobody was told, and all of it is there', async () => {
    const record = await simulate({
      scenario: pair([
        { at: 1000, kind: 'crash', device: 'a', point: 'told', count: 1 },
        { at: 1001, kind: 'message', device: 'a', count: 5 },
        { at: 2000, kind: 'restart', device: 'a' },
      ]),
    })
    expectOk(record)
    expect(record.totals.events).toBe(5)
    expect(record.events.filter(({ kind }) => kind === 'recovered')).toHaveLength(1)
    expect(record.events.filter(({ kind }) => kind === 'message')).toHaveLength(0)
    expect(record.samples.at(-1)?.held).toEqual([5, 5])
  })

  it('goes on while a device sleeps, loses its network, has its clock set, and leaves', async () => {
    const events: Partial<ScenarioEvent>[] = [
      { at: 1000, kind: 'sleep', device: 'b' },
      { at: 2000, kind: 'message', device: 'a', count: 2, bytes: 5000 },
      { at: 60_000, kind: 'wake', device: 'b' },
      { at: 61_000, kind: 'offline', device: 'a' },
      { at: 62_000, kind: 'message', device: 'a', count: 1, bytes: 1 },
      { at: 63_000, kind: 'clock', device: 'a', ms: 400_000 },
      { at: 64_000, kind: 'message', device: 'a', count: 1, bytes: 1 },
      { at: 65_000, kind: 'online', device: 'a' },
      { at: 600_000, kind: 'leave', device: 'a' },
    ]
    const record = await simulate({ scenario: pair(events) })
    expectOk(record)
    expect(record.devices[1]?.held).toBe(4)
    expect(record.devices[0]?.spans.map(({ state }) => state)).toEqual(
      ['absent', 'online', 'offline', 'online', 'absent'].slice(1),
    )
    expect(record.devices[1]?.spans.map(({ state }) => state)).toEqual(['online', 'asleep', 'online'])
  })

  it('finds the network between two devices as it was said to be', async () => {
    const quiet = await simulate({ scenario: pair([{ at: 1000, kind: 'message', device: 'a' }]) })
    const scenario = pair(
      [
        { at: 0, kind: 'network', from: 'a', to: 'b', change: { loss: 0.5, duplication: 0.2, reordering: 0.3 } },
        { at: 1000, kind: 'message', device: 'a', count: 200, bytes: 400 },
      ],
      { conditions: { latency: 5, bandwidth: 50_000 } },
    )
    const bad = await simulate({ scenario })
    expectOk(bad)
    expect(quiet.totals.lost + quiet.totals.duplicated + quiet.totals.reordered).toBe(0)
    expect(bad.totals.lost).toBeGreaterThan(20)
    expect(bad.totals.duplicated).toBeGreaterThan(5)
    expect(bad.totals.reordered).toBeGreaterThan(5)
    // 200 events of more than 400 bytes at 50 000 bytes a second.
    expect(bad.totals.convergedAfter).toBeGreaterThan(1600)
  })

  it('ends with the reason of its signal', async () => {
    const abort = new AbortController()
    abort.abort(new Error('enough'))
    await expect(simulate({ scenario: randomScenario({ seed: 2 }), signal: abort.signal })).rejects.toThrow('enough')
  })
})

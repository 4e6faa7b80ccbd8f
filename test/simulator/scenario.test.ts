import { describe, expect, it } from 'vitest'
import { randomScenario } from '../../src/simulator/random-scenario.ts'
import { parseScenario } from '../../src/simulator/scenario.ts'

const SMALL = { format: 1, devices: [{ name: 'a' }], events: [] }

describe('a scenario', () => {
  it('has defaults for what is left out, and its events in order', () => {
    const scenario = parseScenario({
      ...SMALL,
      conditions: { loss: 0.5 },
      events: [
        { at: 20, kind: 'heal' },
        { at: 10, kind: 'message', device: 'a' },
      ],
    })
    expect(scenario).toMatchObject({ seed: 1, topology: 'mesh', transport: 'stream', secret: false })
    expect(scenario.conditions).toMatchObject({ loss: 0.5, latency: 20 })
    expect(scenario.devices).toEqual([{ name: 'a', offset: 0, drift: 0, joins: 0, liar: false }])
    expect(scenario.events).toEqual([
      { at: 10, kind: 'message', device: 'a', count: 1, bytes: 20 },
      { at: 20, kind: 'heal' },
    ])
  })

  it.each([
    ['no object', 7, /the scenario/],
    ['another format', { ...SMALL, format: 2 }, /format/],
    ['no devices', { ...SMALL, devices: [] }, /devices/],
    ['a device twice', { ...SMALL, devices: [{ name: 'a' }, { name: 'a' }] }, /two devices are named a/],
    ['a name that is a path', { ...SMALL, devices: [{ name: '../a' }] }, /devices\.0\.name/],
    ['an unknown field', { ...SMALL, speed: 3 }, /speed/],
    ['an unknown kind', { ...SMALL, events: [{ at: 1, kind: 'earthquake' }] }, /events\.0\.kind/],
    ['somebody who is not there', { ...SMALL, events: [{ at: 1, kind: 'sleep', device: 'b' }] }, /no device b/],
    ['a partition of them', { ...SMALL, events: [{ at: 1, kind: 'partition', groups: [['b']] }] }, /no device b/],
    ['a way to them', { ...SMALL, events: [{ at: 1, kind: 'network', to: 'b', change: {} }] }, /no device b/],
    ['a time before the run', { ...SMALL, events: [{ at: -1, kind: 'heal' }] }, /events\.0\.at/],
    ['too much loss', { ...SMALL, conditions: { loss: 1 } }, /conditions\.loss/],
    ['too many events at once', { ...SMALL, events: [{ at: 1, kind: 'message', device: 'a', count: 1e9 }] }, /count/],
  ])('is refused with %s', (_, input, message) => {
    expect(() => parseScenario(input)).toThrow(expect.objectContaining({ code: 'INVALID_CONFIG' }) as Error)
    expect(() => parseScenario(input)).toThrow(message)
  })

  it('of chance is the same for the same options, valid, and survives being written to a file', () => {
    for (let seed = 1; seed <= 50; seed++) {
      const scenario = randomScenario({ seed, devices: (seed % 20) + 1 })
      expect(randomScenario({ seed, devices: (seed % 20) + 1 })).toEqual(scenario)
      expect(parseScenario(JSON.parse(JSON.stringify(scenario)))).toEqual(scenario)
    }
    expect(randomScenario({ seed: 1, loss: 0.3, topology: 'star', devices: 3 })).toMatchObject({
      topology: 'star',
      conditions: { loss: 0.3 },
    })
    expect(() => randomScenario({ seed: 1, devices: 0 })).toThrow('0 devices')
  })
})

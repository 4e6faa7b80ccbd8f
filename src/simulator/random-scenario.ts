import { PeerlogError } from '../base/errors.ts'
import { Chance } from './chance.ts'
import { MAX_DEVICES } from './limits.ts'
import type { Conditions, Scenario, ScenarioEvent, SimDevice, SimTransport } from './scenario.ts'
import { SIM_TRANSPORTS } from './scenario.ts'
import type { Topology } from './topology.ts'
import { TOPOLOGIES } from './topology.ts'

export interface RandomScenarioOptions {
  seed: number
  /** How many devices; default 20. */
  devices?: number
  /** About how many events are written; by default a number of chance, up to 400. */
  events?: number
  /** Part of the packets that is lost; by default a number of chance, up to 0.5, that changes. */
  loss?: number
  topology?: Topology
  /** By default one of chance. */
  transport?: SimTransport
}

const SECOND = 1000
const MINUTE = 60_000

/** A scenario of chance: the same for the same options, on any machine. */
export function randomScenario(options: RandomScenarioOptions): Scenario {
  const { seed, devices: count = 20 } = options
  if (!Number.isInteger(count) || count < 1 || count > MAX_DEVICES) {
    throw new PeerlogError('INVALID_ARGUMENT', `${count} devices`, {
      hint: `It is a whole number from 1 to ${MAX_DEVICES}`,
    })
  }
  const chance = (purpose: string): Chance => new Chance(seed, `scenario ${purpose}`)
  const shape = chance('shape')
  const length = shape.between(20, 180) * SECOND
  const devices = someDevices(chance('devices'), count, length)
  const honest = devices.filter(({ liar }) => !liar)
  const events: ScenarioEvent[] = [
    ...messages(chance('messages'), honest, length, options.events ?? shape.between(10, 400)),
    ...troubles(chance('troubles'), honest, length),
    ...partitions(chance('partitions'), honest, length),
    ...weather(chance('weather'), honest, length, options.loss),
    ...clockJumps(chance('clocks'), honest, length),
  ]
  const topology = options.topology ?? shape.pick(TOPOLOGIES)
  if (options.topology === undefined && shape.happens(0.2)) {
    events.push({ at: shape.below(length), kind: 'topology', topology: shape.pick(TOPOLOGIES) })
  }
  return {
    format: 1,
    seed,
    topology,
    transport: options.transport ?? chance('transport').pick(SIM_TRANSPORTS),
    secret: shape.happens(0.3),
    conditions: conditions(chance('conditions'), options.loss),
    devices,
    events: events.toSorted((a, b) => a.at - b.at),
  }
}

function someDevices(chance: Chance, count: number, length: number): SimDevice[] {
  const liars = count >= 3 && chance.happens(0.3) ? chance.between(1, Math.ceil(count / 10)) : 0
  return Array.from({ length: count }, (_, i) => ({
    name: `device-${String(i + 1).padStart(String(count).length, '0')}`,
    offset: chance.happens(0.6) ? 0 : chance.between(-3 * MINUTE, 3 * MINUTE),
    drift: chance.happens(0.5) ? 0 : chance.between(-200, 200),
    joins: i === 0 || chance.happens(0.8) ? chance.below(SECOND) : chance.below(length),
    liar: i >= count - liars,
  }))
}

function messages(chance: Chance, devices: readonly SimDevice[], length: number, count: number): ScenarioEvent[] {
  const writers = chance.happens(0.5) ? devices : chance.shuffled(devices).slice(0, chance.between(1, 4))
  const most = chance.pick([1, 3, 20, 100])
  const largest = chance.pick([20, 200, 200, 3000])
  const events: ScenarioEvent[] = []
  for (let left = count; left > 0;) {
    const burst = Math.min(left, chance.between(1, most))
    left -= burst
    const bytes = burst > 20 ? Math.min(200, largest) : largest
    events.push({
      at: chance.below(length),
      kind: 'message',
      device: chance.pick(writers).name,
      count: burst,
      bytes: chance.below(bytes),
    })
  }
  return events
}

/** Crashes, sleeps, devices that lose the network or leave. */
function troubles(chance: Chance, devices: readonly SimDevice[], length: number): ScenarioEvent[] {
  const events: ScenarioEvent[] = []
  for (let left = chance.below(devices.length * 2); left > 0; left--) {
    const { name: device } = chance.pick(devices)
    const at = chance.below(length)
    const until = at + chance.between(100, chance.pick([3, 20, 90]) * SECOND)
    const kind = chance.pick(['crash', 'crash', 'crash', 'sleep', 'offline', 'offline'] as const)
    if (kind === 'crash') {
      const point = chance.pick(['now', 'write', 'write', 'commit', 'told'] as const)
      events.push({ at, kind, device, point, count: chance.between(1, point === 'write' ? 40 : 8) })
      events.push({ at: until, kind: 'restart', device })
    } else {
      events.push({ at, kind, device }, { at: until, kind: kind === 'sleep' ? 'wake' : 'online', device })
    }
  }
  // The first one stays.
  const leaving = chance.happens(0.3) ? chance.shuffled(devices.slice(1)).slice(0, chance.between(1, 2)) : []
  // Of two that are to become equal nobody leaves.
  if (devices.length < 3) leaving.length = 0
  for (const { name: device } of leaving) events.push({ at: chance.below(length), kind: 'leave', device })
  return events.filter(({ at }) => at < length)
}

function partitions(chance: Chance, devices: readonly SimDevice[], length: number): ScenarioEvent[] {
  const events: ScenarioEvent[] = []
  for (let left = chance.pick([0, 1, 1, 2, 3]); left > 0; left--) {
    const groups: string[][] = Array.from({ length: chance.between(2, 3) }, () => [])
    for (const { name } of devices) chance.pick(groups).push(name)
    const at = chance.below(length)
    events.push({ at, kind: 'partition', groups: groups.filter((group) => group.length > 0) })
    events.push({ at: Math.min(length, at + chance.between(SECOND, 60 * SECOND)), kind: 'heal' })
  }
  return events
}

/** Changes of the network: everywhere, or on one way only. */
function weather(chance: Chance, devices: readonly SimDevice[], length: number, loss?: number): ScenarioEvent[] {
  const events: ScenarioEvent[] = []
  for (let left = chance.below(4); left > 0; left--) {
    const at = chance.below(length)
    if (chance.happens(0.4) || devices.length < 2) {
      if (loss === undefined) events.push({ at, kind: 'network', change: { loss: someLoss(chance) } })
      continue
    }
    const [from, to] = chance.shuffled(devices).map(({ name }) => name) as [string, string]
    const change: Partial<Conditions> = chance.pick([
      { latency: chance.between(100, 1500) },
      { bandwidth: chance.between(10, 60) * 1000 },
      ...(loss === undefined ? [{ loss: someLoss(chance) }] : []),
    ])
    events.push({ at, kind: 'network', from, to, change })
  }
  return events
}

function clockJumps(chance: Chance, devices: readonly SimDevice[], length: number): ScenarioEvent[] {
  const events: ScenarioEvent[] = []
  for (let left = chance.pick([0, 0, 1, 3]); left > 0; left--) {
    const { name: device } = chance.pick(devices)
    const ms = chance.between(-10 * MINUTE, chance.pick([2, 8, 15]) * MINUTE)
    events.push({ at: chance.below(length), kind: 'clock', device, ms })
  }
  return events
}

function conditions(chance: Chance, loss?: number): Conditions {
  return {
    latency: chance.pick([1, 10, 40, 150]),
    jitter: chance.pick([0, 5, 50]),
    loss: loss ?? someLoss(chance),
    duplication: chance.pick([0, 0, 0.01, 0.1]),
    reordering: chance.pick([0, 0.01, 0.2]),
    bandwidth: chance.pick([0, 0, 2_000_000, 100_000]),
  }
}

function someLoss(chance: Chance): number {
  return chance.pick([0, 0, 0.01, 0.05, 0.2, 0.35, 0.5])
}

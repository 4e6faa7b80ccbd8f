import * as v from 'valibot'
import { PeerlogError } from '../base/errors.ts'
import {
  MAX_BURST_EVENTS,
  MAX_CLOCK_OFFSET_MS,
  MAX_CRASH_WRITES,
  MAX_DEVICES,
  MAX_DRIFT_PPM,
  MAX_MESSAGE_TEXT_BYTES,
  MAX_SCENARIO_EVENTS,
  MAX_SCENARIO_MS,
} from './limits.ts'
import type { Topology } from './topology.ts'
import { TOPOLOGIES } from './topology.ts'

export const SIM_TRANSPORTS = ['stream', 'datagrams', 'both'] as const
export type SimTransport = (typeof SIM_TRANSPORTS)[number]

/** What a way through the network does to packets. */
export interface Conditions {
  /** Milliseconds that a packet is under way at least, and at random up to how many more. */
  latency: number
  jitter: number
  /** Parts of the packets, 0 to 1, that are lost, arrive twice, and are overtaken by later ones. */
  loss: number
  duplication: number
  reordering: number
  /** Bytes per second in each direction; 0: no limit. */
  bandwidth: number
}

export interface SimDevice {
  name: string
  /** Milliseconds by which its clock is ahead, and parts in a million by which it runs too fast. */
  offset: number
  drift: number
  /** Milliseconds since the run began when it appears. */
  joins: number
  /** It alters what it sends, and writes nothing itself. What becomes of it does not matter. */
  liar: boolean
}

/** Something that happens in the world at a time: milliseconds since the run began. */
export type ScenarioEvent = { at: number } & (
  | { kind: 'message'; device: string; count: number; bytes: number }
  | { kind: 'offline' | 'online' | 'sleep' | 'wake' | 'leave' | 'restart'; device: string }
  /** It dies: now, or at the n-th write, before the n-th commit, or after it and before anybody is told. */
  | { kind: 'crash'; device: string; point: 'now' | 'write' | 'commit' | 'told'; count: number }
  /** Its clock is set, forward or (negative) back. */
  | { kind: 'clock'; device: string; ms: number }
  /** For all ways, or for that from one device to another, in that direction only. */
  | { kind: 'network'; from?: string; to?: string; change: Partial<Conditions> }
  | { kind: 'partition'; groups: string[][] }
  | { kind: 'heal' }
  | { kind: 'topology'; topology: Topology }
)

/** Everything that decides a run. */
export interface Scenario {
  format: 1
  seed: number
  topology: Topology
  transport: SimTransport
  /** Whether events are sealed. */
  secret: boolean
  conditions: Conditions
  devices: SimDevice[]
  /** By time. After the last one all is healed, everybody who has not left is there, and must become equal. */
  events: ScenarioEvent[]
}

export const GOOD_CONDITIONS: Conditions = {
  latency: 20,
  jitter: 10,
  loss: 0,
  duplication: 0,
  reordering: 0,
  bandwidth: 0,
}

const whole = (least: number, most: number): v.GenericSchema<number> =>
  v.pipe(v.number(), v.integer(), v.minValue(least), v.maxValue(most))
const Part = v.pipe(v.number(), v.minValue(0), v.maxValue(1))
/** Names go into file names, with `--keep`. */
const Name = v.pipe(
  v.string(),
  v.regex(/^[a-z0-9][a-z0-9-]{0,31}$/, 'a name of a-z, 0-9 and -, of at most 32 characters'),
)
const At = whole(0, MAX_SCENARIO_MS)

const CONDITIONS = {
  latency: whole(0, 60_000),
  jitter: whole(0, 60_000),
  loss: v.pipe(v.number(), v.minValue(0), v.maxValue(0.9)),
  duplication: Part,
  reordering: Part,
  bandwidth: whole(0, 10_000_000_000),
}

const Event = v.variant('kind', [
  v.strictObject({
    at: At,
    kind: v.literal('message'),
    device: Name,
    count: v.optional(whole(1, MAX_BURST_EVENTS), 1),
    bytes: v.optional(whole(0, MAX_MESSAGE_TEXT_BYTES), 20),
  }),
  v.strictObject({
    at: At,
    kind: v.picklist(['offline', 'online', 'sleep', 'wake', 'leave', 'restart']),
    device: Name,
  }),
  v.strictObject({
    at: At,
    kind: v.literal('crash'),
    device: Name,
    point: v.optional(v.picklist(['now', 'write', 'commit', 'told']), 'now'),
    count: v.optional(whole(1, MAX_CRASH_WRITES), 1),
  }),
  v.strictObject({
    at: At,
    kind: v.literal('clock'),
    device: Name,
    ms: whole(-MAX_CLOCK_OFFSET_MS, MAX_CLOCK_OFFSET_MS),
  }),
  v.strictObject({
    at: At,
    kind: v.literal('network'),
    from: v.optional(Name),
    to: v.optional(Name),
    change: v.partial(v.strictObject(CONDITIONS)),
  }),
  v.strictObject({ at: At, kind: v.literal('partition'), groups: v.pipe(v.array(v.array(Name)), v.minLength(1)) }),
  v.strictObject({ at: At, kind: v.literal('heal') }),
  v.strictObject({ at: At, kind: v.literal('topology'), topology: v.picklist(TOPOLOGIES) }),
])

const Device = v.strictObject({
  name: Name,
  offset: v.optional(whole(-MAX_CLOCK_OFFSET_MS, MAX_CLOCK_OFFSET_MS), 0),
  drift: v.optional(whole(-MAX_DRIFT_PPM, MAX_DRIFT_PPM), 0),
  joins: v.optional(At, 0),
  liar: v.optional(v.boolean(), false),
})

const Schema = v.strictObject({
  format: v.literal(1),
  seed: v.optional(whole(0, 2 ** 32 - 1), 1),
  topology: v.optional(v.picklist(TOPOLOGIES), 'mesh'),
  transport: v.optional(v.picklist(SIM_TRANSPORTS), 'stream'),
  secret: v.optional(v.boolean(), false),
  conditions: v.optional(v.partial(v.strictObject(CONDITIONS)), {}),
  devices: v.pipe(v.array(Device), v.minLength(1), v.maxLength(MAX_DEVICES)),
  events: v.pipe(v.array(Event), v.maxLength(MAX_SCENARIO_EVENTS)),
})

const HINT = 'docs/SIMULATOR.md says what a scenario is made of'

/**
 * The scenario that a JSON value describes, with defaults filled in and events in the order of their times.
 * @throws {PeerlogError} `INVALID_CONFIG`, saying where and what is wrong.
 */
export function parseScenario(input: unknown): Scenario {
  const parsed = v.safeParse(Schema, input)
  if (!parsed.success) {
    const [issue] = parsed.issues
    const place = v.getDotPath(issue) ?? 'the scenario'
    throw new PeerlogError('INVALID_CONFIG', `${place}: ${issue.message}`, { hint: HINT })
  }
  const scenario = parsed.output
  const names = new Set<string>()
  for (const { name } of scenario.devices) {
    if (names.has(name)) throw new PeerlogError('INVALID_CONFIG', `two devices are named ${name}`, { hint: HINT })
    names.add(name)
  }
  const events = scenario.events.toSorted((a, b) => a.at - b.at) as ScenarioEvent[]
  for (const [i, event] of events.entries()) {
    for (const name of namesIn(event)) {
      if (names.has(name)) continue
      throw new PeerlogError('INVALID_CONFIG', `events.${i}: there is no device ${name}`, { hint: HINT })
    }
  }
  return { ...scenario, conditions: { ...GOOD_CONDITIONS, ...withoutUndefined(scenario.conditions) }, events }
}

function namesIn(event: ScenarioEvent): string[] {
  if ('device' in event) return [event.device]
  if (event.kind === 'partition') return event.groups.flat()
  if (event.kind !== 'network') return []
  return [event.from ?? [], event.to ?? []].flat()
}

export function withoutUndefined(change: { [Name in keyof Conditions]?: number | undefined }): Partial<Conditions> {
  return Object.fromEntries(Object.entries(change).filter(([, value]) => value !== undefined))
}

import type { SimRecord } from './record.ts'
import type { Scenario, ScenarioEvent, SimDevice } from './scenario.ts'

export interface ShrinkOptions {
  /** Runs a scenario. */
  run: (scenario: Scenario) => Promise<SimRecord>
  /** How many runs it may take at most; default 200. */
  maxRuns?: number
  /** Aborting ends it with the smallest scenario so far. */
  signal?: AbortSignal
  /** Told after every run. */
  onRun?: (runs: number, smallest: Scenario) => void
}

export interface Shrunk {
  scenario: Scenario
  record: SimRecord
  runs: number
}

/** Runs that shrinking may take, unless it is told otherwise. */
const MAX_RUNS = 200

/**
 * Makes a failing scenario smaller for as long as it fails in one of the same checks: leaves out events, in ever smaller
 * portions (delta debugging: Zeller and Hildebrandt, 2002), then devices, then makes what is left simpler.
 */
export async function shrink(scenario: Scenario, record: SimRecord, options: ShrinkOptions): Promise<Shrunk> {
  const shrinker = new Shrinker(scenario, record, options)
  for (let size = Infinity; size !== shrinker.size;) {
    size = shrinker.size
    await shrinker.fewer(withEvents, ({ events }) => events)
    await shrinker.fewer(withDevices, ({ devices }) => devices)
    await shrinker.simpler()
  }
  return shrinker.result
}

class Shrinker {
  readonly #options: ShrinkOptions
  readonly #checks: Set<string>
  result: Shrunk

  constructor(scenario: Scenario, record: SimRecord, options: ShrinkOptions) {
    this.#options = options
    this.#checks = checksOf(record)
    this.result = { scenario, record, runs: 0 }
  }

  get size(): number {
    return sizeOf(this.result.scenario)
  }

  get #isOver(): boolean {
    const { maxRuns = MAX_RUNS, signal } = this.#options
    return this.result.runs >= maxRuns || signal?.aborted === true
  }

  async #try(scenario: Scenario): Promise<boolean> {
    this.result.runs++
    const record = await this.#options.run(scenario)
    const fails = record.verdict.failures.some(({ check }) => this.#checks.has(check))
    if (fails) this.result = { scenario, record, runs: this.result.runs }
    this.#options.onRun?.(this.result.runs, this.result.scenario)
    return fails
  }

  async fewer<T>(
    make: (from: Scenario, items: T[]) => Scenario | null,
    items: (scenario: Scenario) => T[],
  ): Promise<void> {
    for (let parts = 2; !this.#isOver;) {
      const all = items(this.result.scenario)
      if (all.length === 0) return
      const size = Math.ceil(all.length / parts)
      let shrank = false
      for (let at = 0; at < all.length && !this.#isOver; at += size) {
        const smaller = make(this.result.scenario, [...all.slice(0, at), ...all.slice(at + size)])
        if (smaller === null || !(await this.#try(smaller))) continue
        shrank = true
        break
      }
      if (shrank) parts = Math.max(2, parts - 1)
      else if (size === 1) return
      else parts = Math.min(all.length, parts * 2)
    }
  }

  /** One thing after the other is tried to be as it mostly is. */
  async simpler(): Promise<void> {
    const { scenario } = this.result
    const plain = { loss: 0, duplication: 0, reordering: 0, bandwidth: 0, jitter: 0 }
    const tries: ((from: Scenario) => Scenario)[] = [
      (from) => ({ ...from, secret: false }),
      (from) => ({ ...from, topology: 'mesh' }),
      ...Object.entries(plain).map(([name, value]) => (from: Scenario) => {
        return { ...from, conditions: { ...from.conditions, [name]: value } }
      }),
      ...scenario.devices.map((_, i) => (from: Scenario) => withPlainDevice(from, i)),
      ...scenario.events.map((_, i) => (from: Scenario) => withOneMessage(from, i)),
    ]
    for (const change of tries) {
      if (this.#isOver) return
      const next = change(this.result.scenario)
      if (JSON.stringify(next) !== JSON.stringify(this.result.scenario)) await this.#try(next)
    }
  }
}

function checksOf({ verdict }: SimRecord): Set<string> {
  return new Set(verdict.failures.map(({ check }) => check))
}

function sizeOf(scenario: Scenario): number {
  return JSON.stringify(scenario).length
}

function withEvents(scenario: Scenario, events: ScenarioEvent[]): Scenario {
  return { ...scenario, events }
}

/** Without devices, and without what happens to them; null if nobody is left. */
function withDevices(scenario: Scenario, devices: SimDevice[]): Scenario | null {
  if (devices.length === 0) return null
  const names = new Set(devices.map(({ name }) => name))
  const events: ScenarioEvent[] = []
  for (const event of scenario.events) {
    if ('device' in event && !names.has(event.device)) continue
    if (event.kind === 'network' && [event.from, event.to].some((name) => name !== undefined && !names.has(name)))
      continue
    if (event.kind !== 'partition') {
      events.push(event)
      continue
    }
    const groups = event.groups
      .map((group) => group.filter((name) => names.has(name)))
      .filter(({ length }) => length > 0)
    if (groups.length > 0) events.push({ ...event, groups })
  }
  return { ...scenario, devices, events }
}

function withPlainDevice(scenario: Scenario, number: number): Scenario {
  const devices = scenario.devices.map((device, i) =>
    i === number ? { ...device, offset: 0, drift: 0, joins: 0 } : device,
  )
  return { ...scenario, devices }
}

function withOneMessage(scenario: Scenario, number: number): Scenario {
  const events = scenario.events.map((event, i) => {
    return i === number && event.kind === 'message' ? { ...event, count: 1, bytes: 0 } : event
  })
  return { ...scenario, events }
}

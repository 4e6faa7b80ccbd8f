import { setImmediate } from 'node:timers/promises'
import { MAX_CLOCK_AHEAD_MS } from '../base/limits.ts'
import { deriveDatabaseKeys } from '../event/keys.ts'
import { CONVERGENCE_MS, DATABASE, MAX_STEPS, REST_MS } from './limits.ts'
import type { SimRecord } from './record.ts'
import { parseScenario } from './scenario.ts'
import type { Scenario } from './scenario.ts'
import { World } from './world.ts'

export interface SimulateOptions {
  scenario: Scenario
  /** An empty folder that keeps `sim.db` and the database of each device; by default all is in memory, and gone. */
  folder?: string
  /** The command that repeats the run, as the record is to show it. */
  command?: string
  /** Of peerlog, as the record is to show it. */
  version?: string
  /** Ends the run; the promise then rejects with the signal's reason. */
  signal?: AbortSignal
}

/** Steps after which other work of this process gets its turn. */
const STEPS_PER_TURN = 20_000
/** Events are sealed with a key of this secret. */
const SECRET = Buffer.alloc(32, 7)

/**
 * Runs a scenario in virtual time, with the sessions and stores that a user of peerlog runs. The same scenario gives the
 * same record, on any machine.
 */
export async function simulate(options: SimulateOptions): Promise<SimRecord> {
  const scenario = parseScenario(options.scenario)
  const keys = await deriveDatabaseKeys(DATABASE, scenario.secret ? SECRET : undefined)
  const world = new World(scenario, keys, options.folder ?? null)
  try {
    // However short the runs are, whoever makes many of them can be stopped.
    await setImmediate()
    options.signal?.throwIfAborted()
    return await new Run(world, scenario, options).record()
  } finally {
    world.end()
    world.journal.close()
  }
}

class Run {
  readonly #world: World
  readonly #scenario: Scenario
  readonly #options: SimulateOptions
  #steps = 0
  /** When all were equal for the first time after the end; null if never. */
  #convergedAt: number | null = null

  constructor(world: World, scenario: Scenario, options: SimulateOptions) {
    this.#world = world
    this.#scenario = scenario
    this.#options = options
  }

  async record(): Promise<SimRecord> {
    const world = this.#world
    for (const event of this.#scenario.events) world.scheduler.at(event.at, () => world.perform(event))
    const joined = Math.max(0, ...this.#scenario.devices.map(({ joins }) => joins))
    const end = Math.max(joined, this.#scenario.events.at(-1)?.at ?? 0)
    await this.#until(() => world.scheduler.next > end)
    if (!world.failures.any) {
      world.scheduler.now = end
      world.mend()
      await this.#converge(end)
    }
    this.#sample()
    const record = this.#record(end)
    world.journal.finish(record)
    return record
  }

  async #until(isDone: () => boolean): Promise<void> {
    const world = this.#world
    while (!isDone() && !world.failures.any) {
      if (!world.scheduler.step()) return
      if (world.writing.length > 0) await Promise.all(world.writing.splice(0))
      if (world.gauge.isDue(world.scheduler.now)) this.#sample()
      if (++this.#steps % STEPS_PER_TURN !== 0) continue
      if (this.#steps > MAX_STEPS) return world.failures.add('rest', null, 'the world does not come to rest')
      await setImmediate()
      this.#options.signal?.throwIfAborted()
    }
  }

  #sample(): void {
    const { gauge, truth, scheduler, network, devices } = this.#world
    const joined = devices.filter(({ state, isLiar }) => state !== 'absent' && !isLiar).map(({ number }) => number)
    gauge.sample(scheduler.now, truth.acknowledged, joined, network.figures.bytes)
  }

  // ---- the end ------------------------------------------------------------------------------------------------------

  async #converge(end: number): Promise<void> {
    const world = this.#world
    const { scheduler, truth } = world
    // Events whose clocks are ahead are held back until time has caught up, everywhere.
    const clocks = world.members.map(({ clock }) => clock.now())
    const heldFor = Math.max(0, truth.latest - MAX_CLOCK_AHEAD_MS - Math.min(...clocks))
    const deadline = end + Math.ceil(heldFor * 1.02) + CONVERGENCE_MS
    let lookedAt = -1
    let restAt = Infinity
    await this.#until(() => {
      const isLate = scheduler.next > deadline
      if (scheduler.now === lookedAt && !isLate) return false
      lookedAt = scheduler.now
      if (this.#convergedAt === null) {
        if (!this.#isEqual()) return isLate
        this.#convergedAt = scheduler.now
      }
      // Whoever meets again has something to say again.
      if (!world.members.every(({ process }) => process?.isAtRest === true)) restAt = Infinity
      else if (restAt === Infinity) restAt = scheduler.now + REST_MS
      return isLate || scheduler.next > restAt
    })
    this.#check(restAt)
  }

  #isEqual(): boolean {
    const { members, gauge } = this.#world
    const [first] = members
    if (first === undefined) return true
    // Numbers first: they cost little.
    const held = gauge.heldBy(first.number)
    if (members.some(({ number }) => gauge.heldBy(number) !== held) || held !== this.#wanted()) return false
    const roots = new Set(members.map(({ process }) => process?.store.frontierRoot().toString('hex')))
    return roots.size === 1
  }

  /** How many events everybody must hold. */
  #wanted(): number {
    const { members, truth } = this.#world
    return [...truth.expected(members).values()].reduce((sum, length) => sum + length, 0)
  }

  #check(restAt: number): void {
    const { members, failures, truth, journal, gauge } = this.#world
    if (failures.any) return
    const wanted = this.#wanted()
    if (this.#convergedAt === null) {
      for (const { name, number } of members) {
        const held = gauge.heldBy(number)
        if (held !== wanted) failures.add('convergence', name, `holds ${held} of ${wanted} events`)
      }
      if (!failures.any) failures.add('convergence', null, 'all hold as many events, but not the same')
    } else if (restAt === Infinity) {
      for (const { name, process } of members) {
        if (process?.isAtRest !== true)
          failures.add('rest', name, 'does not call its peers in sync, though all are equal')
      }
    }
    this.#compareWithJournal(journal.expected())
    const orders = new Set<string>()
    const expected = truth.expected(members)
    for (const { holding, process, name, clock } of members) {
      if (process === null) continue
      truth.compareAll(holding, process.store, expected)
      process.store.releaseHeld()
      for (const { hex, device } of truth.logs()) {
        if ((process.store.heldUntil(hex) ?? Infinity) > clock.now()) continue
        failures.add('held', name, `still holds back events of ${device} whose time has come`)
      }
      if (process.claims.size > 0 && !process.meetsLiar)
        failures.add('rest', name, `still claims ${process.claims.size} logs`)
      orders.add(truth.readByClock(holding, process.store))
    }
    if (orders.size > 1 && !failures.any) failures.add('clock-order', null, 'not all read the same order by clock')
  }

  /** That the ground truth of the table is what was followed all along. */
  #compareWithJournal(expected: ReadonlyMap<string, string[]>): void {
    const { truth, failures } = this.#world
    for (const { hex, device, ids } of truth.logs()) {
      const told = expected.get(hex) ?? []
      if (told.length === ids.length && told.every((id, seq) => id === ids[seq])) continue
      failures.add(
        'acknowledgement',
        device,
        `has made ${ids.length} events, of which ${told.length} are in sim_events`,
      )
    }
  }

  #record(end: number): SimRecord {
    const { devices, journal, gauge, network, partitions, truth, failures, trace, crashes, scheduler } = this.#world
    const { figures } = network
    const { seed, topology, transport, secret, conditions } = this.#scenario
    const duration = scheduler.now
    for (const partition of partitions) partition.to = Math.min(partition.to, duration)
    const written = journal.rows()
    const lastWrite = written.findLast(({ kind }) => kind === 'message')?.at ?? 0
    return {
      format: 1,
      command: this.#options.command ?? `peerlog sim --seed ${seed}`,
      peerlog: this.#options.version ?? '',
      seed,
      parameters: { devices: devices.length, topology, transport, sealed: secret, ...conditions },
      duration,
      devices: devices.map((device) => device.record()),
      events: written,
      samples: gauge.samples,
      partitions,
      traffic: gauge.traffic(figures.packets),
      trafficSamples: gauge.trafficSamples,
      totals: {
        events: truth.made,
        ...figures,
        ...gauge.costs(figures.bytes),
        crashes,
        convergedAfter: this.#convergedAt === null ? null : this.#convergedAt - Math.max(end, lastWrite),
      },
      verdict: { ok: !failures.any, failures: failures.list },
      trace: trace.digest(),
    }
  }
}

import { hash } from '../base/hash.ts'
import { encodeData } from '../event/data.ts'
import { authorKeyPair } from '../event/signature.ts'
import type { StoreCommit } from '../broadcast/replication-options.ts'
import type { NewEvent } from '../store/own-log.ts'
import { Chance } from './chance.ts'
import { DeviceClock } from './device-clock.ts'
import { Crash, Disk } from './disk.ts'
import { Process } from './process.ts'
import type { DeviceState, SimDeviceRecord } from './record.ts'
import type { ScenarioEvent, SimDevice } from './scenario.ts'
import { Tongue } from './tongue.ts'
import { Holding, type Pending } from './truth.ts'
import type { World } from './world.ts'

type CrashEvent = Extract<ScenarioEvent, { kind: 'crash' }>

/** A device: what stays of it when its process ends, and the process, if there is one. */
export class Device {
  readonly number: number
  readonly name: string
  readonly isLiar: boolean
  readonly path: string
  readonly disk: Disk
  readonly clock: DeviceClock
  readonly authorSeed: Buffer
  readonly author: string
  readonly chance: Chance
  readonly nonces: Chance
  /** For everything of chance in what it sends as datagrams. */
  readonly datagrams: Chance
  readonly holding: Holding
  readonly tongue: Tongue | null
  readonly #world: World
  process: Process | null = null
  state: DeviceState = 'absent'
  #isOffline = false
  #hasLeft = false
  #hasDied = false
  #guarded = 0
  #pending: Pending | null = null
  /** An append that a crash has cut off. */
  #cutOff: Pending | null = null
  readonly #spans: SimDeviceRecord['spans'] = []
  #since = 0
  wrote = 0

  constructor(world: World, number: number, { name, offset, drift, liar }: SimDevice, seed: number, path: string) {
    this.#world = world
    this.number = number
    this.name = name
    this.isLiar = liar
    this.path = path
    this.disk = new Disk(path)
    this.disk.onCrash = () => (this.#hasDied = true)
    this.clock = new DeviceClock({ offset, drift }, () => world.scheduler.now)
    this.authorSeed = hash(Buffer.from(`peerlog simulator ${seed} author of ${name}`, 'utf8'))
    this.author = authorKeyPair(this.authorSeed).publicKey.toString('hex')
    this.chance = new Chance(seed, `dials of ${name}`)
    this.nonces = new Chance(seed, `nonces of ${name}`)
    this.datagrams = new Chance(seed, `datagrams of ${name}`)
    this.holding = new Holding(name)
    this.tongue = liar ? new Tongue(new Chance(seed, `lies of ${name}`)) : null
  }

  get hasLeft(): boolean {
    return this.#hasLeft
  }

  get isRunning(): boolean {
    return this.state === 'online' || this.state === 'offline'
  }

  /** Runs what happens in the process, and buries it if that kills it. */
  guard(task: () => void): void {
    this.#guarded++
    try {
      task()
    } catch (error) {
      if (!(error instanceof Crash)) this.#world.failures.add('exception', this.name, describe(error))
    } finally {
      this.#guarded--
    }
    if (this.#hasDied && this.#guarded === 0) this.#bury('at a write')
  }

  #bury(detail: string): void {
    this.#hasDied = false
    this.disk.crash()
    this.process?.end()
    this.process = null
    this.#cutOff ??= this.#pending
    this.#pending = null
    this.#enter('crashed')
    this.#world.crashed(this, detail)
  }

  start(): boolean {
    if (this.process !== null || this.#hasLeft) return false
    this.guard(() => {
      const process = new Process(this, this.#world)
      this.process = process
      const { truth, gauge } = this.#world
      const recovered = truth.reopened(this.holding, process.store, this.#cutOff)
      this.#cutOff = null
      if (recovered !== null) this.#world.recovered(this, truth.lengthOf(this.author) - recovered.length, recovered)
      this.wrote = truth.lengthOf(this.author)
      gauge.holds(this.number, this.holding.events)
      this.#enter(this.#isOffline ? 'offline' : 'online')
      process.start()
    })
    return this.process !== null
  }

  stored(commit: StoreCommit): void {
    const { truth, gauge } = this.#world
    const isOwn = this.#pending !== null
    const bytes = truth.stored(this.holding, commit, this.#pending, this.clock.now())
    if (isOwn) this.wrote = truth.lengthOf(this.author)
    gauge.stored(this.number, this.holding.events, isOwn ? 0 : bytes, isOwn)
    this.#world.committed(this, commit)
  }

  /** Writes some events, if it is awake. Resolves with the seq of the first and the ids once they are durable. */
  async write(count: number, bytes: number): Promise<void> {
    const { process, author } = this
    if (process === null || !this.isRunning) return
    const { truth, failures } = this.#world
    const seen = new Map(truth.readCausal(this.holding, process.store))
    seen.delete(author)
    const numbers = Array.from({ length: count }, () => this.#world.newNumber())
    const items = numbers.map((number) => newEvent(number, bytes))
    const pending: Pending = { numbers, seen }
    this.#pending = pending
    let appended: ReturnType<Process['append']> | null = null
    this.guard(() => {
      appended = process.append(items)
    })
    if (this.#pending === pending) this.#pending = null
    if (appended === null) return
    try {
      const events = await (appended as ReturnType<Process['append']>)
      truth.acknowledge(this.holding, author, events, count)
      this.#world.acknowledged(this, events)
    } catch (error) {
      if (!(error instanceof Crash)) failures.add('exception', this.name, describe(error))
    }
  }

  // ---- what happens to it -----------------------------------------------------------------------------------------

  crash({ point, count }: Pick<CrashEvent, 'point' | 'count'>): void {
    if (this.process === null) return
    if (point === 'now') this.#bury('now')
    else this.disk.crashAt(point, count)
  }

  restart(): boolean {
    this.disk.disarm()
    return this.state === 'crashed' && this.start()
  }

  offline(isOffline: boolean): void {
    this.#isOffline = isOffline
    this.#world.network.setOffline(this.number, isOffline)
    if (!this.isRunning) return
    this.#enter(isOffline ? 'offline' : 'online')
    if (!isOffline) this.guard(() => this.process?.hurry())
  }

  sleep(): void {
    if (!this.isRunning) return
    this.process?.time.sleep()
    this.#enter('asleep')
  }

  wake(): void {
    if (this.state !== 'asleep') return
    this.#enter(this.#isOffline ? 'offline' : 'online')
    this.guard(() => {
      this.process?.time.wake()
      this.process?.hurry()
    })
  }

  /** Goes for good. */
  leave(): void {
    if (this.#hasLeft) return
    this.#hasLeft = true
    this.guard(() => {
      this.process?.close()
      this.process = null
    })
    this.#enter('absent')
  }

  /** As it is in the end: with everything that could be wrong with it mended. */
  mend(): void {
    if (this.#hasLeft) return
    this.disk.disarm()
    this.offline(false)
    this.wake()
    this.start()
  }

  #enter(state: DeviceState): void {
    if (state === this.state) return
    const { now } = this.#world.scheduler
    if (now > this.#since) this.#spans.push({ from: this.#since, to: now, state: this.state })
    this.state = state
    this.#since = now
  }

  record(): SimDeviceRecord {
    const { now } = this.#world.scheduler
    const spans = [...this.#spans, { from: this.#since, to: now, state: this.state }]
    const author = this.state === 'absent' && spans.length === 1 ? '' : this.author
    return { name: this.name, author, spans, wrote: this.wrote, held: this.holding.events }
  }

  end(): void {
    this.process?.end()
    this.disk.end()
  }
}

function newEvent(number: number, bytes: number): NewEvent {
  const data = { number, text: 'x'.repeat(bytes) }
  return { subject: `sim/${number % 7}`, type: '', data, encoded: encodeData(data) }
}

export function describe(error: unknown): string {
  return error instanceof Error ? `${error.name}: ${error.message}` : String(error)
}

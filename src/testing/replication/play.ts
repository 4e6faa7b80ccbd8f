import assert from 'node:assert/strict'
import { keyPair as newKeyPair } from 'hypercore-crypto'
import { dice } from '../../base/dice.ts'
import type { FaultKind } from '../../transport/faults/faults.ts'
import { checkConduct, checkEqual, checkReplica } from './checks.ts'
import type { ReplicationPlace } from './conformance.ts'
import type { FaultClassEntry } from './fault-classes.ts'
import { News } from './news.ts'
import { Replica } from './replica.ts'

/** Milliseconds for two peers to meet before anything goes wrong. */
const MEET_MS = 20_000
/** Milliseconds that a round waits for somebody to receive something. */
const ROUND_MS = 40
const ROUNDS = 20
/** Of a round: that connections are cut in it. */
const CUT_CHANCE = 0.1

export interface PlayOptions {
  seed: number
  place: ReplicationPlace
  faultClass: FaultClassEntry
  /** Milliseconds for everybody to hold everything, after the faults have ended. */
  settleMs: number
}

/** What a run came to. */
export interface PlayResult {
  databases: number
  events: number
  counts: Record<FaultKind, number>
}

/**
 * One run: peers meet, write, suffer, write on, one joins late, one restarts, and all is well again in the end. The
 * seed decides who does what when, and what goes wrong with which message; how they interleave is up to the machine.
 */
export class Play {
  readonly #options: PlayOptions
  readonly #random: () => number
  readonly #news = new News()
  readonly #replicas: Replica[] = []

  constructor(options: PlayOptions) {
    this.#options = options
    this.#random = dice(options.seed)
    this.#random()
  }

  async run(): Promise<PlayResult> {
    this.#cast()
    const [first, second] = this.#replicas as [Replica, Replica]
    await first.open()
    this.#write(first)
    await second.open()
    this.#write(second)
    await this.#meet(first)
    await this.#suffer()
    for (const replica of this.#replicas) replica.heal()
    await this.#settle('after the faults')
    for (const replica of this.#replicas) this.#write(replica)
    await this.#settle('in the end')

    const written = this.#replicas.flatMap((replica) => replica.written)
    checkEqual(this.#replicas)
    for (const replica of this.#replicas) await checkReplica(replica, written)
    checkConduct(this.#replicas, this.#options.faultClass.provokes === true)
    return { databases: this.#replicas.length, events: written.length, counts: this.counts() }
  }

  /** Closes everything, whether or not it went well. */
  async end(): Promise<void> {
    await Promise.all(this.#replicas.map((replica) => replica.close()))
    const { check } = this.#options.place
    for (const { path } of this.#replicas) if (path !== ':memory:') await check?.(path)
  }

  counts(): Record<FaultKind, number> {
    const sum = {} as Record<FaultKind, number>
    for (const { counts } of this.#replicas.flatMap(({ transports }) => transports)) {
      for (const [kind, count] of Object.entries(counts)) {
        sum[kind as FaultKind] = (sum[kind as FaultKind] ?? 0) + count
      }
    }
    return sum
  }

  /** Two or three: odd seeds have a third, who joins late. */
  #cast(): void {
    const { seed, place } = this.#options
    const secret = Buffer.alloc(32, this.#below(256))
    const names = ['ada', 'ben', 'cleo'].slice(0, 2 + Math.abs(seed % 2))
    for (const name of names) {
      const inFile = name === 'ben' || this.#below(2) === 0
      const options = {
        name,
        databaseId: 'faults',
        secret,
        path: (inFile ? place.file?.(name) : undefined) ?? ':memory:',
        keyPair: newKeyPair(),
        createTransport: place.createTransport.bind(place),
        random: this.#random,
        news: this.#news,
      }
      this.#replicas.push(new Replica(options))
    }
  }

  async #meet(replica: Replica): Promise<void> {
    const met = await this.#news.until(() => replica.db.sync.peers().length > 0, MEET_MS)
    assert.ok(met, `nobody met within ${MEET_MS} ms, although nothing went wrong yet`)
  }

  async #suffer(): Promise<void> {
    const { faultClass } = this.#options
    const [late, restart] = [this.#below(ROUNDS / 2), ROUNDS / 2 + this.#below(ROUNDS / 2)]
    for (const replica of this.#replicas) replica.set(faultClass.faults(this.#random))
    for (let round = 0; round < ROUNDS; round++) {
      if (round === late) await this.#replicas[2]?.open()
      // One in memory would come back as somebody else, and what only it had would be lost.
      if (round === restart) for (const one of this.#replicas) if (one.name === 'ben') await this.#restart(one)
      const open = this.#replicas.filter((replica) => replica.isOpen)
      const writer = open[this.#below(open.length)] as Replica
      this.#write(writer)
      const [before, cut] = [this.#received(), this.#random() < CUT_CHANCE]
      await this.#news.until(() => this.#received() > before, ROUND_MS)
      if (cut && faultClass.cuts === true) writer.cut()
    }
    if (this.#replicas[2]?.isOpen === false) await this.#replicas[2].open()
  }

  async #restart(replica: Replica): Promise<void> {
    if (replica.path !== ':memory:') await replica.restart()
  }

  /** One event, or a batch of some; small ones, and some that fill a frame. */
  #write(replica: Replica): void {
    const count = this.#below(3) === 0 ? 1 + this.#below(60) : 1
    replica.append(Array.from({ length: count }, () => (this.#below(20) === 0 ? 20_000 : this.#below(400))))
  }

  /** Until everybody holds everything. */
  async #settle(when: string): Promise<void> {
    await Promise.all(this.#replicas.map((replica) => replica.flushed()))
    const total = this.#replicas.reduce((sum, { written }) => sum + written.length, 0)
    const settled = await this.#news.until(
      () => this.#replicas.every(({ size }) => size === total),
      this.#options.settleMs,
    )
    const sizes = this.#replicas.map(({ name, size, db }) => {
      const peers = db.sync.peers().map(({ transport, inSync }) => `${transport}${inSync ? ', in sync' : ''}`)
      return `${name} ${size} (${peers.join('; ') || 'no peer'})`
    })
    assert.ok(
      settled,
      `${when}, not everybody had all ${total} events within ${this.#options.settleMs} ms: ${sizes.join(', ')}`,
    )
  }

  /** Events that came from others, all together. */
  #received(): number {
    return this.#replicas.reduce((sum, { upserts, written }) => sum + upserts.size - written.length, 0)
  }

  #below(count: number): number {
    return Math.floor(this.#random() * count)
  }
}

import assert from 'node:assert/strict'
import type { FaultKind } from '../../transport/faults/faults.ts'
import type { NoiseKeyPair, Transport } from '../../transport/transport.ts'
import type { FaultClass } from './fault-classes.ts'
import { ALL_FAULT_CLASSES, FAULT_CLASSES } from './fault-classes.ts'
import { Play } from './play.ts'
import { Watch } from './watch.ts'

/** Where the databases of one run live, and how they meet. */
export interface ReplicationPlace {
  /** A new transport for a peer with this identity, or several to be used at once. */
  createTransport(keyPair: NoiseKeyPair): Transport | readonly Transport[] | Promise<Transport | readonly Transport[]>
  /** A file of this name that does not exist yet. Without it all databases are in memory, and none restarts. */
  file?(name: string): string
  /** Looks at a file after its database was closed; throws if it is not sound. */
  check?(file: string): void | Promise<void>
  teardown(): Promise<void>
}

/** What one run came to. */
export interface ReplicationRun {
  faults: FaultClass
  seed: number
  databases: number
  events: number
  /** How often each fault happened. */
  counts: Record<FaultKind, number>
}

export interface ReplicationConformanceOptions {
  /** Registers one test with whichever runner is used: `test` of vitest or node:test, `it` of mocha. */
  test(name: string, run: () => Promise<void>): void
  /** Stands before the name of every test. */
  name: string
  /** Called for every run. */
  setup(): Promise<ReplicationPlace>
  /** What goes wrong; default everything there is, one after the other and then at once. */
  faults?: readonly FaultClass[]
  /** Whole numbers, one run each; with an odd one a third database joins late. Default 1 and 2. */
  seeds?: readonly number[]
  /** Milliseconds for everybody to hold everything after the faults have ended; default 30 000. */
  settleMs?: number
  /** Is told of every run that went well. */
  report?(run: ReplicationRun): void
}

const DEFAULT_SEEDS: readonly number[] = [1, 2]
const DEFAULT_SETTLE_MS = 30_000

/**
 * Registers the tests that replication must pass over a transport: real databases that write, join late and restart
 * while connections are lost, stall, lie and half die, and that all hold the same in the end. Asserts with node:assert,
 * so that any runner will do. A failure names its seed.
 */
export function replicationConformance(options: ReplicationConformanceOptions): void {
  const { faults = ALL_FAULT_CLASSES, seeds = DEFAULT_SEEDS } = options
  for (const name of faults) {
    for (const seed of seeds) {
      const title = `${options.name}: replicates through ${FAULT_CLASSES[name].title} (${name}, seed ${seed})`
      options.test(title, () => perform(options, name, seed))
    }
  }
}

async function perform(options: ReplicationConformanceOptions, faults: FaultClass, seed: number): Promise<void> {
  const place = await options.setup()
  const { settleMs = DEFAULT_SETTLE_MS } = options
  const watch = new Watch()
  const play = new Play({ seed, place, faultClass: FAULT_CLASSES[faults], settleMs })
  try {
    let result
    try {
      result = await play.run()
    } finally {
      await play.end()
    }
    assert.deepEqual(await watch.leftovers(), [], 'something was left behind')
    options.report?.({ faults, seed, ...result })
  } catch (error) {
    const happened = Object.entries(play.counts()).filter(([, count]) => count > 0)
    const counts = happened.map(([kind, count]) => `${kind} ${count}`).join(', ') || 'no fault'
    const message = error instanceof Error ? error.message : String(error)
    throw new Error(`${message}\nRun it again with faults: ['${faults}'], seeds: [${seed}]. There were: ${counts}`, {
      cause: error,
    })
  } finally {
    watch.end()
    await place.teardown()
  }
}

import { createRelay } from 'peerlog-relay'
import { deriveDatabaseKeys } from '../../src/event/keys.ts'
import { EventStore } from '../../src/store/event-store.ts'
import { Child } from '../lib/child.ts'
import type { DatabaseFiles } from '../lib/database-files.ts'
import { foreignLog } from '../lib/foreign-log.ts'
import { atLeast, atMost, rounds } from '../lib/measure.ts'
import type { BenchRow } from '../results.ts'

const EVENTS = 100_000
const ROUNDS = 3
const AUTHORS = 100_000
const AUTHORS_PER_FRAME = 256

type Transport = { mode: 'relay'; relayUrl: string }

/** Attackers, and how many keys each uses. */
const ATTACKS: Record<string, number> = {
  'duplicates of one event': 1,
  'a thousand heads, again and again': 1,
  'bad signatures': 1,
  'asking again': 1,
  'no hello': 100,
}

/** What honest peers get done while somebody attacks, and what an author costs. */
export async function attackRows(files: DatabaseFiles): Promise<BenchRow[]> {
  const source = await files.log(EVENTS)
  const contestants = { '': () => catchUp(files, source, null) } as Record<string, () => Promise<number>>
  for (const attack of Object.keys(ATTACKS)) contestants[attack] = () => catchUp(files, source, attack)
  const catchUps = await rounds(ROUNDS, contestants)
  const quiet = catchUps[''] as number
  const rows = Object.keys(ATTACKS).map((attack) => ({
    name: `catch-up while attacked: ${attack}`,
    value: catchUps[attack] as number,
    unit: 'events/s',
    note: `${EVENTS} events through a relay; ${ATTACKS[attack]} attacking keys in a process of their own, on the same cores`,
    ratios: [atLeast('of the same without the attack', (catchUps[attack] as number) / quiet, 0.5)],
  }))
  return [...rows, await authorsRow()]
}

async function catchUp(files: DatabaseFiles, source: string, attack: string | null): Promise<number> {
  const relay = await createRelay({ port: 0, host: '127.0.0.1' })
  const transport: Transport = { mode: 'relay', relayUrl: relay.url }
  const receiver = new Child('peerlog.ts', {
    path: files.fresh('attacked'),
    transport,
    expect: EVENTS,
  })
  await receiver.message('ready')
  const attacker = attack === null ? null : new Child('attacker.ts', { transport, attack, keys: ATTACKS[attack] })
  await attacker?.message('met')
  const sender = new Child('peerlog.ts', { path: source, transport })
  await sender.message('ready')
  const start = performance.now()
  await receiver.message('complete')
  const ms = performance.now() - start
  await Promise.all([sender.end(), receiver.end(), attacker?.end()])
  await relay.close()
  return (EVENTS / ms) * 1000
}

/** Authors with one event each, as a member may invent them. */
async function authorsRow(): Promise<BenchRow> {
  const keys = await deriveDatabaseKeys('bench')
  const store = EventStore.open({ path: ':memory:', databaseId: 'bench', keys })
  const heap = (): number => {
    globalThis.gc?.()
    const { heapUsed, arrayBuffers } = process.memoryUsage()
    return heapUsed + arrayBuffers
  }
  const before = heap()
  const cpu = { made: 0 }
  for (let n = 0; n < AUTHORS; n += AUTHORS_PER_FRAME) {
    const count = Math.min(AUTHORS_PER_FRAME, AUTHORS - n)
    const runs = Array.from({ length: count }, (_, i) => foreignLog(keys, n + i, 1))
    const used = process.cpuUsage()
    store.ingest(runs)
    const { user, system } = process.cpuUsage(used)
    cpu.made += user + system
  }
  const bytes = (heap() - before) / AUTHORS
  store.close()
  process.stderr.write('.')
  return {
    name: `memory of ${AUTHORS} authors with one event each`,
    value: (bytes * AUTHORS) / 1e6,
    unit: 'MB',
    note: `heap and buffers; ${(cpu.made / AUTHORS).toFixed(0)} µs of CPU each to verify and store`,
    ratios: [atMost('KB each', bytes / 1000, 1)],
  }
}

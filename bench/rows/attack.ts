import { createRelay } from 'peerlog-relay'
import { Child } from '../lib/child.ts'
import type { DatabaseFiles } from '../lib/database-files.ts'
import { SECRET } from '../lib/events.ts'
import { atLeast, atMost, rounds } from '../lib/measure.ts'
import type { BenchRow } from '../results.ts'

const EVENTS = 100_000
const ROUNDS = 3
const AUTHORS = 100_000
/** They know what no user of the package can: that is why they are not among the benchmarks' own children. */
const FIXTURES = '../../test/hostile/fixtures'

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
  const attacker = attack === null ? null : startAttacker(transport, attack)
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

function startAttacker(transport: Transport, attack: string): Child {
  const secret = Buffer.from(SECRET).toString('hex')
  const options = { databaseId: 'bench', secret, transport, attack, keys: ATTACKS[attack] }
  return new Child(`${FIXTURES}/attacker.ts`, options)
}

/** Authors with one event each, as a member may invent them. */
async function authorsRow(): Promise<BenchRow> {
  const child = new Child(`${FIXTURES}/many-authors.ts`, { authors: AUTHORS }, ['--expose-gc'])
  const cost = await child.message('cost')
  await child.end()
  process.stderr.write('.')
  const [bytes, cpu] = [cost['bytes'] as number, cost['cpu'] as number]
  return {
    name: `memory of ${AUTHORS} authors with one event each`,
    value: bytes / 1e6,
    unit: 'MB',
    note: `heap and buffers; ${(cpu / AUTHORS).toFixed(0)} µs of CPU each to verify and store`,
    ratios: [atMost('KB each', bytes / AUTHORS / 1000, 1)],
  }
}

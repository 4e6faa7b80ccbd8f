import createTestnet from 'hyperdht/testnet.js'
import { createRelay } from 'peerlog-relay'
import { BareSqlite } from '../lib/bare-sqlite.ts'
import { catchUp } from '../lib/catch-up.ts'
import { Child } from '../lib/child.ts'
import type { DatabaseFiles } from '../lib/database-files.ts'
import { LIVE_EVENTS, latencies } from '../lib/latencies.ts'
import { atLeast, atMost, quantile, rounds } from '../lib/measure.ts'
import type { BenchTransport, RelayTransport, SwarmTransport } from '../lib/transports.ts'
import { relayAt } from '../lib/transports.ts'
import type { BenchRow } from '../results.ts'

const CATCH_UP_EVENTS = 200_000
const HYPERCORE_EVENTS = 20_000
/** Bytes that a sealed benchmark event takes on the wire, about. */
const WIRE_BYTES = 320
const ROUNDS = 3

/** Catch-up of 200 000 events and live latency, between two processes. */
export async function networkRows(files: DatabaseFiles): Promise<BenchRow[]> {
  const testnet = await createTestnet(4)
  const relay = await createRelay({ port: 0, host: '127.0.0.1' })
  try {
    const swarm: SwarmTransport = { mode: 'hyperswarm', bootstrap: testnet.bootstrap }
    return [...(await catchUpRows(files, swarm, relayAt(relay.port))), await latencyRow(files, swarm)]
  } finally {
    await relay.close()
    await testnet.destroy()
  }
}

async function catchUpRows(files: DatabaseFiles, swarm: SwarmTransport, relay: RelayTransport): Promise<BenchRow[]> {
  const source = await files.log(CATCH_UP_EVENTS)
  const over = async (transport: BenchTransport): Promise<number> =>
    (await catchUp(files, { source, events: CATCH_UP_EVENTS, transport })).rate
  const result = await rounds(ROUNDS, {
    swarm: () => over(swarm),
    relay: () => over(relay),
    bare: () => bareInsert(files),
    bareSwarm: () => bareTransport(swarm),
    bareRelay: () => bareTransport(relay),
    hypercore: () => hypercoreCatchUp(files, swarm),
  })
  return [
    {
      name: 'catch-up of 200 000 events over Hyperswarm',
      value: result.swarm,
      unit: 'events/s',
      headline: true,
      note: 'two processes on loopback, from meeting to all verified, indexed and durable',
      ratios: [
        atLeast('of bare better-sqlite3 filling the same tables', result.swarm / result.bare, 0.35),
        atLeast('× hypercore over Hyperswarm', result.swarm / result.hypercore, 12),
        { label: 'of a bare Hyperswarm connection moving the same bytes', value: result.swarm / result.bareSwarm },
      ],
    },
    {
      name: 'the same through one relay',
      value: result.relay,
      unit: 'events/s',
      ratios: [
        atLeast('of the Hyperswarm figure', result.relay / result.swarm, 0.7),
        { label: 'of a bare relay connection moving the same bytes', value: result.relay / result.bareRelay },
      ],
    },
  ]
}

async function bareInsert(files: DatabaseFiles): Promise<number> {
  const db = await BareSqlite.create(files.fresh('bare'))
  const start = performance.now()
  for (let n = 0; n < CATCH_UP_EVENTS; n += 200) db.insert(200)
  const ms = performance.now() - start
  db.close()
  return (CATCH_UP_EVENTS / ms) * 1000
}

async function bareTransport(transport: BenchTransport): Promise<number> {
  const bytes = CATCH_UP_EVENTS * WIRE_BYTES
  const receiver = new Child('bare-transport.ts', { transport, role: 'receive', bytes })
  await receiver.message('ready')
  const sender = new Child('bare-transport.ts', { transport, role: 'send', bytes })
  const { ms } = await receiver.message('complete')
  await Promise.all([sender.end(), receiver.end()])
  return (CATCH_UP_EVENTS / (ms as number)) * 1000
}

async function hypercoreCatchUp(files: DatabaseFiles, { bootstrap }: SwarmTransport): Promise<number> {
  const sender = new Child('hypercore.ts', { path: files.fresh('core'), bootstrap, fill: HYPERCORE_EVENTS })
  const { key } = await sender.message('ready')
  const path = files.fresh('core')
  const receiver = new Child('hypercore.ts', { path, bootstrap, key, expect: HYPERCORE_EVENTS })
  const { ms } = await receiver.message('complete')
  await Promise.all([sender.end(), receiver.end()])
  return (HYPERCORE_EVENTS / (ms as number)) * 1000
}

// ---- latency ----------------------------------------------------------------------------------------------------

async function latencyRow(files: DatabaseFiles, swarm: SwarmTransport): Promise<BenchRow> {
  const { bootstrap } = swarm
  const common = { transport: swarm, sampled: false }
  const sender = new Child('peerlog.ts', { path: files.fresh('live'), ...common })
  const receiver = new Child('peerlog.ts', { path: files.fresh('live'), ...common, live: true })
  await Promise.all([sender.message('connected'), receiver.message('connected')])
  const ours = await latencies(sender, receiver)
  const coreSender = new Child('hypercore.ts', { path: files.fresh('core'), bootstrap })
  const { key } = await coreSender.message('ready')
  const coreReceiver = new Child('hypercore.ts', { path: files.fresh('core'), bootstrap, key })
  await Promise.all([coreSender.message('connected'), coreReceiver.message('connected')])
  const theirs = await latencies(coreSender, coreReceiver)
  const pong = new Child('bare-transport.ts', { transport: swarm, role: 'pong', bytes: 0 })
  await pong.message('ready')
  const ping = new Child('bare-transport.ts', { transport: swarm, role: 'ping', bytes: 0 })
  await ping.message('connected')
  const bare = await latencies(ping, pong)
  const p50 = quantile(ours, 0.5)
  return {
    name: 'live event, append to delivery, p50',
    value: p50,
    unit: 'ms',
    headline: true,
    note: `two processes over loopback Hyperswarm, ${LIVE_EVENTS} events; p99 ${quantile(ours, 0.99).toFixed(2)} ms`,
    ratios: [
      atMost('ms', p50, 1),
      atMost('ms at p99', quantile(ours, 0.99), 5),
      { label: `× hypercore (p99: ${ratio(ours, theirs, 0.99)})`, value: p50 / quantile(theirs, 0.5) },
      { label: '× a bare message over Hyperswarm', value: p50 / quantile(bare, 0.5) },
    ],
  }
}

function ratio(a: number[], b: number[], q: number): string {
  return (quantile(a, q) / quantile(b, q)).toFixed(2)
}

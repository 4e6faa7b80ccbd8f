import { atLeast } from '../lib/measure.ts'
import { pause } from '../lib/pause.ts'
import type { Kind } from '../lib/server.ts'
import { Server, mediansOfBoth, ofBoth, startLoad } from '../lib/server.ts'
import type { BenchRow } from '../results.ts'
import { crowdRows } from './relay-crowd.ts'
import { slowRows } from './relay-slow.ts'

const ROUNDS = 5
const DRAIN_MS = 50

interface Load {
  what: string
  pairs: number
  payloadBytes: number
  /** Bytes of payload of one measurement. */
  bytes: number
}

const LOADS: readonly Load[] = [
  { what: 'one pair, frames of 64 KiB', pairs: 1, payloadBytes: 65_536, bytes: 200e6 },
  { what: 'one pair, frames of 1 KiB', pairs: 1, payloadBytes: 1024, bytes: 30e6 },
  { what: '20 pairs, frames of 64 KiB', pairs: 20, payloadBytes: 65_536, bytes: 200e6 },
  { what: '20 pairs, frames of 1 KiB', pairs: 20, payloadBytes: 1024, bytes: 30e6 },
]

/** What a relay carries, beside a bare WebSocket forwarder. */
export async function relayRows(): Promise<BenchRow[]> {
  const rows: BenchRow[] = []
  for (const load of LOADS) rows.push(await throughputRow(load))
  return [...rows, ...(await slowRows()), ...(await crowdRows())]
}

async function throughputRow({ what, pairs, payloadBytes, bytes }: Load): Promise<BenchRow> {
  const contestants = await ofBoth(async (kind) => {
    const server = await Server.listen(kind)
    return { server, load: await startLoad('load-stream.ts', { target: server.target, pairs, payloadBytes }) }
  })
  const measure = async (kind: Kind): Promise<Record<'bytesPerMs' | 'busy' | 'cpuPerByte', number>> => {
    const { server, load } = contestants[kind]
    load.send({ type: 'go', bytes: bytes / 4 })
    await load.message('go')
    await server.start()
    load.send({ type: 'measure', bytes })
    const bytesPerMs = (await load.message('measure'))['bytesPerMs'] as number
    const { cpuMs, ms } = await server.costs()
    load.send({ type: 'stop' })
    await pause(DRAIN_MS)
    return { bytesPerMs, busy: cpuMs / ms, cpuPerByte: cpuMs / ms / bytesPerMs }
  }
  // Until everything is compiled.
  await ofBoth(measure)
  const { relay, forwarder } = await mediansOfBoth(ROUNDS, measure)
  for (const { server, load } of Object.values(contestants)) await Promise.all([load.end(), server.end()])
  return {
    name: `relay: ${what}`,
    value: relay.bytesPerMs / 1000,
    unit: 'MB/s',
    note: 'payload that arrives; the clients in a process of their own',
    headline: pairs === 1 && payloadBytes > 1024,
    ratios: [
      atLeast('of a bare forwarder', relay.bytesPerMs / forwarder.bytesPerMs, 0.8),
      { label: '× the processor time per byte of the bare forwarder', value: relay.cpuPerByte / forwarder.cpuPerByte },
      { label: 's of processor time per GB in the relay', value: relay.cpuPerByte * 1e6 },
      { label: 'µs of processor time per frame in the relay', value: relay.cpuPerByte * payloadBytes * 1000 },
      { label: 'of a core that the relay was busy', value: relay.busy },
    ],
  }
}

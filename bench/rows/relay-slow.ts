import { latenessRatios } from '../lib/lateness.ts'
import type { Lateness } from '../lib/lateness.ts'
import { pause } from '../lib/pause.ts'
import { Probe } from '../lib/probe.ts'
import { Server, mediansOfBoth, startLoad } from '../lib/server.ts'
import type { Kind } from '../lib/server.ts'
import type { BenchRow } from '../results.ts'

const ROUNDS = 3
const QUIET_MS = 800
const LOADED_MS = 1500
const AFTERWARDS_MS = 500

interface Flood {
  name: string
  note: string
  pairs: number
  payloadBytes: number
  /** 0: the readers never read. */
  readBytesPerSecond: number
}

const FLOODS: readonly Flood[] = [
  {
    name: '100 readers that never read',
    note: 'their peers send frames of 64 KiB until the window of each is used up',
    pairs: 100,
    payloadBytes: 65_536,
    readBytesPerSecond: 0,
  },
  {
    name: 'a reader of 1 MB/s',
    note: 'its peer sends frames of 64 KiB at full speed, as far as the window allows',
    pairs: 1,
    payloadBytes: 65_536,
    readBytesPerSecond: 1_000_000,
  },
]

/** What readers that do not read do to the server, and to those who have nothing to do with them. */
export async function slowRows(): Promise<BenchRow[]> {
  const rows: BenchRow[] = []
  for (const flood of FLOODS) {
    const { relay, forwarder } = await mediansOfBoth(ROUNDS, (kind) => run(kind, flood))
    rows.push({
      name: `relay: memory for ${flood.name}`,
      value: relay.peak,
      unit: 'MB',
      note: `growth of the relay's resident set to its peak; ${flood.note}`,
      ratios: [
        { label: 'MB that the bare forwarder grows', value: forwarder.peak },
        { label: 'MB in the relay before', value: relay.before },
        { label: 'MB of the growth left when they are gone', value: relay.after },
        ...latenessRatios('ms for a message of others before', quiet(relay), quiet(forwarder)),
        ...latenessRatios('ms for a message of others meanwhile', loaded(relay), loaded(forwarder)),
      ],
    })
  }
  return rows
}

type Figures = Record<'before' | 'peak' | 'after' | 'quiet50' | 'quiet99' | 'loaded50' | 'loaded99', number>

const quiet = ({ quiet50, quiet99 }: Figures): Lateness => ({ p50: quiet50, p99: quiet99 })
const loaded = ({ loaded50, loaded99 }: Figures): Lateness => ({ p50: loaded50, p99: loaded99 })

async function run(kind: Kind, { pairs, payloadBytes, readBytesPerSecond }: Flood): Promise<Figures> {
  const server = await Server.listen(kind)
  const { target } = server
  const flood = await startLoad('load-flood.ts', { target, pairs, payloadBytes, readBytesPerSecond })
  const probe = await Probe.start(target)
  const rssBefore = await server.start()
  const before = await probe.listen(QUIET_MS)
  const [meanwhile] = await Promise.all([probe.listen(LOADED_MS), flood.ask('start')])
  const { peakRss } = await server.costs()
  await flood.end()
  await pause(AFTERWARDS_MS)
  const { rss } = await server.costs()
  await Promise.all([probe.end(), server.end()])
  return {
    before: rssBefore / 1e6,
    peak: (peakRss - rssBefore) / 1e6,
    after: (rss - rssBefore) / 1e6,
    quiet50: before.p50,
    quiet99: before.p99,
    loaded50: meanwhile.p50,
    loaded99: meanwhile.p99,
  }
}

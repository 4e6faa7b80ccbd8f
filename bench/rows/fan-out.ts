import { Child } from '../lib/child.ts'
import { quantile } from '../lib/measure.ts'
import { relayAt } from '../lib/transports.ts'
import type { BenchRow } from '../results.ts'

const RECEIVERS = [1, 10, 50] as const
const EVENTS = 400
const PAUSE_MS = 40
/** Events that are not counted: the code is still being compiled. */
const WARM_UP_EVENTS = 100

/** One peer writes, the others of the database hear of it over one relay, everybody connected with everybody. */
export async function fanOutRows(): Promise<BenchRow[]> {
  const rows: BenchRow[] = []
  for (const receivers of RECEIVERS) {
    rows.push(await fanOut(receivers))
    process.stderr.write('.')
  }
  return rows
}

async function fanOut(receivers: number): Promise<BenchRow> {
  const relay = new Child('relay.mjs', {})
  const { port } = await relay.message('ready')
  const common = { transport: relayAt(port as number), all: receivers + 1, events: EVENTS }
  const writer = new Child('fan-out.ts', { ...common, peers: 1 })
  const halves = receivers === 1 ? [1] : [Math.ceil(receivers / 2), Math.floor(receivers / 2)]
  const followers = halves.map((peers) => new Child('fan-out.ts', { ...common, peers }))
  const all = [writer, ...followers]
  const openedAt = performance.now()
  await Promise.all(all.map((child) => child.message('met')))
  const metMs = performance.now() - openedAt
  await Promise.all([relay, ...all].map((child) => child.ask('start')))
  writer.send({ type: 'write', pauseMs: PAUSE_MS })
  const reports = await Promise.all(all.map((child) => child.ask('report')))
  const relayReport = await relay.ask('report')
  await Promise.all(all.map((child) => child.end()))
  await relay.end()

  const late = reports.slice(1).map((report) => report['lateness'] as number[][])
  const byEvent = Array.from({ length: EVENTS }, (_, n) => late.flatMap((half) => half[n] as number[]))
  const counted = byEvent.slice(WARM_UP_EVENTS)
  const each = counted.flat().map((us) => us / 1000)
  const last = counted.map((values) => Math.max(...values) / 1000)
  const cpuMs = [...reports, relayReport].reduce((sum, report) => sum + (report['cpuMs'] as number), 0)
  const deliveries = EVENTS * receivers
  return {
    name: `live event to ${receivers} ${receivers === 1 ? 'peer' : 'peers'} over one relay, p50`,
    value: quantile(each, 0.5),
    unit: 'ms',
    note: `append to delivery at each; ${EVENTS} events, one every ${PAUSE_MS} ms; all meet all in ${(metMs / 1000).toFixed(1)} s, processes started`,
    ratios: [
      { label: 'ms at p99', value: quantile(each, 0.99) },
      { label: 'ms until the last peer has it, p50', value: quantile(last, 0.5) },
      { label: 'ms until the last peer has it, p99', value: quantile(last, 0.99) },
      { label: 'µs of processor time per event and peer, in all processes', value: (cpuMs * 1000) / deliveries },
      {
        label: 'of that in the relay',
        value: (relayReport['cpuMs'] as number) / cpuMs,
      },
    ],
  }
}

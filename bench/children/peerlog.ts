import { monitorEventLoopDelay } from 'node:perf_hooks'
import { open } from 'peerlog'
import { childOptions, onMessage, tell } from '../lib/child.ts'
import { SECRET } from '../lib/events.ts'
import { quantile } from '../lib/measure.ts'
import type { BenchTransport } from '../lib/transports.ts'

/**
 * A peerlog replica: reports when it has met a peer, when it holds `expect` events and what that took, and how late
 * live events are.
 */
interface Options {
  path: string
  transport: BenchTransport
  /** Events to wait for. */
  expect?: number
  live?: boolean
  /** Default true: memory and event loop are looked at every few milliseconds, which would hold up live events. */
  sampled?: boolean
}

const RSS_INTERVAL_MS = 50
const LOOP_RESOLUTION_MS = 1

const options = childOptions<Options>()
const db = await open({ databaseId: 'bench', path: options.path, secret: SECRET, transport: options.transport })
const loop = monitorEventLoopDelay({ resolution: LOOP_RESOLUTION_MS })
const rss = { before: process.memoryUsage.rss(), peak: 0 }
/** Milliseconds of processor time between two turns of the event loop: what of a stall is our own work. */
const turns: number[] = []
let metAt = 0
let cpuBefore = process.cpuUsage()

function begin(): void {
  if (metAt > 0) return
  metAt = performance.now()
  cpuBefore = process.cpuUsage()
  rss.before = process.memoryUsage.rss()
  rss.peak = rss.before
  if (options.sampled === false) return
  loop.enable()
  let before = process.cpuUsage()
  setInterval(() => {
    const { user, system } = process.cpuUsage(before)
    turns.push((user + system) / 1000)
    before = process.cpuUsage()
  }, LOOP_RESOLUTION_MS).unref()
  setInterval(() => (rss.peak = Math.max(rss.peak, process.memoryUsage.rss())), RSS_INTERVAL_MS).unref()
}

/** What has happened since the meeting: megabytes and milliseconds. */
function report(): Record<string, number> {
  const { user, system } = process.cpuUsage(cpuBefore)
  const peak = Math.max(rss.peak, process.memoryUsage.rss())
  return {
    ms: performance.now() - metAt,
    cpuMs: (user + system) / 1000,
    rssBefore: rss.before / 1e6,
    rssGrowth: (peak - rss.before) / 1e6,
    stallP99: loop.percentile(99) / 1e6,
    stallMax: loop.max / 1e6,
    turnP99: turns.length === 0 ? 0 : quantile(turns, 0.99),
    turnMax: turns.reduce((most, ms) => Math.max(most, ms), 0),
  }
}

db.sync.on('PeerConnected', () => {
  begin()
  tell({ type: 'connected' })
})
db.sync.on('InSync', () => tell({ type: 'in-sync' }))
db.sync.on('Progress', () => {
  if (options.expect !== undefined && db.position >= options.expect) tell({ type: 'complete', ...report() })
})
onMessage('report', () => tell({ type: 'report', ...report() }))
onMessage('append', () => void db.append('live', { sent: Number(process.hrtime.bigint() / 1000n) }))
onMessage('end', () => void db.close().then(() => process.disconnect()))
if (options.live === true) {
  void (async () => {
    for await (const event of db.read<{ sent: number }>({ subject: 'live', after: db.position, follow: true })) {
      if (!event.local) tell({ type: 'late', us: Number(process.hrtime.bigint() / 1000n) - event.data.sent })
    }
  })()
}
tell({ type: 'ready' })

import type { Child } from '../lib/child.ts'
import type { Lateness } from '../lib/lateness.ts'
import { latenessOf, latenessRatios } from '../lib/lateness.ts'
import { atMost } from '../lib/measure.ts'
import type { Kind } from '../lib/server.ts'
import { pause } from '../lib/pause.ts'
import { Probe } from '../lib/probe.ts'
import { Server, ofBoth, startLoad } from '../lib/server.ts'
import type { BenchRow } from '../results.ts'

const CLIENTS = 5000
/** Open files that a process needs beside its connections. */
const OTHER_FILES = 100
const SETTLE_MS = 500
const LATENCY_MS = 2000
/** How long an idle server is watched: every client is pinged once in this time. */
const IDLE_MS = 30_000

/** Very many clients at once: what each costs, and what they and others feel of it. */
export async function crowdRows(): Promise<BenchRow[]> {
  checkOpenFiles()
  return [...(await idleRows()), ...(await topicRows())]
}

/** Node has raised the limit as far as it may. */
function checkOpenFiles(): void {
  const { userLimits } = process.report.getReport() as unknown as {
    userLimits?: { open_files: { soft: number | 'unlimited' } }
  }
  const limit = userLimits?.open_files.soft
  if (typeof limit !== 'number' || limit >= CLIENTS + OTHER_FILES) return
  throw new Error(
    `${CLIENTS} clients need ${CLIENTS + OTHER_FILES} open files in one process, and only ${limit} are allowed. Raise the hard limit (ulimit -Hn)`,
  )
}

// ---- clients that are only there --------------------------------------------------------------------------------

interface Idle {
  before: Lateness
  meanwhile: Lateness
  openMs: number
  openCpuMs: number
  /** Bytes of the resident set that each client added. */
  perClient: number
  /** Bytes of the resident set in all. */
  rss: number
  /** Of one core. */
  idleCpu: number
  stallMax: number
}

async function idleRows(): Promise<BenchRow[]> {
  const crowds = await ofBoth(gather)
  // Both at once: they do next to nothing.
  const [relay, forwarder] = await Promise.all([crowds.relay(), crowds.forwarder()])
  return [
    {
      name: `relay: memory per client, ${CLIENTS} idle clients`,
      value: relay.perClient / 1000,
      unit: 'KB',
      note: 'growth of the resident set, divided; each client is a member of a topic and paired with one other',
      headline: true,
      ratios: [
        atMost('KB', relay.perClient / 1000, 25),
        { label: 'KB in the bare forwarder', value: forwarder.perClient / 1000 },
        { label: 'MB in all', value: relay.rss / 1e6 },
        { label: 's until all were connected', value: relay.openMs / 1000 },
        { label: 's of it processor time of the relay', value: relay.openCpuMs / 1000 },
        { label: 's of processor time in the bare forwarder', value: forwarder.openCpuMs / 1000 },
        { label: '% of a core when idle, in 30 s in which each client is pinged once', value: relay.idleCpu * 100 },
        { label: '% of a core in the bare forwarder', value: forwarder.idleCpu * 100 },
        { label: 'ms that the relay is held up at most meanwhile', value: relay.stallMax },
        { label: 'ms that the bare forwarder is held up, which pings all at once', value: forwarder.stallMax },
        ...latenessRatios('ms for a message of others before', relay.before, forwarder.before),
        ...latenessRatios('ms for a message of others meanwhile', relay.meanwhile, forwarder.meanwhile),
      ],
    },
  ]
}

/** Connects them all. What is returned watches the idle server, tells the figures, and ends it all. */
async function gather(kind: Kind): Promise<() => Promise<Idle>> {
  const server = await Server.listen(kind)
  const { target } = server
  const probe = await Probe.start(target)
  const crowd = await startLoad('load-crowd.ts', { target, topics: CLIENTS / 2, perTopic: 2 })
  const before = await probe.listen(LATENCY_MS)
  const rssBefore = await server.start()
  const { ms: openMs } = await crowd.ask('open')
  const { cpuMs: openCpuMs } = await server.costs()
  await crowd.ask('join')
  await pause(SETTLE_MS)
  const meanwhile = await probe.listen(LATENCY_MS)
  await probe.end()
  process.stderr.write('.')
  return async () => {
    await server.start()
    await pause(IDLE_MS)
    const { cpuMs, ms, rss, stallMax } = await server.costs()
    await Promise.all([crowd.end(), server.end()])
    process.stderr.write('.')
    const perClient = (rss - rssBefore) / CLIENTS
    return { before, meanwhile, openMs: openMs as number, openCpuMs, perClient, rss, idleCpu: cpuMs / ms, stallMax }
  }
}

// ---- topics with many peers -------------------------------------------------------------------------------------

const TOPICS = 200
const PEERS = 25
const ONE = { type: 'talk', count: 500, pauseMs: 4, toAll: false }
const ALL = { type: 'talk', count: 60, pauseMs: 40, toAll: true }

interface Topics {
  joinMs: number
  joinCpuMs: number
  growth: number
  toOne: Lateness
  toAll: Lateness
}

async function topicRows(): Promise<BenchRow[]> {
  const { relay, forwarder } = await ofBoth(talkInTopics)
  const pairs = (TOPICS * PEERS * (PEERS - 1)) / 2
  return [
    {
      name: `relay: ${TOPICS} topics with ${PEERS} peers each, until all are paired`,
      value: relay.joinMs / 1000,
      unit: 's',
      note: `${CLIENTS} connected clients join at once and get ${pairs} channels`,
      ratios: [
        { label: 's of it processor time of the relay', value: relay.joinCpuMs / 1000 },
        { label: 'µs of processor time per channel', value: (relay.joinCpuMs * 1000) / pairs },
        { label: 'MB that the relay grows', value: relay.growth / 1e6 },
        { label: 'MB that the bare forwarder grows, which knows no channels', value: forwarder.growth / 1e6 },
        { label: 'KB per client', value: relay.growth / 1000 / CLIENTS },
        ...latenessRatios('ms for a message to one', relay.toOne, forwarder.toOne),
        ...latenessRatios('ms for one to all 24', relay.toAll, forwarder.toAll),
      ],
    },
  ]
}

async function talkInTopics(kind: Kind): Promise<Topics> {
  const server = await Server.listen(kind)
  const crowd = await startLoad('load-crowd.ts', { target: server.target, topics: TOPICS, perTopic: PEERS })
  const rssBefore = await server.start()
  await crowd.ask('open')
  await server.start()
  const { ms: joinMs } = await crowd.ask('join')
  const { cpuMs: joinCpuMs } = await server.costs()
  const toOne = await talk(crowd, ONE)
  const toAll = await talk(crowd, ALL)
  const { rss } = await server.costs()
  await Promise.all([crowd.end(), server.end()])
  process.stderr.write('.')
  return { joinMs: joinMs as number, joinCpuMs, growth: rss - rssBefore, toOne, toAll }
}

async function talk(crowd: Child, how: typeof ONE): Promise<Lateness> {
  crowd.send(how)
  return latenessOf((await crowd.message('talk'))['lateMs'] as number[])
}

import type { Database } from 'peerlog'
import { open } from 'peerlog'
import { childOptions, onMessage, tell } from '../lib/child.ts'
import { benchData, SECRET } from '../lib/events.ts'
import type { RelayTransport } from '../lib/transports.ts'

/** Some peers of one database, in memory: one that writes, or several that follow. */
interface Options {
  transport: RelayTransport
  peers: number
  /** Peers of the database in all processes. */
  all: number
  /** Events that will be written. */
  events: number
}

const { transport, peers, all, events } = childOptions<Options>()
const now = (): number => Number(process.hrtime.bigint() / 1000n)
let cpuBefore = process.cpuUsage()
/** By event: microseconds from append to delivery, at each peer. */
const lateness: number[][] = Array.from({ length: events }, () => [])

async function openPeer(): Promise<{ db: Database; met: Promise<void> }> {
  const db = await open({ databaseId: 'bench', path: ':memory:', secret: SECRET, transport })
  const others = new Set<string>()
  const met = new Promise<void>((resolve) => {
    db.sync.on('PeerConnected', ({ peerId }) => {
      if (others.add(peerId).size === all - 1) resolve()
    })
  })
  return { db, met }
}

async function follow(db: Database): Promise<void> {
  for await (const event of db.read<{ n: number; sent: number }>({ subject: 'live', follow: true, limit: events })) {
    lateness[event.data.n]?.push(now() - event.data.sent)
  }
}

async function write(db: Database, pauseMs: number): Promise<void> {
  for (let n = 0; n < events; n++) {
    await db.append('live', { ...benchData(n), n, sent: now() })
    await new Promise((resolve) => setTimeout(resolve, pauseMs))
  }
}

const opened = await Promise.all(Array.from({ length: peers }, openPeer))
const databases = opened.map(({ db }) => db)
const followed = Promise.all(databases.map(follow))
void Promise.all(opened.map(({ met }) => met)).then(() => tell({ type: 'met' }))
onMessage('start', () => {
  cpuBefore = process.cpuUsage()
  tell({ type: 'start' })
})
onMessage('write', ({ pauseMs }) => void write(databases[0] as Database, pauseMs as number))
onMessage('report', () => {
  void followed.then(() => {
    const { user, system } = process.cpuUsage(cpuBefore)
    tell({ type: 'report', cpuMs: (user + system) / 1000, lateness })
  })
})
onMessage('end', () => void Promise.all(databases.map((db) => db.close())).then(() => process.disconnect()))
tell({ type: 'ready' })

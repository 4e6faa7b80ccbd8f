import type { Database } from 'peerlog'
import { open } from 'peerlog'
import { childOptions, onMessage, tell } from '../lib/child.ts'
import { benchItem, SECRET } from '../lib/events.ts'
import { IntroducedTransport, introduce } from '../lib/introduced.ts'

/**
 * Makes a file whose events come from many authors, a power of ten. Each author is a database in memory that meets a
 * collector once; ten collectors meet a larger one, and so on. A peer leaves as soon as its events have arrived.
 */
interface Options {
  path: string
  events: number
  authors: number
}

/** Peers that one collector meets: few, for each is also sent what the others have written. */
const FAN_IN = 10
const BATCH = 1000

interface Peer {
  db: Database
  transport: IntroducedTransport
}

const { path, events, authors } = childOptions<Options>()
const eventsEach = events / authors

async function openPeer(file: string): Promise<Peer> {
  const transport = new IntroducedTransport()
  const db = await open({ databaseId: 'bench', path: file, secret: SECRET, transport })
  return { db, transport }
}

/** Waits until the collector has everything of the peer, and no longer. */
async function collect(collector: Peer, peer: Peer, expected: number): Promise<void> {
  let left = expected - collector.db.position
  const arrived = new Promise<void>((resolve) => {
    const count = (): void => {
      if (--left > 0) return
      collector.db.sync.off('NodeUpsert', count)
      resolve()
    }
    collector.db.sync.on('NodeUpsert', count)
  })
  const part = await introduce(collector.transport, peer.transport)
  await arrived
  await peer.db.close()
  await part()
}

/** Brings the events of `count` authors into the collector. */
async function gather(collector: Peer, first: number, count: number): Promise<void> {
  const step = count / FAN_IN
  for (let i = first; i < first + count; i += step) {
    const peer = await openPeer(':memory:')
    if (step > 1) await gather(peer, i, step)
    else await write(peer.db, i)
    await collect(collector, peer, collector.db.position + step * eventsEach)
  }
}

async function write(db: Database, author: number): Promise<void> {
  const start = author * eventsEach
  for (let n = 0; n < eventsEach; n += BATCH) {
    const batch = Math.min(BATCH, eventsEach - n)
    await db.appendMany(Array.from({ length: batch }, (_, i) => benchItem(start + n + i)))
  }
}

const file = await openPeer(path)
await gather(file, 0, authors)
const { size } = file.db.frontier()
if (size !== authors || file.db.position !== events) throw new Error(`${file.db.position} events of ${size} authors`)
await file.db.close()
onMessage('end', () => process.disconnect())
tell({ type: 'filled' })

import { open } from 'peerlog'
import { childOptions, onMessage, tell } from '../lib/child.ts'
import { benchItem, SECRET } from '../lib/events.ts'

/** A peerlog replica: reports when it has met a peer, when it holds `expect` events, and how late live events are. */
interface Options {
  path: string
  transport: { mode: 'hyperswarm' | 'relay'; bootstrap?: { host: string; port: number }[]; relayUrl?: string }
  /** Events to fill the file with before anything else. */
  fill?: number
  /** Events to wait for. */
  expect?: number
  live?: boolean
}

const options = childOptions<Options>()

if (options.fill !== undefined) {
  const local = await open({ databaseId: 'bench', path: options.path, secret: SECRET, transport: { mode: 'disabled' } })
  for (let n = 0; n < options.fill; n += 1000) {
    await local.appendMany(Array.from({ length: 1000 }, (_, i) => benchItem(n + i)))
  }
  await local.close()
  tell({ type: 'filled' })
} else {
  const db = await open({ databaseId: 'bench', path: options.path, secret: SECRET, transport: options.transport })
  let metAt = 0
  db.sync.on('PeerConnected', () => {
    metAt = performance.now()
    tell({ type: 'connected' })
  })
  db.sync.on('InSync', () => tell({ type: 'in-sync' }))
  db.sync.on('Progress', () => {
    if (options.expect !== undefined && db.position >= options.expect)
      tell({ type: 'complete', ms: performance.now() - metAt })
  })
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
}

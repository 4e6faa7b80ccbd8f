import { open } from 'peerlog'
import { childOptions, onMessage, tell } from '../lib/child.ts'
import { benchItem, SECRET } from '../lib/events.ts'

/** Appends benchmark events to a file, a thousand at a time. */
interface Options {
  path: string
  /** Events that are there already, and that are to be there. */
  from: number
  to: number
  batch?: number
}

const BATCH = 1000
const { path, from, to } = childOptions<Options>()
const db = await open({ databaseId: 'bench', path, secret: SECRET, transport: { mode: 'disabled' } })
for (let n = from; n < to; n += BATCH) {
  await db.appendMany(Array.from({ length: Math.min(BATCH, to - n) }, (_, i) => benchItem(n + i)))
}
await db.close()
onMessage('end', () => process.disconnect())
tell({ type: 'filled' })

import { childOptions, onMessage, tell } from '../lib/child.ts'
import type { Target } from '../lib/load-client.ts'
import { LoadClient } from '../lib/load-client.ts'
import { sinceStamp, stamp } from '../lib/stamp.ts'

/** A pair that talks at a modest rate between 'start' and 'report', and tells how long its messages took. */
const { target } = childOptions<{ target: Target }>()
const PAUSE_MS = 2

let lateMs: number[] = []
let timer: NodeJS.Timeout | undefined
const reader = await LoadClient.open(target, 'probe')
const writer = await LoadClient.open(target, 'probe')
await Promise.all([reader.join(1), writer.join(1)])
reader.onData = (payload) => lateMs.push(sinceStamp(payload))
onMessage('start', () => {
  lateMs = []
  timer = setInterval(() => writer.send(writer.channels[0] as number, stamp()), PAUSE_MS)
  tell({ type: 'start' })
})
onMessage('report', () => {
  clearInterval(timer)
  tell({ type: 'report', lateMs })
})
onMessage('end', () => process.exit(0))
tell({ type: 'ready' })

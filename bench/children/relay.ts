import { createRelay } from 'peerlog-relay'
import { childOptions, onMessage, tell } from '../lib/child.ts'

/** A relay by itself, so that its processor time can be told apart. */
childOptions<object>()
const relay = await createRelay({ port: 0, host: '127.0.0.1' })
let cpuBefore = process.cpuUsage()
onMessage('start', () => {
  cpuBefore = process.cpuUsage()
  tell({ type: 'start' })
})
onMessage('report', () => {
  const { user, system } = process.cpuUsage(cpuBefore)
  tell({ type: 'report', cpuMs: (user + system) / 1000, ...relay.stats() })
})
onMessage('end', () => void relay.close().then(() => process.disconnect()))
tell({ type: 'ready', port: relay.port })

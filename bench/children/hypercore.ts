import Hypercore from 'hypercore'
import HyperDHT from 'hyperdht'
import Hyperswarm from 'hyperswarm'
import { childOptions, onMessage, tell } from '../lib/child.ts'
import { benchData } from '../lib/events.ts'

/** A hypercore over Hyperswarm: the same job as the peerlog child. */
interface Options {
  path: string
  /** Hex; absent: a core of its own. */
  key?: string
  bootstrap: { host: string; port: number }[]
  fill?: number
  expect?: number
}

const TOPIC = Buffer.alloc(32, 9)
const options = childOptions<Options>()
const core = new Hypercore(options.path, options.key === undefined ? null : Buffer.from(options.key, 'hex'))
await core.ready()
for (let n = 0; n < (options.fill ?? 0); n += 1000) {
  await core.append(Array.from({ length: 1000 }, (_, i) => Buffer.from(JSON.stringify(benchData(n + i)))))
}
const swarm = new Hyperswarm({ dht: new HyperDHT({ bootstrap: options.bootstrap, host: '127.0.0.1' }) })
swarm.on('connection', (connection) => {
  connection.on('error', () => {})
  const metAt = performance.now()
  core.replicate(connection)
  tell({ type: 'connected' })
  if (options.expect !== undefined) {
    const range = core.download({ start: 0, end: options.expect, linear: false })
    void range.done().then(() => tell({ type: 'complete', ms: performance.now() - metAt }))
  }
})
const sent = (): number => Number(process.hrtime.bigint() / 1000n)
onMessage('append', () => void core.append(Buffer.from(JSON.stringify({ sent: sent() }))))
onMessage(
  'end',
  () =>
    void swarm
      .destroy()
      .then(() => core.close())
      .then(() => process.disconnect()),
)
if (options.key !== undefined && options.expect === undefined) {
  let next = core.length
  void (async () => {
    for (;;) {
      const block = (await core.get(next++)) as Buffer
      tell({ type: 'late', us: sent() - (JSON.parse(block.toString()) as { sent: number }).sent })
    }
  })().catch(() => {})
}
const discovery = swarm.join(TOPIC, { server: true, client: true })
await discovery.refresh()
const again = setInterval(() => {
  if (swarm.connections.size === 0) void discovery.refresh()
  else clearInterval(again)
}, 500)
tell({ type: 'ready', key: core.key.toString('hex') })

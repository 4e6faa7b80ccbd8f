import { connect, createServer } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import Hypercore from 'hypercore'
import { childOptions, onMessage, tell } from '../lib/child.ts'
import { benchData } from '../lib/events.ts'

/** A hypercore over a plain TCP socket: serves what it was filled with, or downloads it. */
interface Options {
  path: string
  /** To serve. */
  fill?: number
  /** To download: the core, where it is, and how much of it there is. */
  key?: string
  port?: number
  expect?: number
}

const options = childOptions<Options>()
const core = new Hypercore(options.path, options.key === undefined ? null : Buffer.from(options.key, 'hex'))
await core.ready()

function replicate(socket: Socket, isInitiator: boolean): void {
  socket.setNoDelay(true)
  socket.on('error', () => {})
  const stream = core.replicate(isInitiator) as NodeJS.ReadWriteStream
  stream.on('error', () => {})
  socket.pipe(stream).pipe(socket)
}

if (options.port === undefined) {
  for (let n = 0; n < (options.fill ?? 0); n += 1000) {
    await core.append(Array.from({ length: 1000 }, (_, i) => Buffer.from(JSON.stringify(benchData(n + i)))))
  }
  const server = createServer((socket) => replicate(socket, false))
  server.listen(0, '127.0.0.1', () => {
    tell({ type: 'ready', key: core.key.toString('hex'), port: (server.address() as AddressInfo).port })
  })
} else {
  const socket = connect({ port: options.port, host: '127.0.0.1' }, () => {
    const start = performance.now()
    replicate(socket, true)
    void core
      .download({ start: 0, end: options.expect as number, linear: false })
      .done()
      .then(() => tell({ type: 'complete', ms: performance.now() - start }))
  })
}
onMessage('end', () => void core.close().then(() => process.exit(0)))

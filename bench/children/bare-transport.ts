import { createTransport } from 'peerlog'
import { childOptions, onMessage, tell } from '../lib/child.ts'

/** One end of a bare connection: moves so many bytes in messages of 64 KiB, or answers pings. */
interface Options {
  transport: { mode: 'hyperswarm' | 'relay'; bootstrap?: { host: string; port: number }[]; relayUrl?: string }
  role: 'send' | 'receive' | 'ping' | 'pong'
  bytes: number
}

const MESSAGE_BYTES = 65_536
const TOPIC = new Uint8Array(32).fill(5)
const options = childOptions<Options>()
const transport = createTransport(options.transport)
onMessage('end', () => void transport.disconnect().then(() => process.disconnect()))
await transport.announce(TOPIC)
tell({ type: 'ready' })

for await (const connection of transport.connect(TOPIC)) {
  const start = performance.now()
  if (options.role === 'send') {
    const message = new Uint8Array(MESSAGE_BYTES)
    for (let sent = 0; sent < options.bytes; sent += MESSAGE_BYTES) await connection.send(message)
  } else if (options.role === 'receive') {
    let received = 0
    while (received < options.bytes) received += (await connection.receive())?.length ?? Infinity
    tell({ type: 'complete', ms: performance.now() - start })
  } else if (options.role === 'pong') {
    for (let message = await connection.receive(); message !== null; message = await connection.receive()) {
      const us = Number(process.hrtime.bigint() / 1000n) - Number(Buffer.from(message).readBigUInt64BE(0))
      tell({ type: 'late', us })
    }
  } else {
    tell({ type: 'connected' })
    onMessage('append', () => {
      const message = Buffer.alloc(300)
      message.writeBigUInt64BE(process.hrtime.bigint() / 1000n)
      void connection.send(message)
    })
  }
}

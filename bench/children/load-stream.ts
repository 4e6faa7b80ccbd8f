import { childOptions, onMessage, tell } from '../lib/child.ts'
import type { Target } from '../lib/load-client.ts'
import { LoadClient, Stream } from '../lib/load-client.ts'

/** Pairs of clients of which one sends at full speed and the other reads; tells how much arrives. */
interface Options {
  target: Target
  pairs: number
  payloadBytes: number
}

const { target, pairs, payloadBytes } = childOptions<Options>()
let received = 0
let awaited = Infinity
let onReceived: () => void = () => {}
let runs = 0
let clients: LoadClient[] = []
let streams: Stream[] = []

async function openPair(_: unknown, n: number): Promise<void> {
  const topic = `stream-${runs}-${n}`
  const reader = await LoadClient.open(target, topic)
  const writer = await LoadClient.open(target, topic)
  clients.push(reader, writer)
  await Promise.all([reader.join(1), writer.join(1)])
  reader.onData = (payload) => {
    received += payload.length
    if (received >= awaited) onReceived()
  }
  streams.push(new Stream(writer, payloadBytes))
}

/** Milliseconds until so many bytes have arrived. */
async function arrival(bytes: number): Promise<number> {
  const start = performance.now()
  received = 0
  awaited = bytes
  await new Promise<void>((resolve) => (onReceived = resolve))
  return performance.now() - start
}

// New connections each time: how well the kernel's buffers suit one is a matter of luck that lasts as long as it does.
onMessage('go', ({ bytes }) => {
  runs++
  void (async () => {
    await Promise.all(Array.from({ length: pairs }, openPair))
    const warm = arrival(bytes as number)
    for (const stream of streams) stream.start()
    await warm
    tell({ type: 'go' })
  })()
})
onMessage('measure', ({ bytes }) => {
  void arrival(bytes as number).then((ms) => tell({ type: 'measure', bytesPerMs: received / ms }))
})
onMessage('stop', () => {
  for (const stream of streams) stream.stop()
  for (const client of clients) client.close()
  clients = []
  streams = []
})
onMessage('end', () => process.exit(0))
tell({ type: 'ready' })

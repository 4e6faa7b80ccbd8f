import { childOptions, onMessage, tell } from '../lib/child.ts'
import type { Target } from '../lib/load-client.ts'
import { LoadClient, Stream } from '../lib/load-client.ts'

/** Pairs of clients of which one sends at full speed and the other reads nothing, or slowly. */
interface Options {
  target: Target
  pairs: number
  payloadBytes: number
  /** 0: it never reads. */
  readBytesPerSecond: number
}

const READ_INTERVAL_MS = 20

const { target, pairs, payloadBytes, readBytesPerSecond } = childOptions<Options>()
let received = 0

async function openPair(n: number): Promise<Stream> {
  const topic = `flood-${readBytesPerSecond}-${n}`
  const reader = await LoadClient.open(target, topic)
  const writer = await LoadClient.open(target, topic)
  await Promise.all([reader.join(1), writer.join(1)])
  reader.pause()
  if (readBytesPerSecond > 0) readSlowly(reader)
  return new Stream(writer, payloadBytes)
}

function readSlowly(reader: LoadClient): void {
  let allowed = 0
  reader.onData = (payload) => {
    received += payload.length
    allowed -= payload.length
    if (allowed <= 0) reader.pause()
  }
  setInterval(() => {
    allowed += (readBytesPerSecond * READ_INTERVAL_MS) / 1000
    if (allowed > 0) reader.resume()
  }, READ_INTERVAL_MS)
}

// One after the other: a relay lets one address shake only so many hands at once.
const streams: Stream[] = []
for (let n = 0; n < pairs; n++) streams.push(await openPair(n))
let startedAt = 0
onMessage('start', () => {
  received = 0
  startedAt = performance.now()
  for (const stream of streams) stream.start()
  void Promise.all(streams.map((stream) => stream.full())).then(() => tell({ type: 'start' }))
})
onMessage('report', () => tell({ type: 'report', received, ms: performance.now() - startedAt }))
onMessage('end', () => process.exit(0))
tell({ type: 'ready' })

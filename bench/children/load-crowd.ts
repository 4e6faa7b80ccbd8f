import { childOptions, onMessage, tell } from '../lib/child.ts'
import type { Target } from '../lib/load-client.ts'
import { LoadClient } from '../lib/load-client.ts'
import { sinceStamp, stamp } from '../lib/stamp.ts'

/** Very many clients: `topics` topics with `perTopic` of them each, that join and may talk at a modest rate. */
interface Options {
  target: Target
  topics: number
  perTopic: number
}

/** Connections that are being opened at once. */
const OPENING = 64

const { target, topics, perTopic } = childOptions<Options>()
const clients: LoadClient[] = []
let late: number[] = []
let expected = 0
let onAll: () => void = () => {}

async function open(): Promise<void> {
  const places = Array.from({ length: topics * perTopic }, (_, n) => ({
    topic: `crowd-${Math.floor(n / perTopic)}`,
    place: (n % perTopic) + 1,
  })).values()
  const opener = async (): Promise<void> => {
    for (const { topic, place } of places) {
      const client = await LoadClient.open(target, topic, perTopic === 2 ? undefined : place)
      client.onData = arrived
      clients.push(client)
    }
  }
  await Promise.all(Array.from({ length: OPENING }, opener))
}

function arrived(payload: Uint8Array): void {
  late.push(sinceStamp(payload))
  if (late.length === expected) onAll()
}

/** Sends `count` times, each time from another client, to one other or to all the others of its topic. */
async function talk(count: number, pauseMs: number, toAll: boolean): Promise<void> {
  late = []
  expected = count * (toAll ? perTopic - 1 : 1)
  const done = new Promise<void>((resolve) => (onAll = resolve))
  for (let i = 0; i < count; i++) {
    const client = clients[(i * 997) % clients.length] as LoadClient
    const channels = toAll ? client.channels : [client.channels[i % client.channels.length] as number]
    for (const channel of channels) client.send(channel, stamp())
    await new Promise((resolve) => setTimeout(resolve, pauseMs))
  }
  await done
}

async function timed(type: string, work: () => Promise<unknown>): Promise<void> {
  const start = performance.now()
  await work()
  tell({ type, ms: performance.now() - start, lateMs: late })
}

onMessage('open', () => void timed('open', open))
onMessage('join', () => void timed('join', () => Promise.all(clients.map((client) => client.join(perTopic - 1)))))
onMessage('talk', ({ count, pauseMs, toAll }) => {
  void timed('talk', () => talk(count as number, pauseMs as number, toAll as boolean))
})
onMessage('end', () => process.exit(0))
tell({ type: 'ready' })

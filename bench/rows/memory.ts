import { createRelay } from 'peerlog-relay'
import { catchUp } from '../lib/catch-up.ts'
import type { DatabaseFiles } from '../lib/database-files.ts'
import { atMost, medians } from '../lib/measure.ts'
import { relayAt } from '../lib/transports.ts'
import type { BenchRow } from '../results.ts'

const FEW = 250_000
const MANY = 1_000_000
const ROUNDS = 3

/** What a catch-up of a million events does to the processes: memory, and how long the event loop is held up. */
export async function memoryRows(files: DatabaseFiles): Promise<BenchRow[]> {
  const few = await files.log(FEW)
  const many = await files.log(MANY)
  const relay = await createRelay({ port: 0, host: '127.0.0.1' })
  const receive = (source: string, events: number) => async () => {
    const { file: _, ...figures } = await catchUp(files, { source, events, transport: relayAt(relay.port) })
    return { ...figures }
  }
  try {
    const quarter = await medians(ROUNDS, receive(few, FEW))
    const million = await medians(ROUNDS, receive(many, MANY))
    return [
      {
        name: 'memory to receive 1 000 000 events',
        value: million.rssGrowth,
        unit: 'MB',
        note: 'growth of the resident set from the meeting to its peak, over a relay',
        headline: true,
        ratios: [
          atMost('MB', million.rssGrowth, 100),
          { label: 'of the growth at 250 000 events', value: million.rssGrowth / quarter.rssGrowth },
          { label: 'MB that the sender grows', value: million.senderRssGrowth },
          { label: 'events/s', value: million.rate },
          { label: 'µs of processor time per event in the receiver', value: (million.receiverCpuMs * 1000) / MANY },
          { label: 'µs of processor time per event in the sender', value: (million.senderCpuMs * 1000) / MANY },
        ],
      },
      {
        name: 'event loop held up while receiving 1 000 000 events, p99',
        value: million.stallP99,
        unit: 'ms',
        note: 'the time between two turns of the loop, sampled every millisecond',
        headline: true,
        ratios: [
          atMost('ms at p99', million.stallP99, 20),
          atMost('ms at most', million.stallMax, 60),
          { label: 'ms of it processor time of the receiver, p99', value: million.turnP99 },
          { label: 'ms of it processor time of the receiver, at most', value: million.turnMax },
          { label: 'ms at most at 250 000 events', value: quarter.stallMax },
        ],
      },
    ]
  } finally {
    await relay.close()
  }
}

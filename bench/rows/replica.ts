import { createRelay } from 'peerlog-relay'
import { catchUp } from '../lib/catch-up.ts'
import type { DatabaseFiles } from '../lib/database-files.ts'
import { rounds } from '../lib/measure.ts'
import { relayAt } from '../lib/transports.ts'
import type { BenchRow } from '../results.ts'

const EVENTS = 200_000
const AUTHORS = [100, 10_000] as const
const ROUNDS = 3

/** Catch-up from a replica that wrote none of it, and of a database that many have written. */
export async function replicaRows(files: DatabaseFiles): Promise<BenchRow[]> {
  const byOne = await files.log(EVENTS)
  const byHundred = await files.authors(EVENTS, AUTHORS[0])
  const byMany = await files.authors(EVENTS, AUTHORS[1])
  const relay = await createRelay({ port: 0, host: '127.0.0.1' })
  const transport = relayAt(relay.port)
  try {
    const { file: replica } = await catchUp(files, { source: byOne, events: EVENTS, transport, keep: true })
    const memory = { byOne: 0, byMany: 0 }
    const from = async (source: string): Promise<number> => {
      const result = await catchUp(files, { source, events: EVENTS, transport })
      if (source === byOne) memory.byOne = result.rssGrowth
      if (source === byMany) memory.byMany = result.rssGrowth
      return result.rate
    }
    const result = await rounds(ROUNDS, {
      byOne: () => from(byOne),
      replica: () => from(replica),
      byHundred: () => from(byHundred),
      byMany: () => from(byMany),
    })
    return [
      {
        name: 'catch-up from a replica',
        value: result.replica,
        unit: 'events/s',
        note: '200 000 events over a relay, from a peer that received them; their author is gone',
        ratios: [{ label: 'of catch-up from the author', value: result.replica / result.byOne }],
      },
      {
        name: 'catch-up of a database with 100 authors',
        value: result.byHundred,
        unit: 'events/s',
        note: '200 000 events over a relay; 2000 of each author, in 2 segments',
        ratios: [{ label: 'of one author', value: result.byHundred / result.byOne }],
      },
      {
        name: 'catch-up of a database with 10 000 authors',
        value: result.byMany,
        unit: 'events/s',
        note: '200 000 events over a relay; 20 of each author, so a signature for every 20 instead of every 1000',
        ratios: [
          { label: 'of one author', value: result.byMany / result.byOne },
          { label: `MB more memory in the receiver (one author: ${memory.byOne.toFixed(0)})`, value: memory.byMany },
        ],
      },
    ]
  } finally {
    await relay.close()
  }
}

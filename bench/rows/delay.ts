import { createRelay } from 'peerlog-relay'
import { catchUp } from '../lib/catch-up.ts'
import { Child } from '../lib/child.ts'
import type { DatabaseFiles } from '../lib/database-files.ts'
import { DelayProxy } from '../lib/delay-proxy.ts'
import { atLeast, rounds } from '../lib/measure.ts'
import { relayAt } from '../lib/transports.ts'
import type { BenchRow } from '../results.ts'

const ROUND_TRIP_MS = 50
const EVENTS = 200_000
const HYPERCORE_EVENTS = 5_000
const ROUNDS = 3

/** Catch-up when messages take their time: the receiver reaches the relay through a proxy that delays each direction. */
export async function delayRows(files: DatabaseFiles): Promise<BenchRow[]> {
  const source = await files.log(EVENTS)
  const relay = await createRelay({ port: 0, host: '127.0.0.1' })
  const near = await DelayProxy.listen(relay.port, 0)
  const far = await DelayProxy.listen(relay.port, ROUND_TRIP_MS / 2)
  const through = async ({ port }: DelayProxy): Promise<number> => {
    const transport = relayAt(relay.port)
    return (await catchUp(files, { source, events: EVENTS, transport, receiverTransport: relayAt(port) })).rate
  }
  try {
    const result = await rounds(ROUNDS, {
      far: () => through(far),
      near: () => through(near),
      hypercoreFar: () => hypercore(files, ROUND_TRIP_MS / 2),
      hypercoreNear: () => hypercore(files, 0),
    })
    return [
      {
        name: `catch-up of 200 000 events at ${ROUND_TRIP_MS} ms round trip`,
        value: result.far,
        unit: 'events/s',
        note: 'over a relay behind a proxy that delays each direction by 25 ms and limits nothing else',
        ratios: [
          atLeast('of the same path without delay', result.far / result.near, 0.5),
          { label: '× hypercore over TCP through the same proxy', value: result.far / result.hypercoreFar },
          {
            label: 'is what hypercore keeps of its own undelayed figure',
            value: result.hypercoreFar / result.hypercoreNear,
          },
        ],
      },
    ]
  } finally {
    await Promise.all([near.close(), far.close()])
    await relay.close()
  }
}

async function hypercore(files: DatabaseFiles, delayMs: number): Promise<number> {
  const sender = new Child('hypercore-tcp.ts', { path: files.fresh('core'), fill: HYPERCORE_EVENTS })
  const { key, port } = await sender.message('ready')
  const proxy = await DelayProxy.listen(port as number, delayMs)
  const path = files.fresh('core')
  const receiver = new Child('hypercore-tcp.ts', { path, key, port: proxy.port, expect: HYPERCORE_EVENTS })
  const { ms } = await receiver.message('complete')
  await Promise.all([sender.end(), receiver.end()])
  await proxy.close()
  return (HYPERCORE_EVENTS / (ms as number)) * 1000
}

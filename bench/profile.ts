import { mkdirSync } from 'node:fs'
import path from 'node:path'
import createTestnet from 'hyperdht/testnet.js'
import { createRelay } from 'peerlog-relay'
import { catchUp } from './lib/catch-up.ts'
import { Child } from './lib/child.ts'
import type { Breakdown } from './lib/cpu-profile.ts'
import { readBreakdown } from './lib/cpu-profile.ts'
import type { DatabaseFiles } from './lib/database-files.ts'
import { LIVE_EVENTS, latencies } from './lib/latencies.ts'
import { quantile } from './lib/measure.ts'
import { relayAt } from './lib/transports.ts'

/** A process whose main thread is sampled. */
interface Profiled {
  folder: string
  flags: string[]
}

const EVENTS = 200_000
const BUSIEST_FUNCTIONS = 15
/** Microseconds between two samples where the work comes in small pieces. */
const LIVE_SAMPLE_US = 100

/** Where the processor time of bulk appends, a catch-up and live events goes, by sampling: as Markdown on standard output. */
export async function printProfiles(files: DatabaseFiles): Promise<void> {
  const profiled = (name: string): Profiled => {
    const folder = path.join(files.folder, name)
    mkdirSync(folder)
    return { folder, flags: ['--cpu-prof', '--cpu-prof-dir', folder] }
  }
  const append = profiled('append')
  const filler = new Child('fill.ts', { path: files.fresh('append'), from: 0, to: EVENTS }, append.flags)
  await filler.message('filled')
  await filler.end()
  print(`Appending ${EVENTS} events in batches of 1000`, readBreakdown(append.folder, BUSIEST_FUNCTIONS))

  const source = await files.log(EVENTS)
  const relay = await createRelay({ port: 0, host: '127.0.0.1' })
  const [sender, receiver] = [profiled('sender'), profiled('receiver')]
  const flags = { senderFlags: sender.flags, receiverFlags: receiver.flags }
  await catchUp(files, { source, events: EVENTS, transport: relayAt(relay.port), ...flags })
  await relay.close()
  print(`Catch-up of ${EVENTS} events over a relay: the receiver`, readBreakdown(receiver.folder, BUSIEST_FUNCTIONS))
  print('The sender', readBreakdown(sender.folder, BUSIEST_FUNCTIONS))
  const live = { sender: profiled('live-sender'), receiver: profiled('live-receiver') }
  await runLive(files, live)
  print(`${LIVE_EVENTS} live events over Hyperswarm: who appends`, readBreakdown(live.sender.folder, BUSIEST_FUNCTIONS))
  print('Who receives', readBreakdown(live.receiver.folder, BUSIEST_FUNCTIONS))
}

async function runLive(
  files: DatabaseFiles,
  { sender, receiver }: Record<'sender' | 'receiver', Profiled>,
): Promise<void> {
  const testnet = await createTestnet(4)
  const transport = { mode: 'hyperswarm' as const, bootstrap: testnet.bootstrap }
  const start = ({ flags }: Profiled, live: boolean): Child =>
    new Child('peerlog.ts', { path: files.fresh('live'), transport, live, sampled: false }, [
      ...flags,
      '--cpu-prof-interval',
      String(LIVE_SAMPLE_US),
    ])
  const [from, to] = [start(sender, false), start(receiver, true)]
  await Promise.all([from.message('connected'), to.message('connected')])
  const values = await latencies(from, to)
  await testnet.destroy()
  console.log(`\nlive events while profiled: p50 ${quantile(values, 0.5).toFixed(2)} ms`)
}

function print(title: string, { busyMs, startMs, buckets, functions }: Breakdown): void {
  console.log(
    `\n**${title}**: ${busyMs.toFixed(0)} ms of its main thread, and ${startMs.toFixed(0)} ms to load the modules\n`,
  )
  for (const [what, list] of [
    ['for', buckets],
    ['function, without what it calls', functions],
  ] as const) {
    console.log(`| ${what} | ms | share |\n| --- | ---: | ---: |`)
    for (const { what, ms, share } of list) {
      console.log(`| ${what} | ${ms.toFixed(0)} | ${(share * 100).toFixed(1)} % |`)
    }
    console.log('')
  }
}

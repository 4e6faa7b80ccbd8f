import { Child } from './child.ts'
import type { DatabaseFiles } from './database-files.ts'
import type { BenchTransport } from './transports.ts'

export interface CatchUp {
  /** A closed file that holds what is to be caught up with. */
  source: string
  events: number
  transport: BenchTransport
  /** How the receiver reaches the sender, if not in the same way. */
  receiverTransport?: BenchTransport
  /** Flags for Node in the two processes. */
  senderFlags?: string[]
  receiverFlags?: string[]
  /** Leave the received file where it is. */
  keep?: boolean
}

export interface CaughtUp {
  /** Events per second from meeting to all verified, indexed and durable. */
  rate: number
  file: string
  /** Milliseconds of processor time, of both processes. */
  receiverCpuMs: number
  senderCpuMs: number
  /** Megabytes by which the processes grew. */
  rssGrowth: number
  senderRssGrowth: number
  /** Milliseconds that the receiver's event loop was held up. */
  stallP99: number
  stallMax: number
  /** Milliseconds of its own processor time between two turns of the loop. */
  turnP99: number
  turnMax: number
}

/** An empty replica in one process receives everything that a replica in another holds. */
export async function catchUp(files: DatabaseFiles, options: CatchUp): Promise<CaughtUp> {
  const { source, events, transport, receiverTransport = transport } = options
  const sender = new Child('peerlog.ts', { path: source, transport }, options.senderFlags)
  await sender.message('ready')
  const file = files.fresh('received')
  const receive = { path: file, transport: receiverTransport, expect: events }
  const receiver = new Child('peerlog.ts', receive, options.receiverFlags)
  const got = await receiver.message('complete')
  const sent = await sender.ask('report')
  await Promise.all([sender.end(), receiver.end()])
  if (options.keep !== true) files.remove(file)
  return {
    rate: (events / (got['ms'] as number)) * 1000,
    file,
    receiverCpuMs: got['cpuMs'] as number,
    senderCpuMs: sent['cpuMs'] as number,
    rssGrowth: got['rssGrowth'] as number,
    senderRssGrowth: sent['rssGrowth'] as number,
    stallP99: got['stallP99'] as number,
    stallMax: got['stallMax'] as number,
    turnP99: got['turnP99'] as number,
    turnMax: got['turnMax'] as number,
  }
}

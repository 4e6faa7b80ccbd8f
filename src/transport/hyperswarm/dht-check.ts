import os from 'node:os'
import HyperDHT from 'hyperdht'
import { within } from '../within.ts'
import { isLoopback } from './loopback.ts'

/** Milliseconds that NAT sampling is given after the first answer: each node tells us how it sees us. */
const SAMPLING_MS = 2000
const SAMPLE_POLL_MS = 50
/** DHT nodes that are asked for a sign of life. */
const MAX_PINGED_NODES = 8

export interface DhtCheckOptions {
  /** DHT nodes to start from, instead of the public ones. */
  bootstrap?: { host: string; port: number }[]
  /** Milliseconds for all of it. */
  timeoutMs: number
  signal?: AbortSignal
}

/** How others see us: `'open'`, at an address of this machine, or one where anyone reaches it; behind a NAT that gives every peer the same port, or each another. */
export type NatKind = 'open' | 'consistent' | 'random' | 'unknown'

export interface DhtReport {
  /** Nodes that answered, of those that were asked. */
  answered: number
  asked: number
  /** Milliseconds that they took, the median; null without an answer. */
  medianMs: number | null
  nat: NatKind
  /** The address that others see, as far as they agree. */
  publicHost: string | null
  publicPort: number | null
}

/** The names or addresses of the nodes that a search begins with. */
export function bootstrapNodes(bootstrap?: { host: string; port: number }[]): { host: string; port: number }[] {
  if (bootstrap !== undefined) return bootstrap
  return HyperDHT.BOOTSTRAP.map((text) => {
    const [address = '', port] = text.split(':')
    return { host: address.slice(address.indexOf('@') + 1), port: Number(port) }
  })
}

/** Asks DHT nodes over UDP who is there and how they see us, through a node of its own that is gone afterwards. */
export async function checkDht({ bootstrap, timeoutMs, signal }: DhtCheckOptions): Promise<DhtReport> {
  const dht = new HyperDHT({
    ...(bootstrap === undefined ? {} : { bootstrap }),
    ...(bootstrap?.every(isLoopback) === true ? { host: '127.0.0.1' } : {}),
  })
  dht.on('error', () => {})
  const stopped = new Promise<void>((resolve) => signal?.addEventListener('abort', () => resolve(), { once: true }))
  const report: DhtReport = {
    answered: 0,
    asked: bootstrapNodes(bootstrap).length,
    medianMs: null,
    nat: 'unknown',
    publicHost: null,
    publicPort: null,
  }
  try {
    if (signal?.aborted !== true) await within(timeoutMs, Promise.race([stopped, examine(dht, report)]))
    return { ...report, ...seenAs(dht) }
  } finally {
    await dht.destroy({ force: true }).catch(() => {})
  }
}

async function examine(dht: HyperDHT, report: DhtReport): Promise<void> {
  await dht.fullyBootstrapped()
  const until = performance.now() + SAMPLING_MS
  while (dht.host === null && dht.stats.requests.responses > 0 && performance.now() < until) {
    await new Promise((resolve) => setTimeout(resolve, SAMPLE_POLL_MS))
  }
  const nodes = dht.toArray({ limit: MAX_PINGED_NODES })
  if (nodes.length > 0) report.asked = nodes.length
  const times: number[] = []
  await Promise.all(
    nodes.map(async (node) => {
      try {
        const { rtt } = await dht.ping(node)
        times.push(rtt)
        report.answered++
        report.medianMs = median(times)
      } catch {
        // It is not counted among those that answered.
      }
    }),
  )
}

function seenAs(dht: HyperDHT): Pick<DhtReport, 'nat' | 'publicHost' | 'publicPort'> {
  const { host, port } = dht
  if (host === null) return { nat: 'unknown', publicHost: null, publicPort: null }
  if (dht.randomized) return { nat: 'random', publicHost: host, publicPort: null }
  const isOurs = Object.values(os.networkInterfaces()).some((list) => list?.some(({ address }) => address === host))
  const nat = isOurs || dht.remoteAddress() !== null ? 'open' : 'consistent'
  return { nat, publicHost: host, publicPort: port }
}

/** The middle one, or the later of the two in the middle. */
function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] as number
}

import type { IncomingMessage } from 'node:http'
import { BlockList, isIP } from 'node:net'
import { Bucket } from './bucket.ts'
import { parseNetwork } from './config/kinds.ts'
import { MAX_RATED_ADDRESSES, RATED_SWEEP_MS } from './limits.ts'

/** Who is at the other end, behind proxies that are trusted. */
export interface Visitor {
  /** For the log: `host:port`, or the host alone if a proxy named it. */
  address: string
  /** What limits per address count by: an IPv4 address or the first 64 bits of an IPv6 address. */
  key: string
}

/** Whose word on a client's address is believed. */
export class TrustedProxies {
  readonly #networks = new BlockList()

  /** @throws {RangeError} if one is no address or CIDR. */
  constructor(networks: readonly string[]) {
    for (const network of networks) {
      try {
        parseNetwork(this.#networks, network)
      } catch (error) {
        throw new RangeError(`trustProxy: ${(error as Error).message}`, { cause: error })
      }
    }
  }

  trusts(address: string): boolean {
    const family = isIP(address)
    return family !== 0 && this.#networks.check(address, family === 6 ? 'ipv6' : 'ipv4')
  }

  /**
   * The right-most address that no trusted proxy has: what stands to the left of it was written by that address itself
   * and may be anything.
   */
  visitor(request: IncomingMessage): Visitor {
    const direct = plainAddress(request.socket.remoteAddress ?? '')
    let address = direct
    // Node joins repeated headers in their order.
    const hops = [request.headers['x-forwarded-for'] ?? []].flat().join(',').split(',')
    while (this.trusts(address) && hops.length > 0) {
      const hop = withoutPort((hops.pop() as string).trim())
      if (isIP(hop) === 0) break
      address = plainAddress(hop)
    }
    const port = address === direct ? `:${request.socket.remotePort ?? 0}` : ''
    return {
      address: address.includes(':') && port !== '' ? `[${address}]${port}` : address + port,
      key: keyOf(address),
    }
  }
}

/** What limits per address count by. */
export function keyOf(address: string): string {
  return isIP(address) === 6 ? `${groupsOf(address).slice(0, 4).join(':')}::/64` : address
}

/** `::ffff:192.0.2.1`, as a socket that listens on `::` says it, is `192.0.2.1`. */
export function plainAddress(address: string): string {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)
  return mapped?.[1] ?? address
}

/** Some proxies write the port as well. */
function withoutPort(hop: string): string {
  return /^\[([^\]]*)\](?::\d+)?$/.exec(hop)?.[1] ?? /^(\d+\.\d+\.\d+\.\d+):\d+$/.exec(hop)?.[1] ?? hop
}

/** The eight groups of an IPv6 address, in short and lower case. */
function groupsOf(address: string): string[] {
  // The URL parser knows every way to write one; it does not know zones.
  const short = new URL(`http://[${address.replace(/%.*$/, '')}]`).hostname.slice(1, -1)
  const [left = '', right] = short.split('::')
  const head = left === '' ? [] : left.split(':')
  if (right === undefined) return head
  const tail = right === '' ? [] : right.split(':')
  return [...head, ...Array.from({ length: 8 - head.length - tail.length }, () => '0'), ...tail]
}

/** How many of something each address has. */
export class PerAddress {
  readonly #counts = new Map<string, number>()

  of(key: string): number {
    return this.#counts.get(key) ?? 0
  }

  add(key: string, count: 1 | -1): void {
    const sum = this.of(key) + count
    if (sum === 0) this.#counts.delete(key)
    else this.#counts.set(key, sum)
  }
}

/** How fast each address may try. Remembers a bounded number of them: beyond it the longest known is forgotten. */
export class RatePerAddress {
  readonly #buckets = new Map<string, Bucket>()
  readonly #perMinute: number
  #sweptAt: number = performance.now()

  constructor(perMinute: number) {
    this.#perMinute = perMinute
  }

  tryTake(key: string): boolean {
    this.#sweep()
    let bucket = this.#buckets.get(key)
    if (bucket === undefined) {
      this.#makeRoom()
      bucket = new Bucket(this.#perMinute / 60, this.#perMinute)
      this.#buckets.set(key, bucket)
    }
    return bucket.tryTake(1)
  }

  #sweep(): void {
    const now = performance.now()
    if (now - this.#sweptAt >= RATED_SWEEP_MS) {
      this.#sweptAt = now
      for (const [key, bucket] of this.#buckets) if (bucket.full) this.#buckets.delete(key)
    }
  }

  #makeRoom(): void {
    if (this.#buckets.size < MAX_RATED_ADDRESSES) return
    const { value: oldest } = this.#buckets.keys().next()
    if (oldest !== undefined) this.#buckets.delete(oldest)
  }
}

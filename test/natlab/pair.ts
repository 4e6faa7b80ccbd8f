import { setTimeout as sleep } from 'node:timers/promises'
import { expect } from 'vitest'
import type { TransportChoice } from '../../src/open.ts'
import type { Path } from '../../src/transport/transport.ts'
import type { Home, Nat } from './home.ts'
import type { Lab, Relay } from './lab.ts'
import type { Peer } from './peer.ts'

/** Milliseconds between two looks at the relay. */
const LOOK_MS = 100

export interface PairOptions {
  /** One for each home; with only one, both are in the same. */
  nats: [Nat, Nat] | [Nat]
  /** What the first one's router does not let through from the start. */
  blocked?: { udp?: boolean; tcp?: boolean }
}

/** Two peers of one database, each in a home of its own, and a relay that they have for themselves. */
export class Pair {
  readonly relay: Relay
  readonly homes: readonly [Home, Home]
  readonly peers: readonly [Peer, Peer]

  private constructor(relay: Relay, homes: readonly [Home, Home], peers: readonly [Peer, Peer]) {
    this.relay = relay
    this.homes = homes
    this.peers = peers
  }

  /** Resolves when both databases are open; they were opened at the same time. */
  static async open(lab: Lab, { nats, blocked = {} }: PairOptions): Promise<Pair> {
    const relay = await lab.relay()
    const home = lab.home(nats[0])
    const homes = [home, nats[1] === undefined ? home : lab.home(nats[1])] as const
    home.block(blocked)
    const transport: TransportChoice = { mode: 'auto', relayUrl: relay.url, bootstrap: lab.bootstrap }
    const databaseId = `${nats.join(' and ')}, ${relay.url}`
    const [a, b] = await Promise.all([
      lab.peer(homes[0], { databaseId, transport }),
      lab.peer(homes[1], { databaseId, transport }),
    ])
    return new Pair(relay, homes, [a, b])
  }

  /** When both were open: milliseconds since 1970. */
  get openedAt(): number {
    return Math.max(...this.peers.map(({ openedAt }) => openedAt))
  }

  /** Resolves when both have told that such a path is in use, with the time at which the later one did. */
  async on(path: Partial<Path>): Promise<number> {
    return Math.max(...(await Promise.all(this.peers.map((peer) => peer.on(path)))))
  }

  /** Resolves when the relay has nothing to forward between them any more. */
  async leavesRelay(): Promise<void> {
    while (this.relay.channels() > 0) await sleep(LOOK_MS)
  }

  /** Lets both append an event every so many milliseconds while something happens. */
  async streaming<T>(everyMs: number, run: () => Promise<T>): Promise<T> {
    for (const peer of this.peers) peer.stream(everyMs)
    try {
      return await run()
    } finally {
      await Promise.all(this.peers.map((peer) => peer.halt()))
    }
  }

  /** Resolves when everything that was appended has arrived; each event must have done so once, and in order. */
  async settled(): Promise<void> {
    const [a, b] = this.peers
    for (const [from, to] of [
      [a, b],
      [b, a],
    ] as const) {
      await to.until(() => to.arrivals.length >= from.appended)
      expect(to.arrivals.map(({ author, seq }) => ({ author, seq }))).toEqual(
        Array.from({ length: from.appended }, (_, seq) => ({ author: from.author, seq })),
      )
    }
    for (const peer of this.peers) {
      const { events, upserts } = await peer.state()
      expect({ events, upserts }).toEqual({ events: a.appended + b.appended, upserts: a.appended + b.appended })
    }
  }

  /** The longest that an event has been on its way, in milliseconds, of those appended since a time. */
  longestDelay(since: number): number {
    const arrivals = this.peers.flatMap((peer) => peer.arrivals).filter(({ appendedAt }) => appendedAt >= since)
    return Math.max(...arrivals.map(({ appendedAt, at }) => at - appendedAt))
  }

  /** Bytes that pass the first one's router while something happens. */
  async traffic(run: () => Promise<void>): Promise<{ direct: number; relay: number }> {
    const before = this.homes[0].traffic()
    await run()
    const after = this.homes[0].traffic()
    return { direct: after.direct - before.direct, relay: after.relay - before.relay }
  }

  /** What both have told, for a test that has failed. */
  story(): string {
    return this.peers.map((peer, i) => `peer ${i + 1}, at ${peer.openedAt}\n${peer.story()}`).join('\n')
  }
}

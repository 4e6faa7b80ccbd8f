import path from 'node:path'
import { afterAll, afterEach, describe, expect, it } from 'vitest'
import { MAX_CLOCK_AHEAD_MS } from '../../src/base/limits.ts'
import { SyncBroadcaster } from '../../src/broadcast/sync-broadcaster.ts'
import { Database } from '../../src/database.ts'
import { EventStore } from '../../src/store/event-store.ts'
import { memoryNetwork } from '../../src/testing.ts'
import { deriveTopic } from '../../src/topic/topic.ts'
import { DATABASE, expectSound, sealed, SEED, tempFolder } from '../store/stores.ts'
import { dice } from './dice.ts'

const DAY_MS = 24 * 60 * 60 * 1000
const lines: string[] = []
afterAll(() => console.log(`clocks that jump: ${lines.join('; ')}`))

const opened: Peer[] = []
afterEach(async () => {
  for (const peer of opened.splice(0)) await peer.close()
})

type Network = ReturnType<typeof memoryNetwork>

/** A database with a wall clock of its own, put together as `open()` does. */
class Peer {
  readonly path: string
  readonly #network: Network
  /** Milliseconds that its wall clock is ahead of the real one. */
  ahead = 0
  #store!: EventStore
  #transport!: ReturnType<Network['createTransport']>
  db!: Database

  constructor(network: Network) {
    this.#network = network
    this.path = path.join(tempFolder(), 'test.db')
    this.open()
    opened.push(this)
  }

  open(): void {
    const now = (): number => Date.now() + this.ahead
    this.#store = EventStore.open({ path: this.path, databaseId: DATABASE, keys: sealed, now })
    this.#transport = this.#network.createTransport()
    const sync = new SyncBroadcaster()
    this.db = new Database(DATABASE, this.path, '', this.#store, sync, this.#transport)
    const topic = deriveTopic(DATABASE, sealed.topic as Buffer)
    sync.replicate({ store: this.#store, topic, admissionKey: sealed.admission, transports: [this.#transport], now })
  }

  check(): void {
    expectSound(this.#store)
  }

  get heldUntil(): (author: string) => number | null {
    return (author) => this.#store.heldUntil(author)
  }

  async close(): Promise<void> {
    await this.db.close()
  }

  async ids(order: 'clock' | 'arrival'): Promise<string[]> {
    const found: string[] = []
    for await (const { id } of this.db.read({ order })) found.push(id)
    return found
  }

  until(events: number): Promise<void> {
    return new Promise((resolve) => {
      const check = (): void => {
        if (this.db.position < events) return
        this.db.sync.off('NodeUpsert', check)
        resolve()
      }
      this.db.sync.on('NodeUpsert', check)
      check()
    })
  }
}

describe('a wall clock that jumps', () => {
  it('while appending: the log stays in order, over a restart too', async () => {
    const random = dice(SEED + 40)
    const peer = new Peer(memoryNetwork())
    const stamps: number[] = []
    for (let i = 0; i < 60; i++) {
      if (random() < 0.3) peer.ahead = Math.round((random() * 2 - 1) * DAY_MS)
      if (i === 30) {
        await peer.close()
        peer.open()
      }
      const events = await peer.db.appendMany([1, 2].map((n) => ({ subject: 's/a', data: [i, n] })))
      stamps.push(...events.map(({ timestamp }) => timestamp))
    }
    expect(stamps).toEqual(stamps.toSorted((a, b) => a - b))
    expect(await peer.ids('clock')).toEqual(await peer.ids('arrival'))
    peer.check()
    lines.push(`${stamps.length} appends in order`)
  })

  it(
    'back by a day while syncing: nothing is held or lost, and all have the same order',
    { timeout: 60_000 },
    async () => {
      const network = memoryNetwork()
      const peers = [new Peer(network), new Peer(network), new Peer(network)] as const
      const random = dice(SEED + 41)
      let written = 0
      for (let round = 0; round < 12; round++) {
        for (const peer of peers) {
          if (random() < 0.4) peer.ahead = peer.ahead === 0 ? -DAY_MS : 0
          await peer.db.appendMany(Array.from({ length: 10 }, (_, n) => ({ subject: 's/a', data: [round, n] })))
          written += 10
        }
        if (round % 3 === 2) {
          // A clock that is a day late takes events of now for events of tomorrow, until it is right again.
          for (const peer of peers) peer.ahead = 0
          await Promise.all(peers.map((peer) => peer.until(written)))
        }
      }
      const orders = await Promise.all(peers.map((peer) => peer.ids('clock')))
      expect(orders[0]).toHaveLength(written)
      expect(new Set(orders[0]).size).toBe(written)
      expect([orders[1], orders[2]]).toEqual([orders[0], orders[0]])
      for (const peer of peers) peer.check()
      lines.push(`${written} events through 3 peers, lost 0`)
    },
  )

  it(
    'forward by a day: others hold what it writes, and deliver it when they get there',
    { timeout: 60_000 },
    async () => {
      const network = memoryNetwork()
      const [hasty, steady] = [new Peer(network), new Peer(network)]
      await hasty.db.append('s/a', 'now')
      await steady.until(1)
      hasty.ahead = DAY_MS
      const early = await hasty.db.append('s/a', 'tomorrow')
      hasty.ahead = 0
      const later = await hasty.db.append('s/a', 'after that')
      expect(later.timestamp).toBe(early.timestamp)
      await steady.db.append('s/b', 'unheld')
      await hasty.until(4)
      // What it holds it knows by the time when it may be delivered, and that survives a restart.
      const due = early.timestamp - MAX_CLOCK_AHEAD_MS
      await expect.poll(() => steady.heldUntil(hasty.db.author), { timeout: 20_000 }).toBe(due)
      expect(steady.db.position).toBe(2)
      await steady.close()
      steady.open()
      expect(steady.heldUntil(hasty.db.author)).toBe(due)
      expect(steady.db.position).toBe(2)
      // Its own events are not drawn into the future by those.
      expect((await steady.db.append('s/b', 'still now')).timestamp).toBeLessThan(due)
      steady.ahead = due - Date.now()
      await steady.close()
      steady.open()
      await Promise.all([steady.until(5), hasty.until(5)])
      const orders = [await hasty.ids('clock'), await steady.ids('clock')]
      expect(orders[1]).toEqual(orders[0])
      expect(orders[0]?.slice(-2)).toEqual([early.id, later.id])
      for (const peer of [hasty, steady]) peer.check()
      lines.push('a day ahead: held, kept over a restart, delivered when due')
    },
  )
})

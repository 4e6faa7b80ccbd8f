import { describe, expect, it, onTestFinished } from 'vitest'
import { BAN_MAX_MS, BAN_MIN_MS, MAX_BANS, SUBSCRIBER_BUFFER_EVENTS } from '../../src/base/limits.ts'
import { PeerlogError } from '../../src/base/errors.ts'
import { BanList } from '../../src/broadcast/ban-list.ts'
import { SyncBroadcaster } from '../../src/broadcast/sync-broadcaster.ts'
import type { Missed, SyncEvent } from '../../src/broadcast/sync-event.ts'
import { dice } from '../../src/base/dice.ts'

function upsert(id: number): SyncEvent {
  return { type: 'NodeUpsert', id: String(id) }
}

describe('SyncBroadcaster as a hub', () => {
  it('tells listeners, once or until they are taken off', () => {
    const hub = new SyncBroadcaster()
    const heard: string[] = []
    const on = ({ id }: { id: string }): void => void heard.push(`on ${id}`)
    hub.on('NodeUpsert', on).once('NodeUpsert', ({ id }) => heard.push(`once ${id}`))
    hub.on('NodeDelete', ({ id }) => heard.push(`delete ${id}`))
    hub.publish(upsert(1))
    hub.publish(upsert(2))
    hub.off('NodeUpsert', on)
    hub.publish(upsert(3))
    hub.publish({ type: 'NodeDelete', id: '4' })
    expect(heard).toEqual(['on 1', 'once 1', 'on 2', 'delete 4'])
  })

  it('publishes to nobody without complaint', () => {
    const hub = new SyncBroadcaster()
    hub.publish(upsert(1))
    expect(hub.hears('NodeUpsert')).toBe(false)
    expect(hub.peers()).toEqual([])
  })

  it('gives subscribers of any speed everything, or the exact number they missed', async () => {
    const random = dice(3)
    const hub = new SyncBroadcaster()
    const total = 3000
    const readers = [1, 2, 3, 7, 100, 1024].map((capacity) => {
      const subscription = hub.subscribe({ capacity })
      return { capacity, subscription, ids: [] as number[], missed: 0 }
    })
    const read = async (reader: (typeof readers)[number]): Promise<boolean> => {
      const { value, done } = await reader.subscription.next()
      if (done === true) return false
      if (value.type === 'Missed') reader.missed += value.count
      else if (value.type === 'NodeUpsert') reader.ids.push(Number(value.id))
      // Whatever was missed is older than all that follows.
      return true
    }
    let published = 0
    while (published < total) {
      for (let burst = Math.floor(random() * 40); burst > 0 && published < total; burst--)
        hub.publish(upsert(published++))
      for (const reader of readers) {
        for (let reads = Math.floor(random() * 30); reads > 0; reads--) {
          if (reader.ids.length + reader.missed < published) await read(reader)
        }
        expect(reader.ids.length + reader.missed).toBeLessThanOrEqual(published)
      }
    }
    await hub.close()
    for (const reader of readers) {
      while (await read(reader));
      expect(reader.ids.length + reader.missed, `capacity ${reader.capacity}`).toBe(total)
      expect(reader.ids).toEqual(reader.ids.toSorted((a, b) => a - b))
    }
    expect(readers[0]?.missed).toBeGreaterThan(0)
  })

  it('has a buffer of 1024 by default, and puts what was missed first', async () => {
    const hub = new SyncBroadcaster()
    const subscription = hub.subscribe()
    for (let i = 0; i < SUBSCRIBER_BUFFER_EVENTS + 1; i++) hub.publish(upsert(i))
    const first = (await subscription.next()).value as Missed
    expect(first).toEqual({ type: 'Missed', count: SUBSCRIBER_BUFFER_EVENTS / 4 })
    expect((await subscription.next()).value).toEqual(upsert(SUBSCRIBER_BUFFER_EVENTS / 4))
  })

  it('serves several waiting reads in order', async () => {
    const hub = new SyncBroadcaster()
    const subscription = hub.subscribe()
    const reads = [subscription.next(), subscription.next(), subscription.next()]
    hub.publish(upsert(1))
    hub.publish(upsert(2))
    await hub.close()
    expect((await Promise.all(reads)).map(({ value }) => value as unknown)).toEqual([upsert(1), upsert(2), undefined])
  })

  it('frees a subscription whose loop is left', async () => {
    const hub = new SyncBroadcaster()
    hub.publish(upsert(0))
    setImmediate(() => hub.publish(upsert(1)))
    for await (const event of hub.subscribe()) {
      expect(event).toEqual(upsert(1))
      expect(hub.hears('NodeUpsert')).toBe(true)
      break
    }
    expect(hub.hears('NodeUpsert')).toBe(false)
    const second = hub.subscribe()
    await second[Symbol.asyncDispose]()
    expect(hub.hears('NodeUpsert')).toBe(false)
    expect(await second.next()).toEqual({ done: true, value: undefined })
  })

  it('ends subscriptions when it closes; later ones are over at once', async () => {
    const hub = new SyncBroadcaster()
    const early = hub.subscribe()
    hub.publish(upsert(1))
    await Promise.all([hub.close(), hub.close()])
    await hub.close()
    expect((await early.next()).value).toEqual(upsert(1))
    expect((await early.next()).done).toBe(true)
    expect((await hub.subscribe().next()).done).toBe(true)
    hub.publish(upsert(2))
    expect(hub.hears('NodeUpsert')).toBe(false)
  })

  it.each([0, -1, 1.5, NaN, Infinity, '8' as unknown as number])('refuses a capacity of %s', (capacity) => {
    const hub = new SyncBroadcaster()
    expect(() => hub.subscribe({ capacity })).toThrow(PeerlogError)
    expect(hub.hears('NodeUpsert')).toBe(false)
  })

  it('goes on when a listener throws, and does not swallow the error', async () => {
    const hub = new SyncBroadcaster()
    const subscription = hub.subscribe()
    // Vitest's own listeners would count it as a failure of the test.
    const others = process.listeners('uncaughtException')
    process.removeAllListeners('uncaughtException')
    onTestFinished(() => {
      process.removeAllListeners('uncaughtException')
      for (const other of others) process.on('uncaughtException', other)
    })
    const uncaught = new Promise((resolve) => process.once('uncaughtException', resolve))
    hub.on('NodeUpsert', () => {
      throw new Error('a bug of the user')
    })
    hub.publish(upsert(1))
    expect((await subscription.next()).value).toEqual(upsert(1))
    expect(await uncaught).toMatchObject({ message: 'a bug of the user' })
  })

  it('may be changed by its listeners', async () => {
    const hub = new SyncBroadcaster()
    const heard: unknown[] = []
    hub.on('NodeUpsert', () => {
      void hub.close()
    })
    hub.on('NodeUpsert', () => heard.push(1))
    hub.publish(upsert(1))
    expect(heard).toEqual([1])
    await hub.close()
  })
})

describe('BanList', () => {
  it('doubles each ban up to an hour, and forgets what was long ago', () => {
    const bans = new BanList()
    let now = 1_000_000
    for (let offence = 0; offence < 14; offence++) {
      const length = Math.min(BAN_MAX_MS, BAN_MIN_MS * 2 ** offence)
      expect(bans.add('x', now)).toBe(now + length)
      expect(bans.isBanned('x', now + length - 1)).toBe(true)
      expect(bans.isBanned('x', now + length)).toBe(false)
      expect(bans.isBanned('y', now)).toBe(false)
      now += length + 1
    }
    now += BAN_MAX_MS
    expect(bans.add('x', now)).toBe(now + BAN_MIN_MS)
  })

  it('remembers a bounded number of peers, the latest', () => {
    const bans = new BanList()
    for (let i = 0; i <= MAX_BANS; i++) bans.add(String(i), 0)
    expect(bans.isBanned('0', 1)).toBe(false)
    expect(bans.isBanned('1', 1)).toBe(true)
    expect(bans.isBanned(String(MAX_BANS), 1)).toBe(true)
  })
})

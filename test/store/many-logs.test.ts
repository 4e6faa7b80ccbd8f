// Any number of authors that a member may invent: how many are kept, and what they cost.
import { expect, it } from 'vitest'
import { RECENT_LOGS } from '../../src/base/limits.ts'
import { hash } from '../../src/base/hash.ts'
import { Mmr } from '../../src/event/mmr.ts'
import type { Run } from '../../src/event/run.ts'
import { EventStore } from '../../src/store/event-store.ts'
import { inventedRun } from '../hostile/attacker.ts'
import { DATABASE, item, open, openStore, tempFile } from './stores.ts'

const runs = (count: number, from = 0): Run[] => Array.from({ length: count }, (_, n) => inventedRun(open, from + n))

it('keeps as many logs as it may, its own besides, over a restart, and goes on with those', async () => {
  const path = tempFile()
  const store = openStore({ path, maxLogs: 10 })
  expect(store.hasRoom).toBe(true)
  const statuses = store.ingest(runs(15))
  expect(statuses).toEqual([...Array(10).fill('stored'), ...Array(5).fill('no-room')])
  expect(store.hasRoom).toBe(false)
  expect(store.ingest(runs(12))).toEqual([...Array(10).fill('duplicate'), 'no-room', 'no-room'])
  await store.append([item('a'), item('b')])
  expect(store.logs()).toHaveLength(11)
  const root = store.frontierRoot()
  store.close()
  const again = openStore({ path, maxLogs: 10 })
  expect(again.frontierRoot()).toEqual(root)
  expect(again.ingest(runs(1, 50))).toEqual(['no-room'])
  expect(again.position).toBe(12)
})

it('packs logs that are idle, in under 1 KB each, and uses them as before', () => {
  const heap = (): number => {
    globalThis.gc?.()
    const { heapUsed, arrayBuffers } = process.memoryUsage()
    return heapUsed + arrayBuffers
  }
  const path = tempFile()
  const store = EventStore.open({ path, databaseId: DATABASE, keys: open })
  const count = 10 * RECENT_LOGS
  const all = runs(count)
  store.ingest(all.slice(0, RECENT_LOGS))
  const before = heap()
  for (let n = RECENT_LOGS; n < count; n += 512) store.ingest(all.slice(n, n + 512))
  const each = (heap() - before) / (count - RECENT_LOGS)
  // Where the collector can't be asked for, only the packing itself is checked.
  if (globalThis.gc !== undefined) expect(each).toBeLessThan(1000)
  const hexes = store.logs().map(({ hex }) => hex)
  expect(hexes).toEqual(hexes.toSorted())
  for (const { author, events } of all) {
    const log = store.log(author.toString('hex'))
    expect(log?.author.equals(author)).toBe(true)
    expect(log?.mmr.length).toBe(1)
    expect(log?.mmr.root().equals(log.root)).toBe(true)
    const fresh = new Mmr()
    fresh.append(hash(events[0] as Buffer))
    expect(log?.mmr.peaks()).toEqual(fresh.peaks())
    fresh.append(hash(author))
    const after = log?.mmr.clone()
    after?.append(hash(author))
    expect(after?.root()).toEqual(fresh.root())
  }
  // An old one again: a fork proof of it, its frontier, its place.
  expect(store.ingest(all.slice(0, 3))).toEqual(['duplicate', 'duplicate', 'duplicate'])
  const root = store.frontierRoot()
  store.close()
  const again = openStore({ path })
  expect(again.frontierRoot()).toEqual(root)
})

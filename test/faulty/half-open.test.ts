/** A connection of which one direction is dead and that nobody cuts: only the side that hears nothing can tell. */
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { ADMISSION_TIMEOUT_MS } from '../../src/base/limits.ts'
import type { SyncEvent } from '../../src/index.ts'
import { open } from '../../src/index.ts'
import type { Faults } from '../../src/testing.ts'
import { faultyTransport, memoryNetwork } from '../../src/testing.ts'
import { PATH_DEAD_MS } from '../../src/transport/paths/limits.ts'

const STEP_MS = 1000

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'Date', 'performance'] })
})

afterEach(() => {
  vi.useRealTimers()
})

/** Lets time pass until the condition holds; what the peers say to each other meanwhile is said. */
async function pass(condition: () => boolean, mostMs: number): Promise<number> {
  const started = Date.now()
  while (!condition()) {
    expect(Date.now() - started).toBeLessThanOrEqual(mostMs)
    vi.advanceTimersByTime(STEP_MS)
    for (let i = 0; i < 20; i++) await new Promise((resolve) => setImmediate(resolve))
  }
  return Date.now() - started
}

test.each([
  ['send', 'from its hello on', 0, ADMISSION_TIMEOUT_MS],
  ['receive', 'from its hello on', 0, ADMISSION_TIMEOUT_MS],
  ['send', 'later', 4, PATH_DEAD_MS],
  ['receive', 'later', 4, PATH_DEAD_MS],
] as const)('what one side %ss vanishes %s: it is noticed, nobody is blamed, and they meet again', async (...args) => {
  const [direction, , first, timeoutMs] = args
  const network = memoryNetwork()
  const faults: Partial<Faults> = { vanish: [first], direction }
  const ours = faultyTransport(network.createTransport(), { seed: 1, faults })
  const theirs = network.createTransport()
  const events: Record<'here' | 'there', SyncEvent[]> = { here: [], there: [] }
  const here = await open({ databaseId: 'half-open', path: ':memory:', transport: ours })
  const there = await open({ databaseId: 'half-open', path: ':memory:', transport: theirs })
  for (const [name, db] of [
    ['here', here],
    ['there', there],
  ] as const) {
    for (const type of ['PeerRefused', 'PeerDisconnected', 'PeerConnected'] as const) {
      db.sync.on(type, (event: SyncEvent) => void events[name].push(event))
    }
  }
  const writing = Array.from({ length: 10 }, async (_, i) => {
    await here.append('a', i)
    await there.append('b', i)
  })
  await Promise.all(writing)
  await pass(() => ours.counts.vanish === 1, timeoutMs)
  // The faults are over for later connections; this one stays as it is.
  ours.set({ vanish: 0 })
  const agreed = (): boolean => here.frontierRoot() === there.frontierRoot() && here.frontier().size === 2
  expect(agreed()).toBe(false)
  const waited = await pass(agreed, timeoutMs + 4 * STEP_MS)
  expect(waited).toBeGreaterThan(timeoutMs / 3)
  const refusals = [...events.here, ...events.there].filter(({ type }) => type === 'PeerRefused')
  expect(refusals).toEqual([])

  const closing = Promise.all([here.close(), there.close()]).then(() =>
    Promise.all([ours.disconnect(), theirs.disconnect()]),
  )
  let closed = false
  void closing.then(() => (closed = true))
  await pass(() => closed, 10 * STEP_MS)
})

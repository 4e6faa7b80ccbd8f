import { describe, expect, test } from 'vitest'
import { RECONNECT_MIN_MS } from '../../src/base/limits.ts'
import { DRAIN_JITTER_MS, DRAINED_MS, HEALTHY_MS } from '../../src/transport/relay/limits.ts'
import { RelayList } from '../../src/transport/relay/relay-list.ts'

const RESTART = 1012
const EXPIRED = 4401
const LOST = 1006

function list(...urls: string[]): RelayList {
  return new RelayList(urls, () => 0.5)
}

/** The URLs of the next attempts, all of which fail. */
function failing(relays: RelayList, count: number): string[] {
  return Array.from({ length: count }, () => relays.afterFailure().url)
}

test('relays are tried in turn, without a pause until all have been', () => {
  const relays = list('a', 'b', 'c')
  const attempts = [relays.atOnce(), ...Array.from({ length: 5 }, () => relays.afterFailure())]
  expect(attempts.map(({ url }) => url)).toEqual(['a', 'b', 'c', 'a', 'b', 'c'])
  expect(attempts.map(({ delayMs }) => delayMs > 0)).toEqual([false, false, false, true, false, false])
})

test('one that was good is tried first after a loss, then those from the first of the list', () => {
  const relays = list('a', 'b', 'c')
  relays.atOnce()
  const after = relays.afterLoss('b', HEALTHY_MS, LOST)
  expect(after.url).toBe('b')
  expect(after.delayMs).toBeLessThanOrEqual(RECONNECT_MIN_MS)
  expect(failing(relays, 3)).toEqual(['a', 'c', 'a'])
  expect(relays.atOnce().url).toBe('b')
})

test('one that did not last gives way to the others', () => {
  const relays = list('a', 'b', 'c')
  expect(relays.afterLoss('b', 10, LOST).url).toBe('c')
  expect(failing(relays, 3)).toEqual(['a', 'b', 'a'])
})

describe('a relay that drains', () => {
  test('sends its clients to the next, at once', () => {
    const relays = list('a', 'b')
    expect(relays.afterLoss('a', HEALTHY_MS, RESTART)).toEqual({ url: 'b', delayMs: 0 })
    expect(relays.afterLoss('b', DRAINED_MS, RESTART)).toEqual({ url: 'a', delayMs: 0 })
  })

  test('and has no other, is gone back to within a moment, not by all in the same', () => {
    const relays = list('a')
    expect(relays.afterLoss('a', HEALTHY_MS, RESTART)).toEqual({ url: 'a', delayMs: DRAIN_JITTER_MS / 2 })
  })

  test('again and again is gone back to later each time', () => {
    const relays = list('a')
    const delays = Array.from({ length: 6 }, () => relays.afterLoss('a', 5, RESTART).delayMs)
    expect(delays.at(-1)).toBeGreaterThan(4000)
  })
})

test('an expired token leads back to the same relay at once; one that expires at once does not', () => {
  const relays = list('a', 'b')
  expect(relays.afterLoss('b', HEALTHY_MS, EXPIRED)).toEqual({ url: 'b', delayMs: 0 })
  expect(relays.afterLoss('b', 5, EXPIRED).delayMs).toBeGreaterThan(0)
})

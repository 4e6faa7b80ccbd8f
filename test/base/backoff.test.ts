import { describe, expect, it } from 'vitest'
import { Backoff } from '../../src/base/backoff.ts'
import { RECONNECT_MAX_MS, RECONNECT_MIN_MS } from '../../src/base/limits.ts'

const take = (backoff: Backoff, count: number): number[] => Array.from({ length: count }, () => backoff.next())

describe('Backoff', () => {
  it('doubles up to the maximum, and begins again after a success', () => {
    const backoff = new Backoff({ random: () => 1, minMs: 100, maxMs: 1000 })
    expect(take(backoff, 6)).toEqual([100, 200, 400, 800, 1000, 1000])
    backoff.reset()
    expect(take(backoff, 2)).toEqual([100, 200])
  })

  it('is never below half the minimum', () => {
    const backoff = new Backoff({ random: () => 0, minMs: 100, maxMs: 1000 })
    expect(take(backoff, 5)).toEqual([50, 50, 50, 50, 50])
  })

  it('spreads between the two', () => {
    const backoff = new Backoff({ random: () => 0.5, minMs: 100, maxMs: 1000 })
    expect(take(backoff, 5)).toEqual([75, 125, 225, 425, 525])
  })

  it('stays within RECONNECT_MIN_MS / 2 … RECONNECT_MAX_MS for ever', () => {
    const backoff = new Backoff()
    for (let i = 0; i < 5000; i++) {
      const ms = backoff.next()
      expect(ms >= RECONNECT_MIN_MS / 2 && ms <= RECONNECT_MAX_MS).toBe(true)
    }
    const capped = new Backoff({ random: () => 1 })
    expect(take(capped, 2000).at(-1)).toBe(RECONNECT_MAX_MS)
  })
})

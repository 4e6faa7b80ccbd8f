import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Timestamp } from '../../src/event/clock.ts'
import { compareTimestamps, HybridClock, MAX_TICK, MAX_TIME } from '../../src/event/clock.ts'
import { holds, timestamp } from '../arbitraries.ts'

describe('compareTimestamps', () => {
  it('orders by time, then tick', () => {
    const ascending: Timestamp[] = [
      { time: 0, tick: 0 },
      { time: 0, tick: MAX_TICK },
      { time: 1, tick: 0 },
      { time: MAX_TIME, tick: 0 },
      { time: MAX_TIME, tick: MAX_TICK },
    ]
    for (const [i, a] of ascending.entries()) {
      for (const [j, b] of ascending.entries()) expect(Math.sign(compareTimestamps(a, b))).toBe(Math.sign(i - j))
    }
  })
})

describe('HybridClock', () => {
  it('is the wall clock while that moves on', () => {
    let now = 1000.75
    const clock = new HybridClock(() => now)
    expect(clock.next()).toEqual({ time: 1000, tick: 0 })
    expect(clock.next()).toEqual({ time: 1000, tick: 1 })
    now = 1001
    expect(clock.next()).toEqual({ time: 1001, tick: 0 })
  })

  it('is after everything ticked or observed, whatever the wall clock does', () => {
    const step = fc.oneof(
      fc.record({ now: fc.oneof(fc.nat({ max: 20 }), fc.nat(), fc.integer({ min: -5, max: 0 }), fc.constant(NaN)) }),
      fc.record({
        observe: fc.oneof(timestamp(), fc.record({ time: fc.nat({ max: 20 }), tick: fc.nat({ max: MAX_TICK }) })),
      }),
      fc.constant({ next: true }),
    )
    holds(
      fc.property(fc.array(step, { maxLength: 60, size: 'max' }), (steps) => {
        let now = 0
        const clock = new HybridClock(() => now)
        let last: Timestamp = { time: 0, tick: 0 }
        for (const one of steps) {
          if ('now' in one) now = one.now
          else if ('observe' in one) {
            // The last two clocks there are have nothing, or nothing but themselves, after them.
            if (one.observe.time === MAX_TIME) continue
            clock.observe(one.observe)
            if (compareTimestamps(one.observe, last) > 0) last = one.observe
          } else {
            const got = clock.next()
            expect(compareTimestamps(got, last)).toBeGreaterThan(0)
            expect(Number.isInteger(got.time) && got.time <= MAX_TIME).toBe(true)
            expect(Number.isInteger(got.tick) && got.tick >= 0 && got.tick <= MAX_TICK).toBe(true)
            // Never further ahead than what it has seen.
            if (got.time > Math.max(now, last.time)) expect(last.tick).toBe(MAX_TICK)
            last = got
          }
        }
      }),
      500,
    )
  })

  it('goes on into the next millisecond after 65 536 clocks in one', () => {
    const clock = new HybridClock(() => 1000)
    for (let tick = 0; tick <= MAX_TICK; tick++) expect(clock.next().tick).toBe(tick)
    expect(clock.next()).toEqual({ time: 1001, tick: 0 })
    expect(clock.next()).toEqual({ time: 1001, tick: 1 })
  })

  it('hands out objects of its own', () => {
    const clock = new HybridClock(() => 5)
    const first = clock.next()
    clock.next()
    expect(first).toEqual({ time: 5, tick: 0 })
    first.tick = 60_000
    expect(clock.next()).toEqual({ time: 5, tick: 2 })
    const seen = { time: 9, tick: 9 }
    clock.observe(seen)
    seen.time = 100
    expect(clock.next()).toEqual({ time: 9, tick: 10 })
  })

  it('ignores what is behind it', () => {
    const clock = new HybridClock(() => 5)
    clock.observe({ time: 8, tick: 3 })
    clock.observe({ time: 8, tick: 2 })
    clock.observe({ time: 7, tick: 60_000 })
    expect(clock.next()).toEqual({ time: 8, tick: 4 })
  })
})

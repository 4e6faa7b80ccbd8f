/** The small parts that keep one peer's doings from costing others. */
import { describe, expect, it } from 'vitest'
import {
  BAN_MAX_MS,
  BAN_MIN_MS,
  CLAIM_MIN_TIMEOUT_MS,
  CLAIM_PROGRESS_BYTES,
  CLAIM_TIMEOUT_MS,
  CONTROL_BURST,
  CONTROL_ENTRIES,
  MAX_BANS,
  REPEAT_BURST_BYTES,
  REPEAT_BYTES_PER_SECOND,
} from '../../src/base/limits.ts'
import { BanList } from '../../src/broadcast/ban-list.ts'
import { ClaimTable } from '../../src/broadcast/claims.ts'
import { ControlBudget } from '../../src/broadcast/control-budget.ts'
import { RepeatBudget } from '../../src/broadcast/repeat-budget.ts'
import { Turns } from '../../src/broadcast/turns.ts'
import { Rounds } from './rounds.ts'

describe('bans', () => {
  it('grow with each offence up to an hour, and are forgiven after as long', () => {
    const bans = new BanList()
    let now = 0
    const lengths = Array.from({ length: 12 }, () => {
      const until = bans.add('a', now)
      const length = until - now
      expect(bans.isBanned('a', until - 1)).toBe(true)
      expect(bans.isBanned('a', until)).toBe(false)
      now = until
      return length
    })
    expect(lengths.slice(0, 3)).toEqual([BAN_MIN_MS, 2 * BAN_MIN_MS, 4 * BAN_MIN_MS])
    expect(lengths.at(-1)).toBe(BAN_MAX_MS)
    now += BAN_MAX_MS + 1
    expect(bans.add('a', now) - now).toBe(BAN_MIN_MS)
  })

  it('of whoever offends often are not flushed by any number of fresh keys', () => {
    const bans = new BanList()
    for (let n = 0; n < 10; n++) bans.add('old', n)
    for (let n = 0; n < 3 * MAX_BANS; n++) bans.add(`fresh ${n}`, 100)
    expect(bans.size).toBe(MAX_BANS)
    expect(bans.isBanned('old', BAN_MIN_MS * 100)).toBe(true)
    expect(bans.isBanned('fresh 0', 101)).toBe(false)
    expect(bans.isBanned(`fresh ${3 * MAX_BANS - 1}`, 101)).toBe(true)
    // And if all of them come again, those of longest standing make room.
    for (let n = 0; n < 2 * MAX_BANS; n++) for (let twice = 0; twice < 2; twice++) bans.add(`again ${n}`, 200)
    expect(bans.size).toBe(MAX_BANS)
  })
})

describe('claims', () => {
  const [a, b] = [{}, {}]

  it('are lost by who drips, and kept by who delivers', () => {
    const claims = new ClaimTable(() => {})
    expect(claims.claim('log', a, 0)).toBe(0)
    expect(claims.claim('log', b, 1000)).toBe(CLAIM_TIMEOUT_MS - 1000)
    claims.progress('log', a, CLAIM_PROGRESS_BYTES, 4000)
    expect(claims.claim('log', b, CLAIM_TIMEOUT_MS)).toBe(4000)
    for (let ms = 4000; ms < 9000; ms += 100) claims.progress('log', a, 100, ms)
    expect(claims.claim('log', b, 9000)).toBe(0)
    // Progress of one that has lost it renews nothing.
    claims.progress('log', a, CLAIM_PROGRESS_BYTES, 10_000)
    expect(claims.claim('log', a, 14_000)).toBe(0)
  })

  it('of any number of liars are over soon', () => {
    const claims = new ClaimTable(() => {})
    const honest = {}
    let now = 0
    for (let n = 0; n < 300; n++) {
      const liar = {}
      now += claims.claim('log', liar, now)
      // Claimed for good, and once more to no avail.
      expect(claims.claim('log', liar, now)).toBe(0)
      expect(claims.claim('log', liar, now)).toBe(0)
    }
    now += claims.claim('log', honest, now)
    expect(now).toBeLessThan(2 * CLAIM_TIMEOUT_MS + 300 * CLAIM_MIN_TIMEOUT_MS)
  })

  it('are not kept by a clock that is set back', () => {
    const claims = new ClaimTable(() => {})
    claims.claim('log', a, 1_000_000)
    expect(claims.claim('log', b, 0)).toBe(0)
  })
})

describe('budgets', () => {
  it('count a large control message for more than a small one', () => {
    const author = Buffer.alloc(32)
    const heads = Array.from({ length: 1000 }, () => ({ author, length: 1, start: 0, tag: Buffer.alloc(8) }))
    const count = (message: Parameters<ControlBudget['spend']>[0]): number => {
      const budget = new ControlBudget()
      let sent = 0
      while (budget.spend(message, 0)) sent++
      return sent
    }
    expect(count({ type: 'ping' })).toBe(CONTROL_BURST)
    const large = count({ type: 'heads', kind: 'news', heads })
    expect(large).toBe(Math.floor(CONTROL_BURST / (1 + Math.floor(1000 / CONTROL_ENTRIES))))
    // As many as it takes to tell of every log that there may be.
    expect(large * 1000).toBeGreaterThan(131_072)
  })

  it('give what was sent before once more, and then slowly', () => {
    const budget = new RepeatBudget()
    let given = 0
    for (let now = 0; now < 60_000;) {
      const wait = budget.wait(now)
      if (wait === 0) {
        budget.spend(65_536)
        given += 65_536
      }
      now += wait
    }
    expect(given).toBeGreaterThanOrEqual(REPEAT_BURST_BYTES + 59 * REPEAT_BYTES_PER_SECOND)
    expect(given).toBeLessThanOrEqual(REPEAT_BURST_BYTES + 61 * REPEAT_BYTES_PER_SECOND)
  })
})

describe('turns', () => {
  it('are given one in each round of the event loop, in order', async () => {
    const turns = new Turns()
    const order: number[] = []
    const rounds = new Rounds()
    await Promise.all(Array.from({ length: 10 }, (_, n) => turns.next(true).then(() => order.push(n))))
    rounds.stop()
    expect(order).toEqual(Array.from({ length: 10 }, (_, n) => n))
    expect(rounds.count).toBeGreaterThanOrEqual(9)
  })

  it('go to who brings news every other time, however many do not', async () => {
    const turns = new Turns()
    const order: string[] = []
    const idle = Array.from({ length: 300 }, () => turns.next(false).then(() => order.push('idle')))
    let useful = 0
    while (useful < 20) {
      await turns.next(true)
      order.push('useful')
      useful++
    }
    const last = order.lastIndexOf('useful')
    expect(last).toBeLessThan(45)
    await Promise.all(idle)
    expect(order).toHaveLength(320)
  })
})

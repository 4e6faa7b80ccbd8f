import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { AsyncQueue } from '../../src/base/async-queue.ts'
import { holdsAsync } from '../arbitraries.ts'

describe('AsyncQueue', () => {
  it('hands over in order, whoever comes first', async () => {
    const step = fc.constantFrom('push', 'take')
    await holdsAsync(
      fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
        const taken: number[] = []
        const queue = new AsyncQueue<number>((value) => taken.push(value))
        const results: Promise<number | null>[] = []
        let pushed = 0
        for (const one of steps) {
          if (one === 'push') expect(queue.push(pushed++)).toBe(true)
          else results.push(queue.take())
          expect(queue.size).toBe(Math.max(0, pushed - results.length))
          expect(taken).toHaveLength(Math.min(pushed, results.length))
        }
        queue.end()
        const expected = results.map((_, i) => (i < pushed ? i : null))
        expect(await Promise.all(results)).toEqual(expected)
        expect(taken).toEqual(expected.filter((value) => value !== null))
        for (let i = results.length; i < pushed; i++) expect(await queue.take()).toBe(i)
        expect(await queue.take()).toBe(null)
      }),
    )
  })

  it('stays in order over many thousand values, never empty in between', async () => {
    const queue = new AsyncQueue<number>()
    let next = 0
    let pushed = 0
    for (let round = 0; round < 3000; round++) {
      for (let i = 0; i < 5; i++) queue.push(pushed++)
      for (let i = 0; i < 4; i++) expect(await queue.take()).toBe(next++)
      expect(queue.size).toBe(pushed - next)
    }
    while (queue.size > 0) expect(await queue.take()).toBe(next++)
    expect(next).toBe(pushed)
  })

  it('takes undefined and null for values like any other', async () => {
    const queue = new AsyncQueue<undefined | null>()
    queue.push(undefined)
    queue.push(null)
    expect([queue.size, await queue.take(), await queue.take(), queue.size]).toEqual([2, undefined, null, 0])
  })

  it('gives what is queued after its end, and then null', async () => {
    const queue = new AsyncQueue<number>()
    queue.push(1)
    queue.end()
    expect(queue.ended).toBe(true)
    expect(queue.push(2)).toBe(false)
    expect([await queue.take(), await queue.take(), await queue.take()]).toEqual([1, null, null])
  })

  it('drops what is queued when it ends with discard, even if it had ended before', async () => {
    const taken: number[] = []
    const queue = new AsyncQueue<number>((value) => taken.push(value))
    queue.push(1)
    queue.push(2)
    queue.end()
    queue.end({ discard: true })
    queue.end()
    expect([queue.size, await queue.take()]).toEqual([0, null])
    expect(taken).toEqual([])
  })

  it('wakes everyone who waits when it ends', async () => {
    const queue = new AsyncQueue<number>()
    const waiting = [queue.take(), queue.take()]
    queue.end()
    expect(await Promise.all(waiting)).toEqual([null, null])
  })

  it('does not hold on to values that were taken', async () => {
    setFlagsFromString('--expose-gc')
    const collect = runInNewContext('gc') as () => void
    const queue = new AsyncQueue<object>()
    const references: WeakRef<object>[] = []
    for (let i = 0; i < 100; i++) {
      const value = { i }
      references.push(new WeakRef(value))
      queue.push(value)
    }
    for (let i = 0; i < 50; i++) await queue.take()
    await new Promise((resolve) => setTimeout(resolve, 5))
    collect()
    const alive = references.map((reference) => reference.deref() !== undefined)
    expect(alive.slice(50)).toEqual(Array(50).fill(true))
    // The engine may still have the very last one at hand.
    expect(alive.slice(0, 49)).toEqual(Array(49).fill(false))
    expect(queue.size).toBe(50)
  })

  it('takes a long backlog in time proportional to it', async () => {
    const queue = new AsyncQueue<number>()
    for (let i = 0; i < 1_000_000; i++) queue.push(i)
    const start = performance.now()
    for (let i = 0; i < 1_000_000; i++) void queue.take()
    expect(queue.size).toBe(0)
    expect(performance.now() - start).toBeLessThan(2000)
  })
})

import { afterEach, describe, expect, it, vi } from 'vitest'
import { dice } from '../../src/base/dice.ts'
import { Alarm } from '../../src/transport/alarm.ts'
import { SendQueue } from '../../src/transport/send-queue.ts'

describe('SendQueue', () => {
  const settled = async (promise: Promise<void>): Promise<string> => {
    const waiting = new Promise<string>((resolve) => setImmediate(() => resolve('waits')))
    return Promise.race([promise.then(() => 'sent').catch((error: Error) => error.message), waiting])
  }

  it('sends in order what there is room for, and lets callers go on once there is room for more', async () => {
    const queue = new SendQueue()
    const random = dice(1)
    const sent: number[] = []
    const resolved: number[] = []
    let room = 0
    const drain = (): boolean =>
      queue.drain(
        () => room > 0,
        true,
        (message) => {
          room--
          sent.push((message[0] as number) * 256 + (message[1] as number))
        },
      )
    let added = 0
    for (let i = 0; i < 5000; i++) {
      if (random() < 0.55) {
        const n = added++
        void queue.add(Uint8Array.of(n >> 8, n & 255)).then(() => resolved.push(n))
      } else {
        room = Math.floor(random() * 3)
        drain()
      }
      expect(queue.hasUnsent).toBe(sent.length < added)
    }
    room = Infinity
    expect(drain()).toBe(true)
    expect(drain()).toBe(false)
    expect(queue.isEmpty).toBe(true)
    await new Promise(setImmediate)
    const all = Array.from({ length: added }, (_, n) => n)
    expect(sent).toEqual(all)
    expect(resolved).toEqual(all)
  })

  it('leaves the sender of the last message waiting for room, unless there is nothing to wait for', async () => {
    for (const isOpen of [true, false]) {
      const queue = new SendQueue()
      const first = queue.add(Uint8Array.of(1))
      let room = 1
      queue.drain(
        () => room > 0,
        isOpen,
        () => room--,
      )
      expect(queue.hasUnsent).toBe(false)
      expect(await settled(first)).toBe(isOpen ? 'waits' : 'sent')
    }
  })

  it('ends with an error for what was not sent, and for what was only if the peer ended it', async () => {
    for (const closedHere of [true, false]) {
      const queue = new SendQueue()
      const done = queue.add(null)
      const unsent = queue.add(Uint8Array.of(1))
      queue.end(new Error('closed'), closedHere)
      expect(await settled(done)).toBe(closedHere ? 'sent' : 'closed')
      expect(await settled(unsent)).toBe('closed')
      expect(queue.isEmpty).toBe(true)
    }
  })
})

describe('Alarm', () => {
  afterEach(() => vi.useRealTimers())

  it('rings by the time it was last set to, once, and not at all after infinity', () => {
    vi.useFakeTimers()
    let rings = 0
    const alarm = new Alarm(Date.now, () => rings++)
    const start = Date.now()
    alarm.set(start + 100)
    alarm.set(start + 50)
    vi.advanceTimersByTime(49)
    expect(rings).toBe(0)
    vi.advanceTimersByTime(1)
    expect(rings).toBe(1)
    vi.advanceTimersByTime(1000)
    expect(rings).toBe(1)
    alarm.set(Date.now() + 10)
    alarm.set(Infinity)
    vi.advanceTimersByTime(1000)
    expect(rings).toBe(1)
    // The past is at once.
    alarm.set(start)
    vi.advanceTimersByTime(1)
    expect(rings).toBe(2)
  })

  it('keeps one timer however often it is pushed back', () => {
    vi.useFakeTimers()
    let rings = 0
    const alarm = new Alarm(Date.now, () => rings++)
    for (let i = 0; i < 1000; i++) {
      alarm.set(Date.now() + 100)
      expect(vi.getTimerCount()).toBe(1)
      vi.advanceTimersByTime(1)
      if (rings > 0) break
    }
    // Too early for the last: whoever is woken sets it again.
    expect(rings).toBe(1)
    expect(vi.getTimerCount()).toBe(0)
  })
})

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { MAX_INDEXED_SUBJECTS, READ_BATCH_BYTES, READ_BATCH_EVENTS } from '../../src/base/limits.ts'
import { parseSubjectPattern } from '../../src/event/subject.ts'
import type { EventStore } from '../../src/store/event-store.ts'
import type { Event } from '../../src/store/stored-event.ts'
import { Author, everything, item, openStore, sealed, SEED, seed } from './stores.ts'

function read(store: EventStore, pattern: string | null, from: number, reverse: boolean): Event[] {
  const batches = [...store.scan(pattern === null ? null : parseSubjectPattern(pattern), from, reverse)]
  for (const batch of batches) {
    expect(batch.length).toBeGreaterThan(0)
    expect(batch.length).toBeLessThanOrEqual(READ_BATCH_EVENTS)
  }
  return batches.flat()
}

/** What a reader would get that looks at every event there is. */
function naive(all: Event[], pattern: string | null, from: number, reverse: boolean): Event[] {
  const parsed = pattern === null ? null : parseSubjectPattern(pattern)
  const found = all.filter(({ subject, position }) => {
    return (parsed === null || parsed.matches(subject)) && (reverse ? position < from : position > from)
  })
  return reverse ? found.toReversed() : found
}

describe('scan', () => {
  it('holds no more than a few large events in memory at a time', async () => {
    const store = openStore()
    const data = new Uint8Array(700_000)
    for (let i = 0; i < 4; i++) await store.append(Array.from({ length: 5 }, (_, j) => item(`big/${j % 2}`, data)))
    for (const pattern of [null, 'big/0', 'big/*', 'b*/**']) {
      for (const reverse of [false, true]) {
        const parsed = pattern === null ? null : parseSubjectPattern(pattern)
        const batches = [...store.scan(parsed, reverse ? 1000 : 0, reverse)]
        for (const batch of batches) expect(batch.length * data.length).toBeLessThan(READ_BATCH_BYTES + 2 * data.length)
        expect(batches.flat().length).toBe(pattern === 'big/0' ? 12 : 20)
      }
    }
  })

  it('gives what a naive filter gives: any pattern, place and direction, with an index and without', async () => {
    const level = fc.constantFrom('a', 'ab', 'b', 'é', '\u{10ffff}', '\u{10ffff}x', '😀', ' ', 'z.z', '0')
    const subject = fc.array(level, { minLength: 1, maxLength: 3 }).map((levels) => levels.join('/'))
    const patternLevel = fc.oneof(level, fc.constantFrom('*', '**', 'a*', '*b', '\u{10ffff}*', '*.*'))
    const pattern = fc.option(fc.array(patternLevel, { minLength: 1, maxLength: 3 }).map((levels) => levels.join('/')))
    const property = fc.asyncProperty(
      fc.array(subject, { maxLength: 60 }),
      // More subjects than are read by their index, or none.
      fc.constantFrom(0, 3, MAX_INDEXED_SUBJECTS + 1, 4 * MAX_INDEXED_SUBJECTS + 1),
      fc.array(fc.tuple(pattern, fc.nat({ max: 130 }), fc.boolean()), { minLength: 1, maxLength: 12 }),
      async (subjects, more, reads) => {
        const store = openStore()
        const items = [...subjects, ...Array.from({ length: more }, (_, i) => `a/${i}`)]
        if (items.length > 0) await store.append(items.map((name, i) => item(name, i)))
        const all = everything(store)
        expect(all.map(({ subject }) => subject)).toEqual(items)
        for (const [wanted, from, reverse] of reads) {
          expect(read(store, wanted, from, reverse)).toEqual(naive(all, wanted, from, reverse))
        }
        store.close()
      },
    )
    await fc.assert(property, { seed: SEED, numRuns: 120 })
  })

  it('goes on over many batches, in both directions, from everywhere', async () => {
    const store = openStore()
    const count = 5 * READ_BATCH_EVENTS
    await store.append(Array.from({ length: count }, (_, i) => item(`s/${i % (i < 900 ? 10 : 40)}`, i)))
    const all = everything(store)
    expect(all).toHaveLength(count)
    for (const pattern of [null, 's/3', 's/*', 's/1*', '**', 's/**', 'none', 'none/**', 's/3/**', '*/39']) {
      for (const from of [0, 1, READ_BATCH_EVENTS - 1, READ_BATCH_EVENTS, 1000, count, count + 1, 10 * count]) {
        for (const reverse of [false, true]) {
          const ids = (events: Event[]): string[] => events.map(({ id }) => id)
          expect(ids(read(store, pattern, from, reverse))).toEqual(ids(naive(all, pattern, from, reverse)))
        }
      }
    }
  })

  it.each([null, 's/**', 's/0'])('misses and repeats nothing that is appended meanwhile (%s)', async (pattern) => {
    const store = openStore()
    const add = (n: number, from: number): Promise<Event[]> =>
      store.append(Array.from({ length: n }, (_, i) => item(pattern === 's/0' ? pattern : `s/${(from + i) % 100}`, i)))
    await add(READ_BATCH_EVENTS + 10, 0)
    let more = 8
    const seen: number[] = []
    for (const batch of store.scan(pattern === null ? null : parseSubjectPattern(pattern), 0, false)) {
      seen.push(...batch.map(({ position }) => position))
      // Also while the last batch is being handled: it is not the last any more then.
      if (more-- > 0) await add(more % 3 === 0 ? READ_BATCH_EVENTS : 7, more)
    }
    expect(seen).toEqual(Array.from({ length: store.position }, (_, i) => i + 1))
    for (const batch of store.scan(null, 10, true)) {
      await add(3, 0)
      expect(batch.map(({ position }) => position)).toEqual([9, 8, 7, 6, 5, 4, 3, 2, 1])
    }
  })

  it('ends with an error that says so when the store is closed under it', async () => {
    const store = openStore()
    await store.append(Array.from({ length: 3 * READ_BATCH_EVENTS }, () => item('a')))
    const scans = [store.scan(null, 0, false), store.scanByClock(null)]
    for (const scan of scans) expect(scan.next().done).toBe(false)
    store.close()
    for (const scan of scans) expect(() => scan.next()).toThrow(/closed/)
  })
})

describe('scanByClock', () => {
  const order = (a: Event & { tick: number }, b: Event & { tick: number }): number =>
    a.timestamp - b.timestamp || a.tick - b.tick || (a.author < b.author ? -1 : a.author > b.author ? 1 : a.seq - b.seq)

  it('gives (time, tick, author, seq), with ties across the bounds of batches', () => {
    const step = fc.tuple(fc.constantFrom(0, 0, 0, 1), fc.constantFrom(1, 1, 1, 2))
    const log = fc.array(step, { minLength: 1, maxLength: 150 })
    const property = fc.property(fc.array(log, { minLength: 2, maxLength: 8 }), (logs) => {
      const ticks = new Map<string, number>()
      const store = openStore({ keys: sealed })
      const authors = logs.map((steps, n) => {
        const one = new Author(n, sealed)
        let [time, tick] = [1000, 0]
        for (const [later, more] of steps) {
          ;[time, tick] = later > 0 ? [time + later, 0] : [time, tick + more]
          one.write({ time, tick, subject: `s/${tick % 5}` })
          ticks.set(one.ids.at(-1) as string, tick)
        }
        return one
      })
      // Arrival in another order than that of the clocks.
      for (const one of authors.toReversed()) expect(store.ingest([one.run()])).toEqual(['stored'])
      const all = everything(store).map((event) => ({ ...event, tick: ticks.get(event.id) as number }))
      const ids = (events: Event[]): string[] => events.map(({ id }) => id)
      expect(ids([...store.scanByClock(null)].flat())).toEqual(ids(all.toSorted(order)))
      const some = all.filter(({ subject }) => subject === 's/1')
      expect(ids([...store.scanByClock(parseSubjectPattern('s/1'))].flat())).toEqual(ids(some.toSorted(order)))
      expectAllPlaces(store, all.toSorted(order))
      store.close()
    })
    fc.assert(property, { seed: SEED, numRuns: 30 })
  })

  /** Reads on from, and back from, a hundred of the places there are. */
  function expectAllPlaces(store: EventStore, sorted: Event[]): void {
    const ids = (events: Event[]): string[] => events.map(({ id }) => id)
    expect(ids([...store.scanByClock(null, null, true)].flat())).toEqual(ids(sorted.toReversed()))
    for (let i = 0; i < sorted.length; i += Math.ceil(sorted.length / 100)) {
      const { position } = sorted[i] as Event
      expect(ids([...store.scanByClock(null, position)].flat())).toEqual(ids(sorted.slice(i + 1)))
      expect(ids([...store.scanByClock(null, position, true)].flat())).toEqual(ids(sorted.slice(0, i).toReversed()))
    }
    expect([...store.scanByClock(null, 0, true)].flat()).toEqual([])
    expect([...store.scanByClock(null, 0)].flat()).toHaveLength(sorted.length)
  }

  it('goes on from everywhere where some events can not be read, and logs lie in many pieces', () => {
    const step = fc.record({
      author: fc.nat({ max: 3 }),
      kinds: fc.array(fc.constantFrom('event', 'event', 'garbage', 'late'), { minLength: 1, maxLength: 6 }),
      time: fc.nat({ max: 3 }),
    })
    const property = fc.property(fc.array(step, { minLength: 1, maxLength: 60 }), (steps) => {
      const store = openStore()
      const authors = [0, 1, 2, 3].map((n) => new Author(n))
      const times = [1, 1, 1, 1]
      for (const { author, kinds, time } of steps) {
        const one = authors[author] as Author
        const from = one.length
        for (const kind of kinds) {
          if (kind === 'garbage') one.writeGarbage()
          else one.write({ time: kind === 'late' ? 1 : (times[author] = (times[author] as number) + 1 + time) })
        }
        expect(store.ingest([one.run(from)])).toEqual(['stored'])
      }
      const sorted = everything(store).toSorted((a, b) => order({ ...a, tick: 0 }, { ...b, tick: 0 }))
      expectAllPlaces(store, sorted)
      // A position that can't be read stands where the one before it stands, which then is not left out backwards.
      const readable = new Set(sorted.map(({ position }) => position))
      for (let position = 1; position <= store.position + 1; position++) {
        if (readable.has(position)) continue
        const before = Math.max(0, ...[...readable].filter((other) => other < position))
        const i = sorted.findIndex((event) => event.position === before)
        expect([...store.scanByClock(null, position)].flat()).toEqual(sorted.slice(i + 1))
        expect([...store.scanByClock(null, position, true)].flat()).toEqual(sorted.slice(0, i + 1).toReversed())
      }
      store.close()
    })
    fc.assert(property, { seed: SEED, numRuns: 60 })
  })

  it('lets others have their turn where nothing matches', async () => {
    const store = openStore()
    await store.append(Array.from({ length: 10_000 }, (_, i) => item(i === 9999 ? 'b' : 'a')))
    const clock = [...store.scanByClock(parseSubjectPattern('b'))]
    expect(clock.length).toBeGreaterThan(3)
    expect(clock.flat()).toHaveLength(1)
  })

  it('keeps hundreds of events of one clock together', () => {
    const store = openStore()
    const authors = Array.from({ length: 250 }, (_, n) =>
      new Author(n).write({ time: 5 }).write({ time: 7 }).write({ time: 7, tick: 1 }),
    )
    for (const one of authors) store.ingest([one.run()])
    const sorted = authors.map(({ hex }) => hex).toSorted()
    const events = [...store.scanByClock(null)].flat()
    expect(events.map(({ author, seq }) => [author, seq])).toEqual(
      [0, 1, 2].flatMap((seq) => sorted.map((hex) => [hex, seq])),
    )
  })

  it('is the same on every replica', async () => {
    const [a, b] = [openStore({ authorSeed: seed(0) }), openStore({ authorSeed: seed(1) })]
    for (let i = 0; i < 20; i++) {
      await a.append([item('a', i)])
      await b.append([item('b', i), item('b', i)])
      if (i % 4 === 0) b.ingest([a.readRun(a.author, 0, 1e9, false) as never])
    }
    a.ingest([b.readRun(b.author, 0, 1e9, false) as never])
    b.ingest([a.readRun(a.author, 0, 1e9, false) as never])
    const ids = (store: EventStore): string[] => [...store.scanByClock(null)].flat().map(({ id }) => id)
    expect(ids(a)).toEqual(ids(b))
    expect(a.frontierRoot()).toEqual(b.frontierRoot())
  })
})

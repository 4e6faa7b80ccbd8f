import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Run } from '../../src/event/run.ts'
import { Author, everything, expectSound, item, openStore, runsOf, SEED, tempFile } from './stores.ts'

const TIME = 1_700_000_000_000

function author(number: number, events: number): Author {
  const made = new Author(number)
  for (let i = 0; i < events; i++) made.write()
  return made
}

describe('a log that begins in the middle', () => {
  it('holds what came with it and what continues it, also after a restart', async () => {
    const path = tempFile()
    const ada = author(0, 60)
    const store = openStore({ path, beginning: { last: 10 } })
    expect(store.ingest([ada.run(40, 50, true), ada.run(50, 55)])).toEqual(['stored', 'stored'])
    expect(store.log(ada.hex)).toMatchObject({ start: 40, mmr: { length: 55 } })
    expectSound(store)
    store.close()
    const again = openStore({ path })
    expect(again.log(ada.hex)).toMatchObject({ start: 40, mmr: { length: 55 } })
    expect(again.ingest([ada.run(55, 60)])).toEqual(['stored'])
    expect(everything(again).map(({ id }) => id)).toEqual(ada.ids.slice(40))
    expect([...again.scanByClock(null)].flat().map(({ id }) => id)).toEqual(ada.ids.slice(40))
    expect([again.get(ada.ids[39] as string), again.get(ada.ids[40] as string)?.seq]).toEqual([null, 40])
    expect(again.readRun(ada.hex, 39, 1000, false)).toBe(null)
    expect(again.readRun(ada.hex, 40, 1000, true)?.peaks).toEqual(ada.mmrs[40]?.peaks())
    expectSound(again)
    const whole = openStore()
    whole.ingest([ada.run()])
    expect(again.frontierRoot()).toEqual(whole.frontierRoot())
  })

  it('begins only where its author has signed it, and only if logs may', () => {
    const [ada, eve] = [author(0, 60), author(0, 60).write({ data: Buffer.from('"other"') })]
    const run = ada.run(40, 50, true)
    expect(openStore().ingest([run])).toEqual(['gap'])
    const store = openStore({ beginning: { last: 10 } })
    const wrong = Buffer.from(run.peaks as Buffer)
    wrong[5] = (wrong[5] as number) ^ 1
    expect(store.ingest([{ ...run, peaks: wrong }])).toEqual(['invalid'])
    expect(store.ingest([{ ...run, signature: ada.run(0, 49).signature }])).toEqual(['invalid'])
    expect(
      store.ingest([{ ...run, author: eve.run(40, 50).author, from: 41, peaks: eve.mmrs[41]?.peaks() ?? null }]),
    ).toEqual(['invalid'])
    expect(store.ingest([{ ...run, events: [] }])).toEqual(['gap'])
    expect(store.ingest([ada.run(40, 50)])).toEqual(['gap'])
    expect(store.logs()).toEqual([])
    expect(store.position).toBe(0)
  })

  it('knows what overlaps it, and what contradicts it, wherever that begins', () => {
    const ada = author(0, 60)
    const other = author(0, 30).write({ data: Buffer.from('"other"') })
    for (let i = 0; i < 40; i++) other.write()
    const begun = (): ReturnType<typeof openStore> => {
      const store = openStore({ beginning: { last: 10 } })
      store.ingest([ada.run(40, 50, true)])
      return store
    }
    for (const [run, status] of [
      [ada.run(0, 30), 'duplicate'],
      [ada.run(0, 30, true), 'duplicate'],
      [ada.run(0, 45, true), 'duplicate'],
      [ada.run(30, 50, true), 'duplicate'],
      [ada.run(30, 60, true), 'stored'],
      [ada.run(0, 60), 'stored'],
      [ada.run(50, 60, true), 'stored'],
      // The other history, as far as it can be compared.
      [other.run(10, 20, true), 'duplicate'],
      [other.run(20, 45, true), 'forked'],
      [other.run(20, 60, true), 'forked'],
      [other.run(45, 60, true), 'forked'],
      [other.run(50, 60), 'unverified'],
    ] as [Run, string][]) {
      const store = begun()
      expect(store.ingest([run]), `${run.from}, ${run.events.length}, ${run.peaks === null}`).toEqual([status])
      expectSound(store)
      const proof = store.log(ada.hex)?.fork ?? null
      if (proof !== null) expect(openStore().ingestForkProof(proof)).toBe(true)
    }
  })

  it('may be our own: what was appended before is continued', async () => {
    const origin = openStore({ authorSeed: Buffer.alloc(32, 9) })
    await origin.append(Array.from({ length: 20 }, (_, i) => item('a', i)))
    const store = openStore({ authorSeed: Buffer.alloc(32, 9), beginning: { last: 5 } })
    store.ingest([origin.readRun(origin.author, 15, 1e6, true) as Run])
    const [event] = await store.append([item('a', 'on')])
    expect(event).toMatchObject({ seq: 20, local: true })
    expect(origin.ingest(runsOf(store, 1e6, () => 20))).toEqual(['stored'])
    expect(origin.frontierRoot()).toEqual(store.frontierRoot())
    expectSound(store)
  })

  it('that is far ahead of our clock is held back whole, and begins when its time comes', () => {
    let now = TIME
    const path = tempFile()
    const ada = new Author(0)
    for (let i = 0; i < 20; i++) ada.write({ time: TIME + 3_600_000 + i })
    const store = openStore({ path, beginning: { last: 5 }, now: () => now })
    expect(store.ingest([ada.run(15, 20, true)])).toEqual(['held'])
    store.close()
    now += 7_200_000
    const again = openStore({ path, beginning: { last: 5 }, now: () => now })
    expect(again.releaseHeld()).toBe(null)
    expect(again.log(ada.hex)).toMatchObject({ start: 15, mmr: { length: 20 } })
    expectSound(again)
  })
})

describe('places in a log', () => {
  it('by time and by position are those that a walk through it finds', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.integer({ min: 0, max: 2 }), fc.integer({ min: 1, max: 4 })), {
          minLength: 1,
          maxLength: 30,
        }),
        fc.array(fc.boolean(), { minLength: 1, maxLength: 7 }),
        fc.integer({ min: 0, max: 3 }),
        (turns, readable, first) => {
          const store = openStore({ beginning: { last: 1 } })
          const authors = [new Author(0), new Author(1), new Author(2)]
          const lengths: Map<string, number>[] = [new Map()]
          let clock = TIME
          for (const one of authors) for (let i = 0; i < first; i++) one.write({ time: (clock += 10) })
          for (const [turn, count] of turns) {
            const one = authors[turn] as Author
            const from = one.length
            for (let i = 0; i < count; i++) {
              if (readable[clock % readable.length] === true) one.write({ time: (clock += 10) })
              else one.writeGarbage()
            }
            expect(store.ingest([one.run(from, one.length, true)])).toEqual(['stored'])
            for (let i = 1; i <= count; i++) {
              lengths.push(new Map(lengths.at(-1)).set(one.hex, from + i))
            }
          }
          for (const [position, known] of lengths.entries()) {
            for (const { hex } of authors) expect(store.lengthAt(hex, position)).toBe(known.get(hex) ?? 0)
            const since = store.logsSince(position).map(({ hex }) => hex)
            const grown = authors.filter(({ hex }) => (known.get(hex) ?? 0) < (lengths.at(-1)?.get(hex) ?? 0))
            expect(new Set(since)).toEqual(new Set(grown.map(({ hex }) => hex)))
          }
          for (const log of store.logs()) {
            const events = everything(store).filter((event) => event.author === log.hex)
            for (let time = TIME - 5; time < clock + 15; time += 10) {
              const seq = store.seqBefore(log.hex, time)
              const last = events.findLast(({ timestamp }) => timestamp < time)
              // At the last event before, or so that only what can't be read is left out after it.
              expect(seq).toBeGreaterThanOrEqual(log.start)
              const skipped = events.filter((event) => event.seq > (last?.seq ?? -1) && event.seq < seq)
              expect(skipped).toEqual([])
              if (last === undefined) expect(events.filter((event) => event.seq < seq)).toEqual([])
            }
          }
        },
      ),
      { seed: SEED, numRuns: 60 },
    )
  })
})

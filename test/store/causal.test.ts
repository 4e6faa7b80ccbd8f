import Sqlite from 'better-sqlite3'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { READ_BATCH_BYTES, READ_BATCH_EVENTS } from '../../src/base/limits.ts'
import type { Link } from '../../src/event/event.ts'
import { decodeEventBody, decodeEventHeader } from '../../src/event/event.ts'
import { encodeForkProof } from '../../src/event/fork.ts'
import type { Run } from '../../src/event/run.ts'
import { parseSubjectPattern } from '../../src/event/subject.ts'
import type { EventStore } from '../../src/store/event-store.ts'
import type { Event } from '../../src/store/stored-event.ts'
import {
  Author,
  byAuthor,
  everything,
  expectSound,
  item,
  lengths,
  linksOf,
  open,
  openStore,
  runsOf,
  sealed,
  SEED,
  seed,
  tempFile,
} from './stores.ts'

/** An event as it comes in: what is known of it before it is stored. */
interface Arrival {
  author: string
  seq: number
  /** Of a readable event. */
  links: { author: string; seq: number }[]
  readable: boolean
}

/** What the order is meant to be, in the most obvious way: of all that can be delivered, what arrived first. */
class Model {
  readonly order: Arrival[] = []
  readonly delivered = new Map<string, number>()
  readonly #length = new Map<string, number>()
  readonly #frozen = new Set<string>()
  #waiting: Arrival[] = []

  arrive(event: Arrival): void {
    this.#length.set(event.author, event.seq + 1)
    this.#waiting.push(event)
    this.#deliver()
  }

  freeze(author: string): void {
    this.#frozen.add(author)
    this.#deliver()
  }

  get waiting(): Map<string, number> {
    const counts = new Map<string, number>()
    for (const { author } of this.#waiting) counts.set(author, (counts.get(author) ?? 0) + 1)
    return counts
  }

  #deliver(): void {
    for (let next; (next = this.#waiting.find((event) => this.#isReady(event))) !== undefined;) {
      const delivered = next
      this.#waiting = this.#waiting.filter((event) => event !== delivered)
      this.order.push(delivered)
      this.delivered.set(delivered.author, delivered.seq + 1)
    }
  }

  #isReady({ author, seq, links }: Arrival): boolean {
    if ((this.delivered.get(author) ?? 0) !== seq) return false
    return links.every((link) => {
      const last = (this.#length.get(link.author) ?? 0) - 1
      const wanted = this.#frozen.has(link.author) ? Math.min(link.seq, last) : link.seq
      return (this.delivered.get(link.author) ?? 0) > wanted
    })
  }
}

/** Events of a run, decoded here once more. A body whose clock does not advance counts as unreadable. */
function arrivals(run: Run, clocks: Map<string, number>): Arrival[] {
  return run.events.map((bytes, i) => {
    const author = run.author.toString('hex')
    const header = decodeEventHeader(bytes)
    if (typeof header === 'string') throw new Error(header)
    const body = decodeEventBody(bytes, header, null)
    const clock = typeof body === 'string' ? 0 : body.time * 65_536 + body.tick
    const readable = clock > (clocks.get(author) ?? 0)
    if (readable) clocks.set(author, clock)
    const links = typeof body === 'string' || !readable ? [] : body.links
    return {
      author,
      seq: run.from + i,
      readable,
      links: links.map((link) => ({ author: link.author.toString('hex'), seq: link.seq })),
    }
  })
}

function causal(store: EventStore, from = 0, reverse = false, pattern: string | null = null): Event[] {
  const parsed = pattern === null ? null : parseSubjectPattern(pattern)
  const batches = [...store.scan(parsed, from, reverse, 'causal')]
  for (const batch of batches) expect(batch.length).toBeLessThanOrEqual(READ_BATCH_EVENTS)
  return batches.flat()
}

/** Author and seq: which event it is. */
function named(events: readonly { author: string; seq: number }[]): string[] {
  return events.map(({ author, seq }) => `${author.slice(0, 8)} ${seq}`)
}

function link(author: { keyPair: { publicKey: Buffer } }, seq: number): Link {
  return { author: author.keyPair.publicKey, seq, time: 1, tick: 0 }
}

/** That another history was signed under the key of this author. */
function forkProof(number: number, one: Author): Buffer {
  const other = new Author(number).write({ subject: 'other' }).write()
  return encodeForkProof(one.run(1, 2, true), other.run(1, 2, true))
}

/** How many rows a table of a store's file has, looked up beside it. */
function rowsIn(path: string, table: 'causal' | 'waiting'): number {
  const db = new Sqlite(path, { readonly: true })
  const count = db.prepare<[], number>(`SELECT count(*) FROM ${table}`).pluck().get() as number
  db.close()
  return count
}

/** Follows a store in causal order: what it is given by and by. */
class Follower {
  readonly seen: Event[] = []

  read(store: EventStore): void {
    const last = this.seen.at(-1)
    this.seen.push(...causal(store, store.place('causal', last?.position ?? null, false)))
  }
}

type Operation =
  | { do: 'ingest'; parts: { author: number; events: number }[] }
  | { do: 'freeze'; author: number }
  | { do: 'fail'; parts: { author: number; events: number }[] }
  | { do: 'reopen' }

const AUTHORS = 5
const parts = fc.array(fc.record({ author: fc.nat({ max: AUTHORS - 1 }), events: fc.integer({ min: 1, max: 6 }) }), {
  minLength: 1,
  maxLength: 4,
})
const operation: fc.Arbitrary<Operation> = fc.oneof(
  { weight: 12, arbitrary: fc.record({ do: fc.constant('ingest' as const), parts }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('freeze' as const), author: fc.nat({ max: AUTHORS - 1 }) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('fail' as const), parts }) },
  { weight: 2, arbitrary: fc.constant({ do: 'reopen' as const }) },
)

/** Events with links to anything: what is here, what will be, what never comes; and some that can't be read. */
const event = fc.record({
  kind: fc.constantFrom('plain', 'plain', 'linked', 'linked', 'linked', 'garbage', 'late'),
  links: fc.array(fc.record({ author: fc.nat({ max: AUTHORS }), back: fc.integer({ min: -2, max: 6 }) }), {
    maxLength: 4,
  }),
})

function history(logs: (typeof event extends fc.Arbitrary<infer T> ? T : never)[][]): Author[] {
  const authors = Array.from({ length: AUTHORS + 1 }, (_, n) => new Author(n))
  for (const [n, events] of logs.entries()) {
    const one = authors[n] as Author
    for (const [i, { kind, links }] of events.entries()) {
      // Mostly what was written about then, sometimes later; the last author has written nothing.
      const unique = new Map(links.map(({ author, back }) => [author, back]))
      const sorted = [...unique]
        .map(([author, back]) => link(authors[author] as Author, Math.max(0, i - back)))
        .toSorted((a, b) => Buffer.compare(a.author, b.author))
      if (kind === 'garbage') one.writeGarbage()
      else if (kind === 'late') one.write({ time: 2, links: sorted })
      else one.write({ subject: `s/${i % 3}`, links: kind === 'linked' ? sorted : [] })
    }
  }
  return authors
}

describe('the causal order', () => {
  it(
    'is what a model says, whatever arrives however, over restarts, failures and forks',
    { timeout: 120_000 },
    async () => {
      const logs = fc.array(fc.array(event, { minLength: 2, maxLength: 25 }), {
        minLength: AUTHORS,
        maxLength: AUTHORS,
      })
      const property = fc.property(logs, fc.array(operation, { maxLength: 60 }), (logs, operations) => {
        const authors = history(logs)
        const path = tempFile()
        const reopen = (): EventStore => openStore({ path, authorSeed: seed(100) })
        let store = reopen()
        const model = new Model()
        const clocks = new Map<string, number>()
        const followers = [new Follower(), new Follower()] as const
        for (const [i, operation] of operations.entries()) {
          if (operation.do === 'ingest' || operation.do === 'fail') {
            const next = lengths(store)
            const runs = operation.parts.flatMap(({ author, events }) => {
              const one = authors[author] as Author
              const from = next.get(one.hex) ?? 0
              const to = Math.min(one.length, from + events)
              next.set(one.hex, to)
              return to === from || store.log(one.hex)?.fork != null ? [] : [one.run(from, to)]
            })
            if (operation.do === 'fail') {
              const bug = { ...(authors[AUTHORS] as Author).write().run(), signature: null } as unknown as Run
              expect(() => store.ingest([...runs, bug])).toThrow()
            } else {
              expect(new Set(store.ingest(runs)).has('stored')).toBe(runs.length > 0)
              for (const arrival of runs.flatMap((run) => arrivals(run, clocks))) model.arrive(arrival)
            }
          } else if (operation.do === 'freeze') {
            const one = authors[operation.author] as Author
            expect(store.ingestForkProof(forkProof(operation.author, one))).toBe(true)
            model.freeze(one.hex)
          } else {
            store.close()
            store = reopen()
          }
          const expected = model.order.filter(({ readable }) => readable)
          expect(named(causal(store))).toEqual(named(expected))
          expect(store.end('causal')).toBe(model.order.length)
          expect(store.waiting()).toEqual(model.waiting)
          if (i % 3 === 0) followers[0].read(store)
          followers[1].read(store)
        }
        const all = causal(store)
        followers[0].read(store)
        for (const { seen } of followers) expect(seen).toEqual(all)
        store.close()
        store = reopen()
        expect(causal(store)).toEqual(all)
        expect(causal(store, store.place('causal', null, true), true)).toEqual(all.toReversed())
        for (const [i, { position }] of all.entries()) {
          expect(named(causal(store, store.place('causal', position, false)))).toEqual(named(all.slice(i + 1)))
          const before = causal(store, store.place('causal', position, true), true)
          expect(named(before)).toEqual(named(all.slice(0, i).toReversed()))
        }
        for (const reverse of [false, true]) {
          const some = causal(store, store.place('causal', null, reverse), reverse, 's/1')
          const wanted = all.filter(({ subject }) => subject === 's/1')
          expect(named(some)).toEqual(named(reverse ? wanted.toReversed() : wanted))
        }
        expectSound(store)
        store.close()
      })
      fc.assert(property, { seed: SEED, numRuns: 120 })
    },
  )

  it('holds every event of replicas that exchange what they like, after its causes, and waits for nothing in the end', () => {
    const step = fc.record({
      who: fc.nat({ max: 3 }),
      from: fc.nat({ max: 3 }),
      events: fc.integer({ min: 1, max: 3 }),
      shares: fc.array(fc.nat({ max: 40 }), { minLength: 4, maxLength: 4 }),
    })
    const property = fc.asyncProperty(
      fc.array(step, { minLength: 5, maxLength: 40 }),
      fc.array(fc.record({ log: fc.nat({ max: 3 }), events: fc.integer({ min: 1, max: 4 }) }), { maxLength: 100 }),
      async (steps, deliveries) => {
        let now = 1_800_000_000_000
        const writers = [0, 1, 2, 3].map((n) => openStore({ authorSeed: seed(n), keys: sealed, now: () => now }))
        for (const { who, from, events, shares } of steps) {
          now++
          const [writer, other] = [writers[who], writers[from]] as [EventStore, EventStore]
          for (const [i, { hex, mmr }] of other.logs().entries()) {
            const have = lengths(writer).get(hex) ?? 0
            // A prefix: some of the segments after what is here.
            for (let seq = have; seq < Math.min(mmr.length, have + (shares[i] ?? 0));) {
              const run = other.readRun(hex, seq, 1, false) as Run
              writer.ingest([run])
              seq += run.events.length
            }
          }
          const delivered = await writer.append(Array.from({ length: events }, () => item('a')))
          // Our own is delivered at once.
          expect(causal(writer).slice(-events)).toEqual(delivered)
        }
        const full = openStore({ keys: sealed })
        for (const writer of writers) full.ingest(runsOf(writer, 1))
        const reader = openStore({ keys: sealed })
        const all = full.logs().map(({ hex }) => hex)
        const give = (hex: string, events: number): void => {
          const to = Math.min(lengths(full).get(hex) ?? 0, (lengths(reader).get(hex) ?? 0) + events)
          for (let seq; (seq = lengths(reader).get(hex) ?? 0) < to;) {
            reader.ingest([full.readRun(hex, seq, 1, false) as Run])
          }
        }
        for (const { log, events } of deliveries) if (all[log] !== undefined) give(all[log], events)
        for (const hex of all.toReversed()) give(hex, Infinity)
        expect(reader.waiting()).toEqual(new Map())
        const order = causal(reader)
        expect(order.map(({ id }) => id).toSorted()).toEqual(
          everything(full)
            .map(({ id }) => id)
            .toSorted(),
        )
        const place = new Map(order.map(({ author, seq }, i) => [`${author} ${seq}`, i]))
        for (const [i, { author, seq }] of order.entries()) {
          if (seq > 0) expect(place.get(`${author} ${seq - 1}`)).toBeLessThan(i)
          for (const cause of linksOf(reader, author, seq, sealed)) {
            expect(place.get(`${cause.author.toString('hex')} ${cause.seq}`)).toBeLessThan(i)
          }
        }
        for (const store of [...writers, full, reader]) store.close()
      },
    )
    return fc.assert(property, { seed: SEED, numRuns: 40 })
  })

  it('is that of arrival, and costs no row, as long as causes come first', async () => {
    const path = tempFile()
    const store = openStore({ path, authorSeed: seed(9) })
    const [one, two] = [new Author(0).write().write(), new Author(1)]
    store.ingest([one.run()])
    two.write({ links: [link(one, 1)] }).write()
    store.ingest([two.run()])
    await store.append([item('a'), item('b')])
    const own = { keyPair: { publicKey: Buffer.from(store.author, 'hex') } }
    const both = [link(two, 1), link(own, 1)].toSorted((a, b) => Buffer.compare(a.author, b.author))
    store.ingest([one.write({ links: both }).write().run()])
    expect(causal(store)).toHaveLength(8)
    expect(causal(store)).toEqual(everything(store))
    store.close()
    expect([rowsIn(path, 'causal'), rowsIn(path, 'waiting')]).toEqual([0, 0])
  })

  it('goes on after a restart in the middle of waiting, and returns to the order of arrival afterwards', () => {
    const path = tempFile()
    let store = openStore({ path })
    const [one, two] = [new Author(0), new Author(1)]
    one.write().write()
    two
      .write()
      .write({ links: [link(one, 1)] })
      .write()
    store.ingest([two.run()])
    expect(named(causal(store))).toEqual(named([{ author: two.hex, seq: 0 }]))
    expect(store.waiting()).toEqual(new Map([[two.hex, 2]]))
    store.close()
    expect([rowsIn(path, 'causal'), rowsIn(path, 'waiting')]).toEqual([0, 1])
    store = openStore({ path })
    expect(store.waiting()).toEqual(new Map([[two.hex, 2]]))
    store.ingest([one.run(0, 1)])
    store.ingest([one.run(1, 2)])
    expect(causal(store).map(({ position }) => position)).toEqual([1, 4, 5, 2, 3])
    for (let i = 0; i < 100; i++) store.ingest([one.write().run(i + 2)])
    store.close()
    expect([rowsIn(path, 'causal'), rowsIn(path, 'waiting')]).toEqual([3, 0])
  })

  it('takes a position that is no event of its own for the nearest one before', () => {
    const store = openStore()
    const [one, two] = [new Author(0).write(), new Author(1)]
    two.write({ links: [link(one, 0)] }).write({ links: [link(one, 7)] })
    store.ingest([two.run(), one.run()])
    const positions = (after: number, reverse: boolean): number[] =>
      causal(store, store.place('causal', after, reverse), reverse).map(({ position }) => position)
    // In causal order: 3, 1; and 2 waits.
    expect([0, 3, 1, 2, 4, 99].map((after) => positions(after, false))).toEqual([[3, 1], [1], [], [], [1], [1]])
    expect([0, 3, 1, 2, 4, 99].map((after) => positions(after, true))).toEqual([[], [], [3], [1, 3], [3], [3]])
  })

  it('gives batches of no more events and bytes than others', () => {
    const store = openStore({ keys: sealed })
    const [one, two] = [new Author(0, sealed), new Author(1, sealed)]
    const data = Buffer.alloc(400_000)
    for (let i = 0; i < 40; i++) {
      one.write({ time: 1000 + i, json: false, data })
      two.write({ time: 2000 + i, json: false, data, subject: `s/${i % 2}`, links: [link(one, i)] })
    }
    store.ingest([two.run()])
    for (let i = 0; i < 40; i++) store.ingest([one.run(i, i + 1)])
    expect(named(causal(store))).toEqual(
      named(Array.from({ length: 80 }, (_, i) => ({ author: [one.hex, two.hex][i % 2] as string, seq: i >> 1 }))),
    )
    for (const [pattern, count] of [
      [null, 80],
      [parseSubjectPattern('s/*'), 40],
      [parseSubjectPattern('s/1'), 20],
    ] as const) {
      for (const reverse of [false, true]) {
        for (const order of ['causal', 'clock'] as const) {
          const scan =
            order === 'clock'
              ? store.scanByClock(pattern, null, reverse)
              : store.scan(pattern, reverse ? 1000 : 0, reverse, order)
          const batches = [...scan]
          for (const batch of batches)
            expect(batch.length * data.length).toBeLessThan(READ_BATCH_BYTES + 2 * data.length)
          expect(batches.flat()).toHaveLength(count)
        }
      }
    }
  })
})

describe('what never comes', () => {
  it('is waited for by its author alone: nobody honest links to what waits', async () => {
    const [liar, gone] = [new Author(0), new Author(1)]
    liar
      .write()
      .write({ links: [link(gone, 5)] })
      .write()
    const honest = openStore({ authorSeed: seed(10) })
    const observer = openStore({ authorSeed: seed(11) })
    expect(honest.ingest([liar.run(0, 3)])).toEqual(['stored'])
    await honest.append([item('a')])
    expect(linksOf(honest, honest.author, 0)).toEqual([{ ...link(liar, 0), time: 1_700_000_000_000 }])
    // Nor after more of it, or a restart.
    liar.write()
    honest.ingest([liar.run()])
    await honest.append([item('b')])
    expect(linksOf(honest, honest.author, 1)).toEqual([])
    observer.ingest([liar.run(), honest.readRun(honest.author, 0, 1e9, false) as Run])
    expect(named(causal(observer))).toEqual(
      named([
        { author: liar.hex, seq: 0 },
        { author: honest.author, seq: 0 },
        { author: honest.author, seq: 1 },
      ]),
    )
    expect(observer.waiting()).toEqual(new Map([[liar.hex, 3]]))
    expect(named(everything(observer))).toHaveLength(6)
    // And if it does come, it is delivered, and then linked.
    for (let i = 0; i < 6; i++) gone.write()
    honest.ingest([gone.run()])
    expect(honest.waiting()).toEqual(new Map())
    await honest.append([item('c')])
    expect(linksOf(honest, honest.author, 2).map(({ author, seq }) => [author.toString('hex'), seq])).toEqual(
      byAuthor([
        [liar.hex, 3],
        [gone.hex, 5],
      ] as [string, number][]),
    )
  })

  it('is not linked after a restart either, but what was delivered meanwhile is', async () => {
    const path = tempFile()
    let store = openStore({ path, authorSeed: seed(10) })
    const [one, two, three] = [new Author(0), new Author(1).write(), new Author(2)]
    const garbage = new Author(3)
      .writeGarbage()
      .writeGarbage()
      .write({ links: [link(three, 9)] })
    one
      .write()
      .write({ links: [link(two, 0)] })
      .write()
      .writeGarbage()
      .write({ links: [link(three, 0)] })
    store.ingest([one.run(), garbage.run()])
    await store.append([item('a')])
    expect(linksOf(store, store.author, 0).map(({ seq }) => seq)).toEqual([0])
    // Delivers of the first log what arrived before our event: all up to the garbage.
    store.ingest([two.run()])
    store.close()
    store = openStore({ path, authorSeed: seed(10) })
    await store.append([item('b')])
    expect(linksOf(store, store.author, 1).toSorted((a, b) => a.seq - b.seq)).toEqual([
      { ...link(two, 0), time: 1_700_000_000_000 },
      { ...link(one, 3), time: 1_700_000_000_002 },
    ])
  })

  it('is not waited for once its log is frozen', () => {
    const store = openStore()
    const [forked, one, two] = [new Author(0).write().write(), new Author(1), new Author(2)]
    one.write({ links: [link(forked, 5)] })
    two.write({ links: [link(forked, 1)] })
    store.ingest([one.run(), two.run(), forked.run(0, 1)])
    expect(store.waiting()).toEqual(
      new Map([
        [one.hex, 1],
        [two.hex, 1],
      ]),
    )
    const followed = new Follower()
    followed.read(store)
    expect(store.ingestForkProof(forkProof(0, forked))).toBe(true)
    followed.read(store)
    expect(followed.seen.map(({ position }) => position)).toEqual([3, 1, 2])
    expect(store.waiting()).toEqual(new Map())
  })

  it('does not make the others wait for a log that was frozen before anything of it came', () => {
    const store = openStore()
    const forked = new Author(0).write().write()
    expect(store.ingestForkProof(forkProof(0, forked))).toBe(true)
    store.ingest([new Author(1).write({ links: [link(forked, 3)] }).run()])
    expect(causal(store)).toHaveLength(1)
  })

  it('costs one entry per log, and the events of others no row of the table', () => {
    const path = tempFile()
    const store = openStore({ path })
    const gone = new Author(250)
    const liars = Array.from({ length: 200 }, (_, n) => new Author(n).write({ links: [link(gone, n % 7)] }))
    for (const liar of liars) store.ingest([liar.run()])
    const one = new Author(251)
    for (let i = 0; i < 300; i++) store.ingest([one.write({ links: i % 2 === 0 ? [] : [link(one, i - 1)] }).run(i)])
    expect(causal(store)).toHaveLength(300)
    expect(store.waiting().size).toBe(200)
    store.close()
    expect([rowsIn(path, 'causal'), rowsIn(path, 'waiting')]).toEqual([1, 200])
    const again = openStore({ path })
    for (let i = 0; i < 7; i++) gone.write()
    again.ingest([gone.run()])
    expect(again.waiting().size).toBe(0)
    expect(causal(again)).toHaveLength(507)
    // In the order in which they arrived, once what each waits for is there.
    const expected = gone.events.flatMap((_, i) => [gone, ...liars.filter((_, n) => n % 7 === i)])
    expect(
      causal(again)
        .slice(300)
        .map(({ author }) => author),
    ).toEqual(expected.map(({ hex }) => hex))
  })
})

describe('two logs', () => {
  it('that wait for each other wait for ever, and no one else does', () => {
    const store = openStore()
    const [a, b, c] = [new Author(0), new Author(1), new Author(2).write()]
    a.write({ links: [link(b, 0)] })
    b.write({ links: [link(a, 0)] })
    store.ingest([a.run(), b.run(), c.run()])
    expect(named(causal(store))).toEqual(named([{ author: c.hex, seq: 0 }]))
  })

  it('of which one links to its own future wait for that alone', () => {
    const store = openStore()
    const [a, b] = [new Author(0), new Author(1).write()]
    a.write().write({ links: [link(a, 4)] })
    for (let i = 0; i < 5; i++) a.write()
    store.ingest([a.run(0, 3), b.run(), a.run(3, 7)])
    expect(store.waiting()).toEqual(new Map([[a.hex, 6]]))
    expect(causal(store)).toHaveLength(2)
  })
})

it('a hundred thousand events that wait for one are delivered with it', { timeout: 60_000 }, () => {
  const store = openStore({ keys: sealed })
  const [one, two] = [new Author(0, sealed).write(), new Author(1, sealed)]
  two.write({ links: [link(one, 0)] })
  const count = 100_000
  for (let i = 1; i < count; i++) two.write()
  for (let from = 0; from < count; from += 4000) store.ingest([two.run(from, from + 4000)])
  expect(store.end('causal')).toBe(0)
  store.ingest([one.run()])
  expect(store.end('causal')).toBe(count + 1)
  let seq = 0
  for (const event of causal(store).slice(1)) expect(event.seq).toBe(seq++)
})

it('keys without a seal see events as they arrive: they can read no links', () => {
  const store = openStore({ keys: { ...sealed, seal: null } })
  const [one, two] = [new Author(0, sealed).write(), new Author(1, sealed)]
  store.ingest([two.write({ links: [link(one, 0)] }).run()])
  expect([store.end('causal'), store.waiting().size]).toEqual([1, 0])
  expect(open.seal).toBeNull()
})

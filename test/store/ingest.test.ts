import { statSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { FRAME_TARGET_BYTES, MAX_EVENT_BYTES, MAX_RUN_EVENTS, MMR_CHECKPOINT_EVENTS } from '../../src/base/limits.ts'
import { checkForkProof } from '../../src/event/fork.ts'
import type { Run } from '../../src/event/run.ts'
import { encodedRunBytes } from '../../src/event/run.ts'
import type { Commit } from '../../src/store/commit.ts'
import type { EventStore } from '../../src/store/event-store.ts'
import type { IngestStatus } from '../../src/store/ingest-status.ts'
import {
  Author,
  blind,
  byAuthor,
  eventBytes,
  everything,
  expectError,
  expectSound,
  item,
  lengths,
  open,
  openStore,
  otherSecret,
  PLENTY,
  replicaOf,
  runsOf,
  sealed,
  SEED,
  seed,
  tempFile,
} from './stores.ts'

function author(number: number, events: number, keys = open): Author {
  const made = new Author(number, keys)
  for (let i = 0; i < events; i++) made.write()
  return made
}

function damaged(run: Run): Run {
  const bytes = Buffer.from(run.signature.bytes)
  bytes[5] = (bytes[5] as number) ^ 1
  return { ...run, signature: { ...run.signature, bytes } }
}

/** As a peer's frame is taken in: opened beforehand, all of it or so many steps, or not at all. */
function ingest(store: EventStore, runs: Run[], steps = Infinity): IngestStatus[] {
  const opening = store.opening(runs)[Symbol.iterator]()
  for (let i = 0; i < steps && opening.next().done !== true; i++);
  return store.ingest(runs)
}

describe('ingest', () => {
  it('stores runs of many authors in one call, one transaction', () => {
    const store = openStore()
    const commits: Commit[] = []
    store.onCommit((commit) => commits.push(commit))
    const authors = Array.from({ length: 20 }, (_, i) => author(i, i + 1))
    const first = authors.map((one) => one.run(0, Math.ceil(one.length / 2)))
    const second = authors.map((one) => one.run(Math.ceil(one.length / 2), one.length, true))
    const runs = [...first, ...second].filter(({ events }) => events.length > 0)
    expect(new Set(store.ingest(runs))).toEqual(new Set(['stored']))
    expect(commits).toHaveLength(1)
    expect(lengths(store)).toEqual(
      new Map(authors.toSorted((a, b) => (a.hex < b.hex ? -1 : 1)).map(({ hex, length }) => [hex, length])),
    )
    expect(everything(store)).toHaveLength(210)
    expectSound(store)
  })

  it('tells gaps, duplicates and overlaps apart', () => {
    const store = openStore()
    const one = author(0, 10)
    expect(store.ingest([one.run(3, 5)])).toEqual(['gap'])
    expect(store.ingest([one.run(0, 5)])).toEqual(['stored'])
    expect(store.ingest([one.run(0, 5), one.run(1, 3), one.run(0, 0, true), one.run(5, 5, true)])).toEqual(
      Array.from({ length: 4 }, () => 'duplicate'),
    )
    expect(store.ingest([one.run(6, 8)])).toEqual(['gap'])
    expect(store.ingest([one.run(2, 7, true)])).toEqual(['stored'])
    expect(store.ingest([one.run(0, 8)])).toEqual(['stored'])
    expect(store.ingest([one.run(9, 10), one.run(8, 10)])).toEqual(['gap', 'stored'])
    expect(store.log(one.hex)?.root).toEqual(one.mmrs[10]?.root())
    expectSound(store)
  })

  it.each([0, Infinity])(
    'stores nothing that no author signed, and says with peaks whose fault it is; opened: %d',
    (steps) => {
      const one = author(0, 8)
      const two = author(1, 3)
      const store = openStore()
      expect(store.ingest([one.run(0, 4)])).toEqual(['stored'])
      const root = store.frontierRoot()
      const swapped = {
        ...one.run(4, 8),
        events: [one.events[5], one.events[4], one.events[6], one.events[7]] as Buffer[],
      }
      const truncated = { ...one.run(4, 8), events: one.events.slice(4, 7) }
      const wrongSuite = { ...one.run(4, 8), signature: { suite: 2, bytes: Buffer.alloc(64) } }
      const cases: [Run, string][] = [
        [damaged(one.run(4, 8)), 'unverified'],
        [damaged(one.run(2, 8)), 'unverified'],
        [damaged(one.run(4, 8, true)), 'invalid'],
        [truncated, 'unverified'],
        [{ ...truncated, peaks: one.run(4, 8, true).peaks }, 'invalid'],
        [wrongSuite, 'unverified'],
        [swapped, 'invalid'],
        [{ ...two.run(0, 3), author: one.keyPair.publicKey }, 'duplicate'],
        [{ ...two.run(0, 3), from: 4, author: one.keyPair.publicKey }, 'invalid'],
        [{ ...one.run(4, 8), events: [Buffer.alloc(0)] }, 'invalid'],
        [{ ...one.run(4, 8), events: [Buffer.alloc(MAX_EVENT_BYTES + 1, 1)] }, 'invalid'],
        [{ ...one.run(4, 8, true), peaks: Buffer.alloc(32) }, 'invalid'],
        [{ ...one.run(2, 8, true), peaks: Buffer.alloc(32) }, 'invalid'],
        [{ ...one.run(4, 4, true), peaks: Buffer.alloc(32) }, 'invalid'],
        // A log that begins with this can't be anyone's: there is nothing before it that might differ.
        [damaged(two.run()), 'invalid'],
        [{ ...two.run(), signature: one.run().signature }, 'invalid'],
      ]
      for (const [i, [run, status]] of cases.entries()) expect([i, ingest(store, [run], steps)]).toEqual([i, [status]])
      expect(store.frontierRoot()).toEqual(root)
      expect(store.log(two.hex)).toBeUndefined()
      // In one call with good ones, they do not harm them.
      const mixed = [two.run(0, 1), damaged(two.run(1, 2, true)), two.run(1, 3), one.run(4, 8)]
      expect(ingest(store, mixed, steps)).toEqual(['stored', 'invalid', 'stored', 'stored'])
      expectSound(store)
    },
  )

  it('opens the runs of a frame that continue one another, in steps, and looks at each event once', () => {
    const store = openStore({ keys: sealed })
    const one = author(0, 400, sealed)
    const runs = [one.run(0, 150), one.run(150, 300), one.run(301, 400)]
    const steps = [...store.opening(runs)].length
    expect(steps).toBeGreaterThan(1)
    // The last does not continue what will be here.
    expect(runs.map(({ opened }) => opened?.length)).toEqual([150, 150, undefined])
    // What was found out is what is used: these say something else than the bytes.
    const [first] = runs as [Run, Run, Run]
    first.opened = first.opened?.map((event) => ({ ...event, id: Buffer.alloc(32) })) ?? []
    expect(store.ingest(runs)).toEqual(['unverified', 'gap', 'gap'].map((status, i) => (i === 0 ? 'invalid' : status)))
    for (const run of runs) delete run.opened
    expect([...store.opening(runs.slice(0, 2))].length).toBe(steps)
    expect(store.ingest(runs)).toEqual(['stored', 'stored', 'gap'])
    // A run that overlaps what is here: the right ones of its events are skipped.
    expect(ingest(store, [one.run(100, 400)])).toEqual(['stored'])
    expect(everything(store)).toHaveLength(400)
    expectSound(store)
  })

  it('moves the write-ahead log into the file between two commits, if it is asked to, before a commit has to', () => {
    const path = tempFile()
    const store = openStore({ path })
    const one = new Author(0, open)
    for (let i = 0; i < 6000; i++) one.write({ data: Buffer.alloc(400, i) })
    const settled: boolean[] = []
    for (let from = 0; from < 6000; from += 200) {
      store.ingest([one.run(from, from + 200)])
      settled.push(store.settle())
    }
    expect(settled.filter(Boolean).length).toBeGreaterThanOrEqual(2)
    expect(store.settle()).toBe(false)
    // Once it is in the file the log begins anew: it has never had more in it than commits leave there.
    expect(statSync(`${path}-wal`).size).toBeLessThan(2 * 2 ** 20)
    expectSound(store)
    store.close()
    expect(store.settle()).toBe(false)
    const memory = openStore()
    expect(memory.ingest([one.run(0, 3000)])).toEqual(['stored'])
    expect(memory.settle()).toBe(false)
  })

  it('refuses a signature made for another database', () => {
    const store = openStore()
    expect(store.ingest([author(0, 2, { ...open, tag: Buffer.alloc(32) }).run()])).toEqual(['invalid'])
    expect(store.logs()).toEqual([])
  })

  it('comes to the same frontier by any split, order, repetition and overlap of runs, or says why not', () => {
    const logs = [author(0, 12), author(1, 5), author(2, 9)] as const
    const whole = openStore()
    whole.ingest(logs.map((one) => one.run()))
    const part = fc
      .record({
        log: fc.nat({ max: 2 }),
        a: fc.nat({ max: 12 }),
        b: fc.nat({ max: 12 }),
        peaks: fc.boolean(),
        bad: fc.nat({ max: 9 }),
      })
      .map(({ log, a, b, peaks, bad }) => {
        const of = logs[log] as Author
        const from = Math.min(a, b, of.length)
        const to = Math.min(Math.max(a, b), of.length)
        return { of, from, to, peaks: peaks || from === to, bad: bad === 0 }
      })
    const property = fc.property(
      fc.array(fc.array(part, { maxLength: 5 }), { maxLength: 12 }),
      fc.nat({ max: 8 }),
      (calls, steps) => {
        const store = openStore()
        const model = new Map<string, number>()
        for (const call of calls) {
          const before = store.frontierRoot()
          const runs = call.map(({ of, from, to, peaks, bad }) =>
            bad ? damaged(of.run(from, to, peaks)) : of.run(from, to, peaks),
          )
          const statuses = ingest(store, runs, steps)
          let changed = false
          for (const [i, { of, from, to, peaks, bad }] of call.entries()) {
            const length = model.get(of.hex) ?? 0
            const conclusive = from === length && (peaks || length === 0)
            const expected =
              from > length
                ? 'gap'
                : to <= length
                  ? 'duplicate'
                  : !bad
                    ? 'stored'
                    : conclusive
                      ? 'invalid'
                      : 'unverified'
            expect(statuses[i]).toBe(expected)
            if (expected !== 'stored') continue
            model.set(of.hex, to)
            changed = true
          }
          expect(store.frontierRoot().equals(before)).toBe(!changed)
          expect(byAuthor(lengths(store))).toEqual(byAuthor(model))
        }
        expectSound(store)
        store.ingest(logs.map((one) => one.run()))
        expect(store.frontierRoot()).toEqual(whole.frontierRoot())
        expectSound(store)
        store.close()
      },
    )
    fc.assert(property, { seed: SEED, numRuns: 150 })
  })

  it('serves every stretch of interleaved logs, from any place, after reopening too', () => {
    const file = tempFile()
    let store = openStore({ path: file })
    const logs = [author(0, 40), author(1, 40), author(2, 40)]
    // In turns and in stretches of other lengths, so that each log lies in many pieces.
    for (let i = 0; logs.some((one) => lengths(store).get(one.hex) !== one.length); i++) {
      const one = logs[[0, 1, 0, 2, 2, 1, 0][i % 7] as number] as Author
      const from = lengths(store).get(one.hex) ?? 0
      const to = Math.min(one.length, from + 1 + (i % 4))
      if (to > from) expect(store.ingest([one.run(from, to)])).toEqual(['stored'])
      expect(i).toBeLessThan(1000)
    }
    for (const round of ['written', 'reopened']) {
      for (const one of logs) {
        for (let from = 0; from <= 40; from++) {
          const run = store.readRun(one.hex, from, PLENTY, true)
          if (run === null) {
            expect([round, from]).toEqual([round, one.length])
            continue
          }
          expect(eventBytes(run)).toEqual(eventBytes(one.run(from)))
          if (from > 0) expect(run.peaks).toEqual(one.mmrs[from]?.peaks())
          if (from > 0 && from < 40) {
            const ahead = store.readRun(one.hex, from, 1, false) as Run
            expect(one.mmrs[from + ahead.events.length]).toBeDefined()
          }
        }
      }
      expectSound(store)
      store.close()
      store = openStore({ path: file })
    }
  })

  it('reads no more than a run takes, however large the events after it', async () => {
    const store = openStore()
    const megabyte = new Uint8Array(1_000_000)
    for (let i = 0; i < 64; i++) await store.append([item('a', megabyte)])
    const before = process.memoryUsage().arrayBuffers
    expect(store.readRun(store.author, 0, FRAME_TARGET_BYTES, false)?.events).toHaveLength(1)
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(8 * megabyte.length)
  })

  it('reads runs of whole segments, bounded by bytes, and never more events than a run may have', async () => {
    const store = openStore()
    for (let i = 0; i < 30; i++) await store.append(Array.from({ length: 4 }, () => item('a', 'x'.repeat(100))))
    const one = store.readRun(store.author, 0, 1, false) as Run
    expect(one.events.length).toBe(4)
    const segment = one.events.reduce((sum, event) => sum + event.length, 0)
    for (const [from, maxBytes, events] of [
      [0, segment - 1, 4],
      [0, segment, 4],
      [0, 2 * segment - 1, 4],
      [0, 2 * segment + 100, 8],
      [1, 1, 3],
      [2, segment / 2 + segment + 100, 6],
      [119, 1, 1],
      [0, PLENTY, 120],
    ] as const) {
      expect(store.readRun(store.author, from, maxBytes, false)?.events.length).toBe(events)
    }
    expect(store.readRun(store.author, 120, PLENTY, false)).toBeNull()
    expect(store.readRun(store.author, 121, PLENTY, true)).toBeNull()
    expect(store.readRun('00'.repeat(32), 0, PLENTY, true)).toBeNull()
    const head = store.readRun(store.author, 120, PLENTY, true) as Run
    expect(head.events).toEqual([])
    expect(openStore().ingest([head])).toEqual(['gap'])
    expect(replicaOf(store).ingest([head])).toEqual(['duplicate'])
    await store.append(Array.from({ length: 10_000 }, () => item('a', 0)))
    const long = store.readRun(store.author, 0, PLENTY, false) as Run
    expect(long.events.length).toBeLessThanOrEqual(MAX_RUN_EVENTS)
    expect(long.events.length).toBeGreaterThan(MAX_RUN_EVENTS / 2)
    expect(encodedRunBytes(long)).toBeLessThan(PLENTY)
  })

  it('passes logs on from replica to replica, also where segments were merged on the way', async () => {
    const a = openStore({ authorSeed: seed(0) })
    for (let i = 0; i < 50; i++) await a.append(Array.from({ length: ((i * 7) % 5) + 1 }, () => item(`s/${i}`, i)))
    const b = replicaOf(a, 2000)
    const c = replicaOf(b, 1)
    const d = openStore()
    // First half from c, the rest from b and a in frames of other sizes, each from where d stands.
    for (let i = 0; lengths(d).get(a.author) !== lengths(a).get(a.author); i++) {
      const source = [c, a, b][i % 3] as typeof a
      const run = source.readRun(a.author, lengths(d).get(a.author) ?? 0, 300 * (i % 4) + 1, i % 2 === 0) as Run
      expect(d.ingest([run])).toEqual(['stored'])
    }
    for (const replica of [b, c, d]) {
      expect(replica.frontierRoot()).toEqual(a.frontierRoot())
      expect(runsOf(replica).flatMap(eventBytes)).toEqual(runsOf(a).flatMap(eventBytes))
      expect(everything(replica).map(({ id }) => id)).toEqual(everything(a).map(({ id }) => id))
      expectSound(replica)
    }
  })

  it('knows the peaks at every length around the checkpoints', async () => {
    const a = openStore({ authorSeed: seed(0) })
    await a.append(Array.from({ length: 2 * MMR_CHECKPOINT_EVENTS + 10 }, () => item('a', 0)))
    const b = replicaOf(a, 20_000)
    const length = lengths(a).get(a.author) as number
    for (const at of [1, 4095, 4096, 4097, 6000, 8191, 8192, 8193, length - 1, length]) {
      const peaks = a.readRun(a.author, at, 1, true)?.peaks
      expect(peaks).toEqual(b.readRun(a.author, at, 1, true)?.peaks)
      expect(b.ingest([a.readRun(a.author, at, 1, true) as Run])).toEqual(['duplicate'])
    }
  })
})

describe('events that can not be read', () => {
  it('are kept and served as they are, and not delivered: sealed with another key, broken, unsealed', () => {
    const strange = new Author(0, { ...otherSecret, tag: sealed.tag })
    strange.write().write()
    const clear = new Author(1, { ...sealed, seal: null })
    clear.write().write()
    const mixed = new Author(2, sealed)
    mixed
      .write({ subject: 'notes/readable' })
      .writeGarbage()
      .write({ subject: 'bad\u0007subject' })
      .write({ json: true, data: Buffer.from('{') })
    mixed.write({ subject: 'notes/readable' })
    const store = openStore({ keys: sealed })
    const authors = [strange, clear, mixed]
    expect(store.ingest(authors.map((one) => one.run()))).toEqual(['stored', 'stored', 'stored'])
    expect(everything(store).map(({ id }) => id)).toEqual([mixed.ids[0], mixed.ids[4]])
    expect([...store.scanByClock(null)].flat()).toHaveLength(2)
    for (const one of authors) {
      for (const id of one.ids)
        expect(store.get(id)?.id).toBe(one === mixed && [0, 4].includes(mixed.ids.indexOf(id)) ? id : undefined)
      expect(eventBytes(store.readRun(one.hex, 0, PLENTY, false) as Run)).toEqual(eventBytes(one.run()))
    }
    const next = replicaOf(store, 1, { keys: sealed })
    expect(next.frontierRoot()).toEqual(store.frontierRoot())
    expect(everything(next).map(({ id }) => id)).toEqual([mixed.ids[0], mixed.ids[4]])
    expectSound(store)
  })

  it('are everything to a blind replica, which serves all of it', async () => {
    const a = openStore({ keys: sealed })
    await a.append(Array.from({ length: 300 }, (_, i) => item('a', i)))
    const dark = replicaOf(a, 1000, { keys: blind, path: tempFile() })
    expect(everything(dark)).toEqual([])
    expect([...dark.scanByClock(null)]).toEqual([])
    expect(dark.get(everything(a)[0]?.id as string)).toBeNull()
    const b = replicaOf(dark, 1000, { keys: sealed })
    expect(everything(b).map(({ data }) => data)).toEqual(Array.from({ length: 300 }, (_, i) => i))
    expect(b.frontierRoot()).toEqual(a.frontierRoot())
    expectSound(dark)
  })
})

describe('forks', () => {
  async function twins(seq: number): Promise<[ReturnType<typeof openStore>, ReturnType<typeof openStore>]> {
    const a = openStore({ authorSeed: seed(0) })
    for (let i = 0; i < 3; i++) await a.append([item('common', i)])
    const b = replicaOf(a, 1, { authorSeed: seed(0) })
    for (let i = 0; i < seq; i++) await a.append([item('branch/a', i)])
    await b.append([item('branch/b', 0), item('branch/b', 1)])
    return [a, b]
  }

  it.each([
    ['is ahead of us', 5, 3, true],
    ['is as far', 2, 5, true],
    ['has less', 1, 4, true],
  ])('are found through the peaks of a head that %s', async (_, ours, from) => {
    const [a, b] = await twins(ours)
    const author = a.author
    const foreign = b.readRun(author, Math.min(from + 1, 5), PLENTY, true) as Run
    const known = everything(a)
    const commits: Commit[] = []
    a.onCommit((commit) => commits.push(commit))
    const at = Math.min(foreign.from, a.log(author)?.mmr.length as number)
    const [status] = a.ingest([b.readRun(author, at, PLENTY, true) as Run])
    expect(status).toBe('forked')
    expect(commits.flatMap(({ forks }) => forks.map(({ hex }) => hex))).toEqual([author])
    const proof = a.log(author)?.fork as Buffer
    expect(checkForkProof(proof, open.tag)?.toString('hex')).toBe(author)
    expect(checkForkProof(proof, Buffer.alloc(32))).toBeNull()

    // Frozen: no more of it, from anyone, but what is here stays.
    const longer = openStore({ authorSeed: seed(0) })
    longer.ingest(runsOf(b))
    await longer.append([item('branch/b', 2)])
    expect(a.ingest([longer.readRun(author, 0, PLENTY, false) as Run])).toEqual(['frozen'])
    expect(everything(a)).toEqual(known)
    await expect((async () => await a.append([item('more')]))()).rejects.toMatchObject({ code: 'AUTHOR_FORKED' })

    // Everyone who knows agrees, whatever they hold of it.
    const c = openStore({ authorSeed: seed(7) })
    const d = openStore({ authorSeed: seed(8) })
    c.ingest(runsOf(b))
    expect(c.frontierRoot()).not.toEqual(a.frontierRoot())
    expect([b, c, d].map((store) => store.ingestForkProof(proof))).toEqual([true, true, true])
    expect(c.ingestForkProof(b.log(author)?.fork as Buffer)).toBe(true)
    for (const store of [b, c, d]) expect(store.frontierRoot()).toEqual(a.frontierRoot())
    expect(everything(c).map(({ subject }) => subject)).toEqual(['common', 'common', 'common', 'branch/b', 'branch/b'])
    expect(eventBytes(c.readRun(author, 0, PLENTY, false) as Run)).toEqual(
      eventBytes(b.readRun(author, 0, PLENTY, false) as Run),
    )
    expect(d.ingest([b.readRun(author, 0, PLENTY, false) as Run])).toEqual(['frozen'])
    // Their own logs go on.
    expect((await c.append([item('mine')]))[0]?.seq).toBe(0)
    expectSound(a)
    expectSound(c)
  })

  it('survive reopening', async () => {
    const file = tempFile()
    const [a, b] = await twins(2)
    let c = openStore({ path: file })
    c.ingest(runsOf(a))
    expect(c.ingest([b.readRun(a.author, 5, PLENTY, true) as Run])).toEqual(['forked'])
    const root = c.frontierRoot()
    c.close()
    c = openStore({ path: file })
    expect(c.frontierRoot()).toEqual(root)
    expect(c.ingest(runsOf(a))).toEqual(['frozen'])
    expect(checkForkProof(c.log(a.author)?.fork as Buffer, open.tag)).not.toBeNull()
    expectSound(c)
  })

  it('are not proven by garbage, by one history, or by a history that nobody signed', async () => {
    const [a, b] = await twins(2)
    const store = replicaOf(a)
    const honest = b.readRun(a.author, 5, PLENTY, true) as Run
    expect(store.ingest([damaged(honest)])).toEqual(['invalid'])
    const one = new Author(3)
    one.write().write()
    expect(store.ingestForkProof(Buffer.alloc(0))).toBe(false)
    expect(store.ingestForkProof(Buffer.alloc(500, 1))).toBe(false)
    expect(a.ingest([b.readRun(a.author, 5, PLENTY, true) as Run])).toEqual(['forked'])
    const proof = a.log(a.author)?.fork as Buffer
    for (let at = 0; at < proof.length; at += 13) {
      const bad = Buffer.from(proof)
      bad[at] = (bad[at] as number) ^ 4
      expect(store.ingestForkProof(bad)).toBe(false)
    }
    expect(store.log(a.author)?.fork).toBeNull()
    expect(store.ingestForkProof(proof)).toBe(true)
  })

  it('begin within what is sent without a word, but not after it is asked for the peaks', async () => {
    const [a, b] = await twins(2)
    const store = replicaOf(a)
    await b.append([item('branch/b', 2)])
    expect(store.ingest([b.readRun(a.author, 0, PLENTY, false) as Run])).toEqual(['unverified'])
    expect(store.ingest([b.readRun(a.author, 5, PLENTY, true) as Run])).toEqual(['forked'])
  })
})

describe('clocks', () => {
  const NOW = 1_800_000_000_000
  const AHEAD = 5 * 60 * 1000

  it('hold back what is too far ahead until time catches up, over a restart, and lose none of it', () => {
    const file = tempFile()
    let now = NOW
    const options = { path: file, now: () => now }
    let store = openStore(options)
    const near = new Author(0).write({ time: NOW + AHEAD })
    const far = new Author(1).write({ time: NOW }).write({ time: NOW + AHEAD + 1 })
    const farther = new Author(2).write({ time: NOW + 3 * AHEAD })
    expect(store.ingest([near.run(), far.run(), farther.run(), far.run()])).toEqual(['stored', 'held', 'held', 'held'])
    expect(store.heldUntil(near.hex)).toBeNull()
    expect(store.heldUntil(far.hex)).toBe(NOW + 1)
    expect(store.heldUntil(farther.hex)).toBe(NOW + 2 * AHEAD)
    expect(store.releaseHeld()).toBe(NOW + 1)
    expect(everything(store)).toHaveLength(1)
    store.close()
    store = openStore(options)
    expect(store.heldUntil(far.hex)).toBe(NOW + 1)
    expect(store.ingest([far.run()])).toEqual(['held'])
    now = NOW + 1
    expect(store.releaseHeld()).toBe(NOW + 2 * AHEAD)
    expect(store.heldUntil(far.hex)).toBeNull()
    expect(everything(store).map(({ id }) => id)).toEqual([near.ids[0], ...far.ids])
    now = NOW + 2 * AHEAD
    // Meanwhile it came another way.
    expect(store.ingest([farther.run()])).toEqual(['stored'])
    expect(store.releaseHeld()).toBeNull()
    expect(everything(store)).toHaveLength(4)
    expectSound(store)
    store.close()
    expect(openStore(options).releaseHeld()).toBeNull()
  })

  it('keep what is not too far ahead of a log whose end is', () => {
    const store = openStore({ now: () => NOW })
    const one = new Author(1).write({ time: NOW }).write({ time: NOW + 2 * AHEAD })
    expect(store.ingest([one.run(0, 1), one.run(1, 2)])).toEqual(['stored', 'held'])
    expect(store.ingest([one.run(0, 2)])).toEqual(['held'])
    expect(lengths(store).get(one.hex)).toBe(1)
  })

  it('do not remember as held what a failed transaction took back', () => {
    const store = openStore({ now: () => NOW })
    const one = new Author(1).write({ time: NOW + 2 * AHEAD })
    const breaking = { ...new Author(2).write().run(), signature: null } as unknown as Run
    expect(() => store.ingest([one.run(), breaking])).toThrow()
    expect(store.heldUntil(one.hex)).toBeNull()
    expect(store.releaseHeld()).toBeNull()
    expect(store.ingest([one.run()])).toEqual(['held'])
    expect(store.releaseHeld()).toBe(NOW + AHEAD)
  })

  it('that do not advance, or not beyond what is linked, have no place in the order', () => {
    const link = { author: Buffer.alloc(32, 9), seq: 3, time: 500, tick: 5 }
    const one = new Author(0)
    one
      .write({ time: 100, tick: 2 })
      .write({ time: 100, tick: 2 })
      .write({ time: 100, tick: 1 })
      .write({ time: 100, tick: 3 })
    one
      .write({ time: 500, tick: 5, links: [link] })
      .write({ time: 499, links: [link] })
      .write({ time: 500, tick: 6, links: [link] })
    one.write({ time: 400 }).write({ time: 501 })
    const ordered = [0, 3, 6, 8].map((seq) => one.ids[seq])
    for (const step of [1, 2, 4, 9]) {
      const store = openStore()
      for (let from = 0; from < one.length; from += step) {
        expect(store.ingest([one.run(from, Math.min(from + step, one.length))])).toEqual(['stored'])
      }
      expect(everything(store).map(({ id }) => id)).toEqual(ordered)
      expect([...store.scanByClock(null)].flat().map(({ id }) => id)).toEqual(ordered)
      for (const id of one.ids) expect(store.get(id) !== null).toBe(ordered.includes(id))
      expectSound(store)
    }
  })

  it('of our own events are after everything that was received', async () => {
    const store = openStore({ now: () => NOW })
    const one = new Author(0).write({ time: NOW + AHEAD, tick: 7 })
    store.ingest([one.run()])
    expect((await store.append([item('a')]))[0]?.timestamp).toBe(NOW + AHEAD)
    expect([...store.scanByClock(null)].flat().map(({ local }) => local)).toEqual([false, true])
  })

  it('at the end of time stop nobody but their author', async () => {
    const store = openStore({ now: () => NOW })
    const one = new Author(0).write({ time: 2 ** 48 - 1, tick: 0xffff })
    expect(store.ingest([one.run()])).toEqual(['held'])
    expect((await store.append([item('a')]))[0]?.timestamp).toBe(NOW)
    expectError('CLOSED', () => {
      store.close()
      store.releaseHeld()
      store.ingest([])
    })
  })
})

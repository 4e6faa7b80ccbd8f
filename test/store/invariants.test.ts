import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { PeerlogError } from '../../src/base/errors.ts'
import { MAX_EVENT_BYTES } from '../../src/base/limits.ts'
import type { Run } from '../../src/event/run.ts'
import type { Commit } from '../../src/store/commit.ts'
import {
  Author,
  byAuthor,
  everything,
  expectSound,
  item,
  lengths,
  openStore,
  replicaOf,
  sealed,
  SEED,
  seed,
  tempFile,
} from './stores.ts'

type Operation =
  | { do: 'append'; group: number[]; tooLarge: boolean }
  | { do: 'ingest'; runs: { author: number; from: number; to: number; peaks: boolean; damaged: boolean }[] }
  | { do: 'ingest broken' }
  | { do: 'reopen' }

const operation: fc.Arbitrary<Operation> = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('append' as const),
      group: fc.array(fc.nat({ max: 4 }), { minLength: 1, maxLength: 4 }),
      tooLarge: fc.boolean(),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('ingest' as const),
      runs: fc.array(
        fc.record({
          author: fc.nat({ max: 2 }),
          from: fc.nat({ max: 20 }),
          to: fc.nat({ max: 20 }),
          peaks: fc.boolean(),
          damaged: fc.boolean(),
        }),
        { minLength: 1, maxLength: 4 },
      ),
    }),
  },
  { weight: 1, arbitrary: fc.constant({ do: 'ingest broken' as const }) },
  { weight: 1, arbitrary: fc.constant({ do: 'reopen' as const }) },
)

describe('after any sequence of operations', () => {
  it(
    'the store is what a model says, position by position, and another replica agrees',
    { timeout: 60_000 },
    async () => {
      const authors = [1, 2, 3].map((number) => {
        const one = new Author(number, sealed)
        for (let i = 0; i < 20; i++) one.write({ subject: `s/${i % 3}` })
        return one
      })
      const property = fc.asyncProperty(fc.array(operation, { maxLength: 25 }), async (operations) => {
        const path = tempFile()
        const open = () => openStore({ path, keys: sealed, authorSeed: seed(0) })
        let store = open()
        /** Ids in the order of their arrival; and lengths of the logs. */
        const arrived: string[] = []
        const frontier = new Map<string, number>()
        const listen = (): void => {
          store.onCommit((commit: Commit) => {
            for (const { run, ids, log } of commit.runs) {
              expect(run.from).toBe(frontier.get(log.hex) ?? 0)
              frontier.set(log.hex, run.from + ids.length)
              expect(log.mmr.length).toBe(run.from + ids.length)
              arrived.push(...ids.map((id) => id.toString('hex')))
            }
          })
        }
        listen()
        for (const operation of operations) {
          const before = arrived.length
          if (operation.do === 'append') {
            const appends = operation.group.map((n) =>
              store.append(Array.from({ length: n }, (_, i) => item(`own/${i}`, i))),
            )
            if (operation.tooLarge) {
              expect(() => void store.append([item('a', new Uint8Array(MAX_EVENT_BYTES))])).toThrow(PeerlogError)
            }
            const events = (await Promise.all(appends)).flat()
            expect(events.map(({ id }) => id)).toEqual(arrived.slice(before))
            expect(events.map(({ position }) => position)).toEqual(events.map((_, i) => before + i + 1))
          } else if (operation.do === 'ingest') {
            const runs = operation.runs.map(({ author, from, to, peaks, damaged }) => {
              const [low, high] = [Math.min(from, to), Math.max(from, to)]
              const run = (authors[author] as Author).run(low, high, peaks || low === high)
              return damaged ? { ...run, signature: { suite: 1, bytes: Buffer.alloc(64, 1) } } : run
            })
            const statuses = store.ingest(runs)
            expect(statuses.filter((status) => status === 'stored').length > 0).toBe(arrived.length > before)
            for (const [i, status] of statuses.entries()) {
              expect(['stored', 'duplicate', 'gap', 'unverified', 'invalid']).toContain(status)
              if (status === 'stored') expect(operation.runs[i]?.damaged).toBe(false)
            }
          } else if (operation.do === 'ingest broken') {
            // A transaction that fails after it has stored something must take it all back.
            const author = authors[0] as Author
            const length = frontier.get(author.hex) ?? 0
            if (length + 1 >= author.length) continue
            const bug = { ...author.run(0, author.length), signature: null } as unknown as Run
            expect(() => store.ingest([author.run(length, length + 1), bug])).toThrow()
            expect(arrived.length).toBe(before)
          } else {
            store.close()
            store = open()
            listen()
          }
          expect(store.position).toBe(arrived.length)
          expect(byAuthor(lengths(store))).toEqual(byAuthor(frontier))
        }
        expect(everything(store).map(({ id, position }) => [position, id])).toEqual(arrived.map((id, i) => [i + 1, id]))
        expectSound(store)
        const replica = replicaOf(store, 700, { keys: sealed })
        expect(replica.frontierRoot()).toEqual(store.frontierRoot())
        replica.close()
        store.close()
        store = open()
        expectSound(store)
        expect(store.frontierRoot()).toEqual(replica.frontierRoot())
        store.close()
      })
      await fc.assert(property, { seed: SEED, numRuns: 80 })
    },
  )
})

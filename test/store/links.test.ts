import { describe, expect, it } from 'vitest'
import { MAX_EVENT_BYTES, MAX_LINKS } from '../../src/base/limits.ts'
import { Author, byAuthor, expectSound, item, linksOf, openStore, sealed, seed, tempFile } from './stores.ts'

describe('causal links', () => {
  const named = (links: { author: Buffer; seq: number }[]): [string, number][] =>
    links.map(({ author, seq }) => [author.toString('hex'), seq])

  it('name the heads of others that came since our last event, once', async () => {
    const store = openStore({ authorSeed: seed(9) })
    const [one, two] = [new Author(0).write().write(), new Author(1).write()]
    await store.append([item('a')])
    store.ingest([one.run(0, 1), two.run()])
    store.ingest([one.run(1, 2)])
    await store.append([item('b'), item('c')])
    await store.append([item('d')])
    two.write()
    store.ingest([two.run()])
    await store.append([item('e')])
    const links = [0, 1, 2, 3, 4].map((seq) => named(linksOf(store, store.author, seq)))
    const both = byAuthor([
      [one.hex, 1],
      [two.hex, 0],
    ] as [string, number][])
    expect(links).toEqual([[], both, [], [], [[two.hex, 1]]])
  })

  it('are at most MAX_LINKS; the heads left over come with the next events', async () => {
    const store = openStore({ authorSeed: seed(200) })
    const authors = Array.from({ length: MAX_LINKS + 10 }, (_, i) => new Author(i).write())
    store.ingest(authors.map((one) => one.run()))
    for (const subject of ['a', 'b', 'c']) await store.append([item(subject)])
    const links = [0, 1, 2].map((seq) => named(linksOf(store, store.author, seq)))
    expect(links.map(({ length }) => length)).toEqual([MAX_LINKS, 10, 0])
    expect(new Set(links.flat().map(([author]) => author)).size).toBe(MAX_LINKS + 10)
    expectSound(store)
  })

  it('are remembered over a restart until an event has named them', async () => {
    const path = tempFile()
    let store = openStore({ path })
    const [one, two] = [new Author(0).write(), new Author(1).write()]
    store.ingest([one.run()])
    await store.append([item('a')])
    store.ingest([two.run()])
    store.close()
    store = openStore({ path })
    await store.append([item('b')])
    expect(named(linksOf(store, store.author, 1))).toEqual([[two.hex, 0]])
  })

  it('leave room for an event that is nearly too large', async () => {
    const store = openStore({ keys: sealed })
    const authors = Array.from({ length: 5 }, (_, i) => new Author(i, sealed).write())
    store.ingest(authors.map((one) => one.run()))
    for (const spare of [130, 200, 300]) await store.append([item('a', new Uint8Array(MAX_EVENT_BYTES - spare))])
    const links = [0, 1, 2].map((seq) => linksOf(store, store.author, seq, sealed).length)
    expect(links).toEqual([0, 1, 3])
    expectSound(store)
  })
})

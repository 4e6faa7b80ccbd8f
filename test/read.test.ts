import { expect, test } from 'vitest'
import type { Database, Event, ReadOptions } from '../src/index.ts'
import { open } from '../src/index.ts'
import { memoryNetwork } from '../src/testing.ts'
import { Folder } from './process/replica-process.ts'

async function read(db: Database, options: ReadOptions): Promise<Event[]> {
  const events: Event[] = []
  for await (const event of db.read(options)) events.push(event)
  return events
}

const local = { mode: 'disabled' } as const

test('a reader follows in causal order what comes from several peers, and goes on where it was after a restart', async () => {
  using folder = new Folder()
  const network = memoryNetwork()
  const transports = [0, 1, 2].map(() => network.createTransport())
  const openAll = (i: number): Promise<Database> =>
    open({ databaseId: 'causal', path: folder.file(`${i}.db`), transport: transports[i] as (typeof transports)[0] })
  const [a, b] = await Promise.all([openAll(0), openAll(1)])
  // They answer each other: every event links to the one before it.
  const rounds = 60
  const talk = async (db: Database): Promise<void> => {
    for await (const event of db.read({ follow: true, after: db.position, order: 'causal' })) {
      if (event.author === db.author) continue
      if (Number(event.data) >= rounds) return
      await db.append('talk', Number(event.data) + 1)
    }
  }
  const talks = [talk(a), talk(b)]
  await a.append('talk', 0)
  let reader = await openAll(2)
  const seen: Event[] = []
  for (let limit = 7; seen.length < rounds; limit++) {
    const after = seen.at(-1)?.position ?? 0
    for await (const event of reader.read({ order: 'causal', follow: true, after, limit })) {
      seen.push(event)
      if (event.data === rounds) break
    }
    if (limit % 2 === 0) continue
    await reader.close()
    reader = await openAll(2)
  }
  expect(seen.map(({ data }) => data)).toEqual(Array.from({ length: seen.length }, (_, i) => i))
  expect(await read(reader, { order: 'causal', limit: seen.length })).toEqual(seen)
  expect(await read(reader, { order: 'causal', reverse: true, after: seen[5]?.position ?? 0 })).toEqual(
    seen.slice(0, 5).toReversed(),
  )
  expect(reader.waiting()).toEqual(new Map())
  await Promise.all([a.close(), b.close(), reader.close(), ...talks])
  await Promise.all(transports.map((transport) => transport.disconnect()))
})

test('every order can be read on, back, filtered and limited; only the clock can not be followed', async () => {
  const db = await open({ databaseId: 'orders', path: ':memory:', transport: local })
  const events = await db.appendMany(Array.from({ length: 600 }, (_, i) => ({ subject: `s/${i % 3}`, data: i })))
  for (const order of ['arrival', 'causal', 'clock'] as const) {
    expect(await read(db, { order })).toEqual(events)
    expect(await read(db, { order, reverse: true })).toEqual(events.toReversed())
    expect(await read(db, { order, after: 400 })).toEqual(events.slice(400))
    expect(await read(db, { order, after: 400, reverse: true, limit: 300 })).toEqual(events.slice(99, 399).toReversed())
    expect(await read(db, { order, after: 1000 })).toEqual([])
    const some = events.filter(({ subject }) => subject === 's/2')
    expect(await read(db, { order, subject: 's/2', limit: 150 })).toEqual(some.slice(0, 150))
    expect(await read(db, { order, local: false })).toEqual([])
  }
  expect(() => db.read({ order: 'clock', follow: true })).toThrow(/can't be followed/)
  expect(() => db.read({ order: 'size' as 'clock' })).toThrow(/order is "size"/)
  await db.close()
})

test.each(['arrival', 'causal'] as const)(
  'a follower by %s misses nothing that comes as it reaches the end',
  async (order) => {
    const db = await open({ databaseId: 'orders', path: ':memory:', transport: local })
    const seen: unknown[] = []
    for (let i = 0; i < 40; i++) {
      const read = db.read({ order, follow: true, after: db.position })
      const next = read.next()
      // A few turns of the queue later each time: somewhere between its looking and its waiting.
      for (let turns = 0; turns < i; turns++) await Promise.resolve()
      await db.append('a', i)
      seen.push((await next).value?.data)
      await read.return?.()
    }
    expect(seen).toEqual(Array.from({ length: 40 }, (_, i) => i))
    await db.close()
  },
)

test('a follower in causal order ends with the signal, and with the database', async () => {
  const db = await open({ databaseId: 'orders', path: ':memory:', transport: local })
  const stop = new AbortController()
  const reads = [
    db.read({ order: 'causal', follow: true, signal: stop.signal }),
    db.read({ order: 'causal', follow: true }),
  ]
  const first = reads.map((read) => read.next())
  await db.append('a', 1)
  for (const next of first) expect((await next).value).toMatchObject({ data: 1 })
  const last = reads.map((read) => read.next())
  stop.abort()
  expect(await last[0]).toEqual({ done: true, value: undefined })
  await db.close()
  expect(await last[1]).toEqual({ done: true, value: undefined })
})

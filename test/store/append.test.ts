import { execFileSync, spawnSync } from 'node:child_process'
import fs from 'node:fs'
import net from 'node:net'
import path from 'node:path'
import Sqlite from 'better-sqlite3'
import { describe, expect, it } from 'vitest'
import { PeerlogError } from '../../src/base/errors.ts'
import { hash } from '../../src/base/hash.ts'
import { ID_INDEX_BATCH, MAX_EVENT_BYTES, MAX_SEGMENT_BYTES, MAX_SEGMENT_EVENTS } from '../../src/base/limits.ts'
import type { Run } from '../../src/event/run.ts'
import type { Commit } from '../../src/store/commit.ts'
import type { Event } from '../../src/store/stored-event.ts'
import {
  everything,
  expectError,
  expectSound,
  item,
  openStore,
  PLENTY,
  replicaOf,
  runsOf,
  sealed,
  seed,
  tempFile,
  tempFolder,
} from './stores.ts'

/** Signatures in a file: one per segment. */
function signatures(file: string): number {
  const db = new Sqlite(file, { readonly: true })
  const count = db.prepare('SELECT count(*) FROM events WHERE signature IS NOT NULL').pluck().get() as number
  db.close()
  return count
}

describe('append', () => {
  it.each([
    ['without a secret', {}],
    ['sealed', { keys: sealed }],
  ])('stores what it is given, %s', async (_, options) => {
    const file = tempFile()
    const store = openStore({ path: file, ...options })
    const values = [null, false, 0, -1.5e300, '', 'é😀\u0000', [], [1, [2]], {}, { text: 'milk', n: { m: [null] } }]
    const given = [
      ...values.map((value, i) => item(`a/${i}`, value)),
      item('bytes', Uint8Array.of(0, 255, 1), 'blob'),
      item('bytes', new Uint8Array(0)),
      item('x'.repeat(512), 1, 't'.repeat(128)),
      item('語/é', 'typed', 'kind'),
    ]
    const before = Date.now()
    const events: Event[] = []
    for (const one of given) events.push(...(await store.append([one])))
    expect(everything(store)).toEqual(events)
    for (const [i, event] of events.entries()) {
      expect(event).toMatchObject({ seq: i, position: i + 1, author: store.author, local: true, data: given[i]?.data })
      expect([event.subject, event.type ?? '']).toEqual([given[i]?.subject, given[i]?.type])
      expect('type' in event).toBe(given[i]?.type !== '')
      expect(event.timestamp).toBeGreaterThanOrEqual(before)
      expect(store.get(event.id)).toEqual(event)
      expect(store.get(event.id.toUpperCase())).toEqual(event)
    }
    expect(events.find(({ subject }) => subject === 'bytes')?.data).toBeInstanceOf(Uint8Array)
    const run = store.readRun(store.author, 0, PLENTY, false) as Run
    expect(run.events.map((bytes) => hash(bytes).toString('hex'))).toEqual(events.map(({ id }) => id))
    expectSound(store)
    store.close()
    const again = openStore({ path: file, ...options })
    expect(everything(again)).toEqual(events)
    expectSound(again)
  })

  it('finds nothing by an id that is unknown or is none', async () => {
    const store = openStore()
    const [event] = (await store.append([item('a')])) as [Event]
    for (const id of [
      '',
      'zz',
      event.id.slice(2),
      `${event.id}00`,
      '0'.repeat(64),
      event.id.replace(/^.{63}/, ''),
      '💩',
    ]) {
      expect(store.get(id)).toBeNull()
    }
    // The same indexed prefix, another id.
    const last = event.id.endsWith('0') ? '1' : '0'
    expect(store.get(event.id.slice(0, -1) + last)).toBeNull()
  })

  it('keeps its clock strictly ascending whatever the wall clock does', async () => {
    let now = 1000
    const store = openStore({ now: () => now })
    const times: number[] = []
    for (const wall of [1000, 1000, 500, 2000.7, 0, 2001]) {
      now = wall
      times.push(...(await store.append([item('a')])).map(({ timestamp }) => timestamp))
    }
    expect(times).toEqual([1000, 1000, 1000, 2000, 2000, 2001])
    expect([...store.scanByClock(null)].flat().map(({ seq }) => seq)).toEqual([0, 1, 2, 3, 4, 5])
  })

  it('of nothing is nothing: no event, no log, no signature', async () => {
    const store = openStore()
    const root = store.frontierRoot()
    expect(await store.append([])).toEqual([])
    expect(store.frontierRoot()).toEqual(root)
    expect(store.logs()).toEqual([])
    const other = openStore({ authorSeed: seed(1) })
    await other.append([item('a')])
    store.ingest(runsOf(other))
    // With heads to link, nothing has no first event to link them from.
    const results = await Promise.all([store.append([]), store.append([item('b')])])
    expect(results.map((events) => events.length)).toEqual([0, 1])
  })

  it('is refused once the store is closed; what was under way is stored', async () => {
    const file = tempFile()
    const store = openStore({ path: file })
    const pending = store.append([item('a')])
    store.close()
    store.close()
    expect((await pending)[0]?.seq).toBe(0)
    for (const use of [
      () => store.append([item('b')]),
      () => store.ingest([]),
      () => store.get('00'),
      () => store.readRun('00', 0, 1, false),
      () => store.scan(null, 0, false),
      () => store.scanByClock(null),
    ]) {
      expectError('CLOSED', use)
    }
    expect(everything(openStore({ path: file }))).toHaveLength(1)
  })
})

describe('group commit', () => {
  it('signs 500 appends in flight a few times, and gives each caller its own event', async () => {
    const file = tempFile()
    const store = openStore({ path: file })
    const commits: Commit[] = []
    store.onCommit((commit) => commits.push(commit))
    const results = await Promise.all(Array.from({ length: 500 }, (_, i) => store.append([item(`s/${i}`, i)])))
    expect(results.map((events) => events.map(({ data }) => data))).toEqual(results.map((_, i) => [i]))
    expect(everything(store)).toEqual(results.flat())
    expect(commits).toHaveLength(1)
    store.close()
    expect(signatures(file)).toBe(1)
  })

  it('mixes single events and batches, and starts the next group while callers go on', async () => {
    const store = openStore()
    const done: number[] = []
    const caller = async (n: number): Promise<void> => {
      for (let i = 0; i < 10; i++) {
        const events = await store.append(Array.from({ length: n }, () => item(`caller/${n}`, i)))
        expect(events.map(({ subject, data }) => [subject, data])).toEqual(events.map(() => [`caller/${n}`, i]))
        expect(events.length).toBe(n)
        done.push(n)
      }
    }
    await Promise.all([caller(1), caller(3), caller(7)])
    expect(done).toHaveLength(30)
    expectSound(store)
  })

  it("does not let one caller's too large event fail its neighbours", async () => {
    const store = openStore({ keys: sealed })
    const large = (bytes: number): Promise<Event[]> =>
      (async () => await store.append([item('big', new Uint8Array(bytes))]))()
    const results = await Promise.allSettled([
      store.append([item('a')]),
      large(MAX_EVENT_BYTES),
      store.append([item('b')]),
      large(MAX_EVENT_BYTES - 100),
      large(MAX_EVENT_BYTES - 200),
      store.append([item('c')]),
    ])
    expect(results.map(({ status }) => status)).toEqual([
      'fulfilled',
      'rejected',
      'fulfilled',
      'rejected',
      'fulfilled',
      'fulfilled',
    ])
    for (const result of results) {
      if (result.status === 'rejected') expect((result.reason as PeerlogError).code).toBe('EVENT_TOO_LARGE')
    }
    expect(everything(store).map(({ subject }) => subject)).toEqual(['a', 'b', 'big', 'c'])
    expectSound(store)
  })

  it('refuses the same sizes whatever the length of the log and the heads to link', async () => {
    const store = openStore({ keys: sealed })
    const other = openStore({ keys: sealed, authorSeed: seed(1) })
    await other.append([item('a')])
    store.ingest(runsOf(other))
    let [fits, tooLarge] = [MAX_EVENT_BYTES - 1000, MAX_EVENT_BYTES]
    const append = async (bytes: number): Promise<Event[]> => await store.append([item('big', new Uint8Array(bytes))])
    while (tooLarge - fits > 1) {
      const middle = (fits + tooLarge) >>> 1
      const done = await append(middle).then(
        () => true,
        (error: PeerlogError) => error.code !== 'EVENT_TOO_LARGE',
      )
      if (done) fits = middle
      else tooLarge = middle
    }
    await store.append(Array.from({ length: 200 }, () => item('a')))
    expect((await append(fits)).length).toBe(1)
    await expect(append(fits + 1)).rejects.toThrow(PeerlogError)
    // The room for it is as good as all of it.
    expect(fits).toBeGreaterThan(MAX_EVENT_BYTES - 200)
    expectSound(store)
  })

  it('lets timers and sockets have their turn in an endless loop of awaited appends', async () => {
    const store = openStore({ path: tempFile() })
    const server = net.createServer((peer) => void peer.on('error', () => undefined).pipe(peer)).listen(0, '127.0.0.1')
    await new Promise((resolve) => server.once('listening', resolve))
    const socket = net.connect((server.address() as net.AddressInfo).port, '127.0.0.1')
    await new Promise((resolve) => socket.once('connect', resolve))
    const turns = { ticks: 0, echoes: 0 }
    const timer = setInterval(() => turns.ticks++, 1)
    socket.on('data', () => {
      turns.echoes++
      if (!socket.writableEnded) socket.write('again')
    })
    socket.write('first')
    let appends = 0
    // It ends only if they have.
    while (turns.ticks <= 15 || turns.echoes <= 7) {
      await store.append([item('a', appends)])
      appends++
    }
    clearInterval(timer)
    socket.end()
    server.close()
    // They take turns of some milliseconds, not one for every append.
    expect(appends).toBeGreaterThan(2 * turns.ticks)
  })
})

describe('appendMany over the limits of a segment', () => {
  it('stores all in one transaction under several signatures that another store can verify', async () => {
    const file = tempFile()
    const store = openStore({ path: file, keys: sealed })
    const commits: Commit[] = []
    store.onCommit((commit) => commits.push(commit))
    const events = await store.append(Array.from({ length: 2500 }, (_, i) => item(`s/${i % 7}`, i)))
    const large = await store.append(Array.from({ length: 5 }, (_, i) => item('large', Buffer.alloc(300 * 1024, i))))
    expect(commits).toHaveLength(2)
    expect(commits[0]?.runs.map(({ run }) => run.events.length)).toEqual([1024, 1024, 452])
    expect(commits[1]?.runs.map(({ run }) => run.events.length)).toEqual([1, 1, 1, 1, 1])
    expect(events.map(({ data }) => data)).toEqual(Array.from({ length: 2500 }, (_, i) => i))
    expect(signatures(file)).toBe(8)
    for (const maxBytes of [1, 64 * 1024, PLENTY]) {
      const replica = replicaOf(store, maxBytes, { keys: sealed })
      expect(replica.frontierRoot()).toEqual(store.frontierRoot())
      expect(everything(replica).map(({ id }) => id)).toEqual([...events, ...large].map(({ id }) => id))
    }
    for (const run of runsOf(store, 1)) {
      expect(run.events.length).toBeLessThanOrEqual(MAX_SEGMENT_EVENTS)
      const bytes = run.events.reduce((sum, event) => sum + event.length, 0)
      if (run.events.length > 1) expect(bytes).toBeLessThanOrEqual(MAX_SEGMENT_BYTES)
    }
    expectSound(store)
  })

  it('stores all or nothing', async () => {
    const store = openStore()
    const events = [item('a'), item('big', new Uint8Array(MAX_EVENT_BYTES)), item('c')]
    await expect((async () => await store.append(events))()).rejects.toThrow(/bytes/)
    expect(everything(store)).toEqual([])
    expect((await store.append([item('d')]))[0]).toMatchObject({ seq: 0, position: 1 })
  })

  it(
    'keeps ids apart through every stage of their index: gathering, merging, merged',
    { timeout: 60_000 },
    async () => {
      const file = tempFile()
      let store = openStore({ path: file, durability: 'process' })
      const ids: string[] = []
      const add = async (n: number): Promise<void> => {
        for (const { id } of await store.append(Array.from({ length: n }, () => item('t', 0)))) ids.push(id)
      }
      const check = (): void => {
        const step = Math.max(1, Math.floor(ids.length / 60))
        const places = [
          0,
          1,
          ID_INDEX_BATCH - 1,
          ID_INDEX_BATCH,
          2 * ID_INDEX_BATCH - 1,
          2 * ID_INDEX_BATCH,
          ids.length - 1,
        ]
        for (let i = 0; i < ids.length; i += step) places.push(i)
        for (const i of places) if (i < ids.length) expect(store.get(ids[i] as string)?.position).toBe(i + 1)
        expect(store.get('ab'.repeat(32))).toBeNull()
      }
      const reopen = (): void => {
        store.close()
        store = openStore({ path: file })
      }
      // Less than a batch; a batch and its merging; in the middle of merging; several batches in one transaction.
      await add(60_000)
      check()
      await add(6000)
      await add(1000)
      check()
      reopen()
      check()
      await add(40_000)
      check()
      await add(150_000)
      check()
      const reader = openStore({ path: file, readOnly: true })
      for (const i of [0, 100_000, 200_000, ids.length - 1]) expect(reader.get(ids[i] as string)?.position).toBe(i + 1)
      reader.close()
      reopen()
      check()
      await add(3)
      check()
      for (let i = 0; i < 5; i++) await add(1)
      check()
      const db = new Sqlite(file, { readonly: true })
      expect(db.prepare('SELECT count(*) FROM ids').pluck().get()).toBeGreaterThanOrEqual(2 * ID_INDEX_BATCH)
      db.close()
    },
  )
})

describe('a disk that is full', () => {
  /** A folder on a file system of that size, or null where that can't be had. */
  function smallDisk(kibibytes: number): { folder: string; grow(to: number): void; remove(): void } | null {
    const folder = tempFolder()
    const mount = spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${kibibytes}k`, 'tmpfs', folder])
    if (mount.status !== 0) return null
    return {
      folder,
      grow: (to) => void execFileSync('mount', ['-o', `remount,size=${to}k`, folder]),
      remove: () => void execFileSync('umount', [folder]),
    }
  }

  it('rejects every append of the group, loses nothing, and is usable again once there is room', async (context) => {
    const disk = smallDisk(2048)
    if (disk === null) return context.skip('needs the right to mount a tmpfs')
    try {
      const file = path.join(disk.folder, 'test.db')
      const store = openStore({ path: file, authorSeed: seed(0) })
      const kept: Event[] = []
      const other = openStore({ authorSeed: seed(1) })
      await other.append(Array.from({ length: 3 }, (_, i) => item('theirs', Buffer.alloc(200_000, i))))
      let failed: PromiseSettledResult<Event[]>[] = []
      for (let round = 0; round < 100 && failed.length === 0; round++) {
        const group = Array.from({ length: 5 }, (_, i) => store.append([item(`new/${round}`, Buffer.alloc(20_000, i))]))
        const results = await Promise.allSettled(group)
        const rejected = results.filter(({ status }) => status === 'rejected')
        expect([0, 5]).toContain(rejected.length)
        if (rejected.length > 0) failed = results
        for (const result of results) if (result.status === 'fulfilled') kept.push(...result.value)
      }
      expect(failed).toHaveLength(5)
      for (const result of failed) {
        const error = (result as PromiseRejectedResult).reason as PeerlogError
        expect(error).toBeInstanceOf(PeerlogError)
        expect(error.code).toBe('FILE_UNUSABLE')
      }
      expectError('FILE_UNUSABLE', () => store.ingest(runsOf(other)))
      expect(everything(store).map(({ id }) => id)).toEqual(kept.map(({ id }) => id))
      expectSound(store)
      disk.grow(16 * 1024)
      kept.push(...(await store.append([item('new/after', 1), item('brand/new/subject', 2)])))
      expect(store.ingest(runsOf(other))).toEqual(['stored'])
      expect(everything(store, 'new/**').length + 1).toBe(kept.length)
      expectSound(store)
      store.close()
      const again = openStore({ path: file, authorSeed: seed(0) })
      expect(everything(again)).toHaveLength(kept.length + 3)
      expectSound(again)
      again.close()
    } finally {
      disk.remove()
    }
  })

  it('is as harmless where a quota ends it (a process that may write no larger files)', () => {
    const file = tempFile()
    const script = path.join(import.meta.dirname, 'fixtures', 'fill.ts')
    const register = import.meta.resolve('ts-blank-space/register')
    const command = `trap '' XFSZ; ulimit -f 1200; exec "${process.execPath}" --import "${register}" "${script}" "${file}"`
    const run = spawnSync('bash', ['-c', command], { encoding: 'utf8', timeout: 30_000 })
    expect(run.stderr).toBe('')
    const { acknowledged, codes, held } = JSON.parse(run.stdout) as {
      acknowledged: number
      codes: string[]
      held: number
    }
    expect(codes).toEqual(Array.from({ length: 10 }, () => 'FILE_UNUSABLE'))
    expect(held).toBe(acknowledged)
    expect(acknowledged).toBeGreaterThan(5)
    const store = openStore({ path: file })
    expect(everything(store)).toHaveLength(acknowledged)
    expectSound(store)
    expect(fs.existsSync(`${file}-journal`)).toBe(false)
  })
})

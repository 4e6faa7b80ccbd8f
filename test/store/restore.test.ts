import { execFileSync } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { MAX_CLOCK_AHEAD_MS } from '../../src/base/limits.ts'
import { compareTimestamps } from '../../src/event/clock.ts'
import type { Run } from '../../src/event/run.ts'
import type { EventStore } from '../../src/store/event-store.ts'
import { startChild } from './children.ts'
import {
  everything,
  expectSound,
  fingerprints,
  item,
  lengths,
  linksOf,
  open,
  openStore,
  PLENTY,
  replicaOf,
  sealed,
  seed,
  tempFile,
  tempFolder,
} from './stores.ts'

const NAMES = ['', '.key', '-lock']

async function write(file: string, count: number): Promise<string> {
  const store = openStore({ path: file })
  await store.append(Array.from({ length: count }, (_, i) => item('a', i)))
  store.close()
  return store.author
}

/** Copies the database and what lies beside it, and keeps the times of change that can be kept. */
function copy(from: string, to: string, names: readonly string[] = NAMES): void {
  for (const name of names) execFileSync('cp', ['-p', from + name, to + name])
}

function isUnsure(file: string, options: Parameters<typeof openStore>[0] = {}): boolean {
  const store = openStore({ path: file, ...options })
  const { ownLogMayLag } = store
  store.close()
  return ownLogMayLag
}

/** A file with 100 events, and a folder with copies of it and its neighbours from when it had 50. */
async function withBackup(): Promise<{ file: string; backup: string; author: string }> {
  const file = tempFile()
  const backup = tempFile()
  const author = await write(file, 50)
  copy(file, backup)
  await write(file, 50)
  return { file, backup, author }
}

describe('a file is known for what it was left as', () => {
  it('when it is new, and whenever it was closed and nothing has touched it', async () => {
    const file = tempFile()
    expect(isUnsure(file)).toBe(false)
    expect(isUnsure(file)).toBe(false)
    for (let i = 0; i < 3; i++) {
      await write(file, 20)
      expect(isUnsure(file)).toBe(false)
    }
    expect(isUnsure(':memory:')).toBe(false)
  })

  it('also when others have written to it, and after it was only read', async () => {
    const file = tempFile()
    await write(file, 5)
    const other = openStore()
    await other.append([item('b'), item('b')])
    const store = openStore({ path: file })
    store.ingest([other.readRun(other.author, 0, PLENTY, false) as Run])
    store.close()
    const before = fingerprints(path.dirname(file))
    const reader = openStore({ path: file, readOnly: true })
    expect(reader.ownLogMayLag).toBe(false)
    expect(everything(reader)).toHaveLength(7)
    reader.close()
    expect(fingerprints(path.dirname(file))).toEqual(before)
    expect(isUnsure(file)).toBe(false)
  })

  it('when a reader leaves after the writer, whose log it could have moved into the file', async () => {
    const file = tempFile()
    await write(file, 5)
    const reader = openStore({ path: file, readOnly: true })
    everything(reader)
    await write(file, 100)
    reader.close()
    expect(isUnsure(file)).toBe(false)
  })

  it('by whichever name it is opened, but not for another author', async () => {
    const file = tempFile()
    openStore({ path: file, authorSeed: seed(1) }).close()
    const link = path.join(tempFolder(), 'link.db')
    fs.symlinkSync(file, link)
    // A seed that was given may have written elsewhere before: the new file was unsure, and stays so until it writes.
    expect(isUnsure(link, { authorSeed: seed(1) })).toBe(true)
    const store = openStore({ path: link, authorSeed: seed(1) })
    await store.append([item('a')])
    store.close()
    expect(isUnsure(file, { authorSeed: seed(1) })).toBe(false)
    expect(isUnsure(file, { authorSeed: seed(2) })).toBe(true)
    expect(isUnsure(':memory:', { authorSeed: seed(1) })).toBe(true)
  })

  it('not when its lock is gone or damaged, which does no other harm', async () => {
    const { file } = await withBackup()
    const good = fs.readFileSync(`${file}-lock`)
    fs.rmSync(`${file}-lock`)
    expect(isUnsure(file)).toBe(true)
    for (const bad of [
      Buffer.alloc(0),
      Buffer.from('what is this? '.repeat(1000)),
      Buffer.alloc(8192),
      good.subarray(0, 5000),
    ]) {
      fs.writeFileSync(`${file}-lock`, bad)
      expect(isUnsure(file)).toBe(true)
    }
    for (let at = 0; at < good.length; at += 97) {
      const bad = Buffer.from(good)
      bad[at] = (bad[at] as number) ^ 0xff
      fs.writeFileSync(`${file}-lock`, bad)
      const store = openStore({ path: file })
      store.close()
    }
    await write(file, 1)
    expect(isUnsure(file)).toBe(false)
  })
})

describe('a file that may be an older copy of itself is known', () => {
  const restores: Record<string, (backup: string, file: string) => void> = {
    'copied over the file': (backup, file) => fs.copyFileSync(backup, file),
    'copied over the file with its times': (backup, file) => copy(backup, file, ['']),
    'moved into its place': (backup, file) => fs.renameSync(backup, file),
    'copied over it with key and lock': (backup, file) => copy(backup, file),
    'moved into its place with key and lock': (backup, file) => {
      for (const name of NAMES) fs.renameSync(backup + name, file + name)
    },
    'copied into the empty folder with key and lock': (backup, file) => {
      for (const name of NAMES) fs.rmSync(file + name)
      copy(backup, file)
    },
  }
  it.each(Object.entries(restores))('%s', async (_, restore) => {
    const { file, backup, author } = await withBackup()
    restore(backup, file)
    const store = openStore({ path: file })
    expect([store.author, store.position, store.ownLogMayLag]).toEqual([author, 50, true])
    store.close()
    // As long as it has neither asked nor written.
    expect(isUnsure(file)).toBe(true)
    const again = openStore({ path: file })
    again.confirmOwnLog()
    again.close()
    expect(isUnsure(file)).toBe(false)
  })

  it('in another folder', async () => {
    const { backup, author } = await withBackup()
    const store = openStore({ path: backup })
    expect([store.author, store.ownLogMayLag]).toEqual([author, true])
  })

  it('without its database it is a new author, as before', async () => {
    const { file, author } = await withBackup()
    fs.rmSync(file)
    const store = openStore({ path: file })
    expect(store.author).not.toBe(author)
    expect(store.ownLogMayLag).toBe(false)
  })

  it('after a crash, even if the power failed too and took with it what had been promised', async () => {
    const file = tempFile()
    openStore({ path: file, keys: sealed }).close()
    expect(isUnsure(file, { keys: sealed })).toBe(false)
    const child = startChild('append', file)
    await child.until((lines) => lines.length > 20)
    await child.kill()
    fs.rmSync(`${file}-wal`)
    const store = openStore({ path: file, keys: sealed })
    expect([store.position, store.ownLogMayLag]).toEqual([0, true])
  })

  it('not after a crash of a process that has written nothing of its own', async () => {
    const file = tempFile()
    openStore({ path: file, keys: sealed }).close()
    const child = startChild('hold', file)
    await child.until((lines) => lines.includes('open'))
    await child.kill()
    expect(isUnsure(file, { keys: sealed })).toBe(false)
  })
})

describe('what it lacks of its own log', () => {
  const rest = (of: EventStore, from: number, maxBytes: number): Run[] => {
    const runs: Run[] = []
    for (let seq = from; seq < (of.logs()[0]?.mmr.length as number); seq += runs.at(-1)?.events.length as number) {
      runs.push(of.readRun(of.logs()[0]?.hex as string, seq, maxBytes, false) as Run)
    }
    return runs
  }

  it.each([1, 3000, PLENTY])(
    'is taken from a peer (frames of %d bytes), and the next append goes on after it',
    async (size) => {
      const { file, backup, author } = await withBackup()
      const whole = openStore({ path: file })
      const peer = replicaOf(whole)
      whole.close()
      const store = openStore({ path: backup })
      const runs = rest(peer, 50, size)
      expect(store.ingest(runs)).toEqual(runs.map(() => 'stored'))
      const before = everything(store)
      expect(before.map(({ seq, local }) => [seq, local])).toEqual(before.map((_, i) => [i, true]))
      expect(store.frontierRoot()).toEqual(peer.frontierRoot())
      // Several at once: they share one commit, after all that was taken over.
      const appended = await Promise.all(['x', 'y', 'z'].map((data) => store.append([item('a', data)])))
      expect(appended.flat().map(({ seq, author: by, local }) => [seq, by, local])).toEqual(
        [100, 101, 102].map((seq) => [seq, author, true]),
      )
      expect(appended.flat().every(({ timestamp }) => timestamp >= (before.at(-1)?.timestamp as number))).toBe(true)
      expectSound(store)
      expect(peer.ingest(rest(store, 100, size)).every((status) => status === 'stored')).toBe(true)
      expect(peer.frontierRoot()).toEqual(store.frontierRoot())
      store.close()
      const again = openStore({ path: backup })
      expect((await again.append([item('a')]))[0]).toMatchObject({ seq: 103, author })
      expectSound(again)
    },
  )

  it('is not held back for its clock: the next append comes after it, on a machine that is behind', async () => {
    const later = Date.now() + 2 * MAX_CLOCK_AHEAD_MS
    const ahead = openStore({ authorSeed: seed(1), now: () => later })
    await ahead.append([item('a', 0), item('a', 1)])
    const behind = openStore({ authorSeed: seed(1) })
    expect(behind.ingest(rest(ahead, 0, PLENTY))).toEqual(['stored'])
    const [event] = await behind.append([item('a', 2)])
    expect(event).toMatchObject({ seq: 2, local: true })
    const log = behind.log(behind.author)
    expect(compareTimestamps(log as never, ahead.log(ahead.author) as never)).toBeGreaterThan(0)
    // For others it is held back until its time has come.
    const other = openStore()
    expect(other.ingest(rest(ahead, 0, PLENTY))).toEqual(['held'])
  })

  it('does not stop it from linking what it has seen of others', async () => {
    const { file, backup } = await withBackup()
    const whole = openStore({ path: file })
    const other = openStore()
    await other.append([item('b')])
    const store = openStore({ path: backup })
    store.ingest([other.readRun(other.author, 0, PLENTY, false) as Run])
    store.ingest([whole.readRun(whole.author, 50, PLENTY, false) as Run])
    const [event] = await store.append([item('a')])
    expect(linksOf(store, store.author, event?.seq as number, open)).toMatchObject([{ seq: 0 }])
    expect(lengths(store)).toEqual(new Map([...lengths(other), [store.author, 101]]))
  })
})

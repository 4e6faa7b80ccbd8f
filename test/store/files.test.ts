import fs from 'node:fs'
import path from 'node:path'
import Sqlite from 'better-sqlite3'
import { describe, expect, it } from 'vitest'
import { PeerlogError } from '../../src/base/errors.ts'
import { deriveDatabaseKeys } from '../../src/event/keys.ts'
import { authorKeyPair } from '../../src/event/signature.ts'
import { parseSubjectPattern } from '../../src/event/subject.ts'
import type { EventStore } from '../../src/store/event-store.ts'
import { SCHEMA_VERSION } from '../../src/store/schema.ts'
import { startChild } from './children.ts'
import {
  Author,
  blind,
  DATABASE,
  everything,
  expectError,
  expectSound,
  fingerprints,
  item,
  open,
  openStore,
  otherSecret,
  PLENTY,
  runsOf,
  sealed,
  seed,
  tempFile,
  tempFolder,
} from './stores.ts'

/** A closed database with some events in it. */
async function filled(file: string, options: Parameters<typeof openStore>[0] = {}): Promise<string> {
  const store = openStore({ path: file, ...options })
  for (let i = 0; i < 5; i++) await store.append(Array.from({ length: 40 }, (_, n) => item(`s/${n % 5}`, `${i} ${n}`)))
  store.ingest([new Author(1, options.keys ?? open).write().write().run()])
  store.close()
  return file
}

/** Expects that opening is refused with the code, and that nothing in the folder has changed by it. */
function expectRefused(
  code: PeerlogError['code'],
  file: string,
  options: Parameters<typeof openStore>[0] = {},
): PeerlogError {
  const folder = path.dirname(file)
  const before = fs.existsSync(folder) && fs.statSync(folder).isDirectory() ? fingerprints(folder) : null
  const error = expectError(code, () => openStore({ path: file, ...options }))
  if (before !== null) expect(fingerprints(folder)).toEqual(before)
  if (options.readOnly !== true) {
    expectError(code, () => openStore({ path: file, ...options, readOnly: true }))
    if (before !== null) expect(fingerprints(folder)).toEqual(before)
  }
  expect(error.hint).toBeTruthy()
  expect(error.message).toContain(error.hint)
  return error
}

describe('a file that can not be used is refused and left as it is', () => {
  it('in a folder that does not exist', () => {
    const folder = path.join(tempFolder(), 'missing')
    expectRefused('FOLDER_MISSING', path.join(folder, 'test.db'))
    expect(fs.existsSync(folder)).toBe(false)
  })

  it('is a folder, a device, or below a file', async () => {
    const folder = tempFolder()
    fs.mkdirSync(path.join(folder, 'test.db'))
    expectRefused('FILE_UNUSABLE', path.join(folder, 'test.db'))
    expectError('FILE_UNUSABLE', () => openStore({ path: '/dev/null' }))
    expect(fs.existsSync('/dev/null-lock')).toBe(false)
    fs.writeFileSync(path.join(folder, 'file'), 'x')
    expectRefused('FILE_UNUSABLE', path.join(folder, 'file', 'test.db'))
  })

  it('is missing when it is to be read only', () => {
    expectRefused('FILE_UNUSABLE', tempFile(), { readOnly: true })
  })

  it.each([
    ['a text', Buffer.from('Dear diary,\n'.repeat(100))],
    ['a byte', Buffer.from('x')],
    ['a SQLite header cut short', Buffer.from('SQLite format 3\0')],
    ['zeros', Buffer.alloc(8192)],
  ])('is not of SQLite: %s', (_, bytes) => {
    const file = tempFile()
    fs.writeFileSync(file, bytes)
    expectRefused('FOREIGN_FILE', file)
  })

  it("is another program's database, in whichever journal mode", () => {
    for (const mode of ['DELETE', 'WAL']) {
      const file = tempFile()
      const db = new Sqlite(file)
      db.pragma(`journal_mode = ${mode}`)
      db.exec('CREATE TABLE meta (name, value); CREATE TABLE events (x)')
      db.close()
      expectRefused('FOREIGN_FILE', file)
    }
  })

  it('was written by a newer peerlog', async () => {
    const file = await filled(tempFile())
    const db = new Sqlite(file)
    db.pragma(`user_version = ${SCHEMA_VERSION + 1}`)
    db.close()
    const error = expectRefused('NEWER_SCHEMA', file)
    expect(error.message).toMatch(/schema 3.*knows 2/)
  })

  it('is shorter than it says', async () => {
    const file = await filled(tempFile())
    const { size } = fs.statSync(file)
    for (const length of [size - 1, size - 4096, size - 5000, 4096, 200]) {
      fs.truncateSync(file, length)
      expectRefused('CORRUPT_FILE', file)
    }
    fs.truncateSync(file, 99)
    expectRefused('FOREIGN_FILE', file)
  })

  it('is of another database, another secret, or none', async () => {
    const file = await filled(tempFile(), { keys: sealed })
    const other = { databaseId: 'other', keys: await deriveDatabaseKeys('other', Buffer.alloc(32, 1)) }
    expect(expectRefused('OTHER_DATABASE', file, other).message).toContain(`'${DATABASE}'`)
    expectRefused('WRONG_SECRET', file, { keys: otherSecret })
    expectRefused('WRONG_SECRET', file, { keys: open })
    const clear = await filled(tempFile(), { keys: open })
    expectRefused('WRONG_SECRET', clear, { keys: sealed })
    // What may keep it without reading it may open it.
    const dark = openStore({ path: file, keys: blind })
    expect(everything(dark)).toEqual([])
    expect(runsOf(dark)).toHaveLength(2)
  })
})

describe('one writer', () => {
  it('within a process: the second handle is told, and gets it once the first is closed', async () => {
    const file = await filled(tempFile())
    const first = openStore({ path: file })
    expect(expectError('LOCKED', () => openStore({ path: file })).message).toContain('readOnly')
    await first.append([item('a')])
    first.close()
    await openStore({ path: file }).append([item('a')])
  })

  it('by whichever name it is opened', async () => {
    const file = await filled(tempFile())
    const link = path.join(tempFolder(), 'link.db')
    fs.symlinkSync(file, link)
    openStore({ path: file })
    expectError('LOCKED', () => openStore({ path: link, authorSeed: seed(5) }))
    expectError('LOCKED', () => openStore({ path: path.join(path.dirname(file), '.', path.basename(file)) }))
  })

  it('between processes: locked, readable meanwhile, and free again once the other is killed', async () => {
    const file = await filled(tempFile(), { keys: sealed })
    const child = startChild('append', file)
    await child.until((lines) => lines.length > 20)
    for (let i = 0; i < 20; i++) expectError('LOCKED', () => openStore({ path: file, keys: sealed }))
    const seen: number[] = []
    for (let i = 0; i < 5; i++) {
      const reader = openStore({ path: file, keys: sealed, readOnly: true })
      const length = reader.log(reader.logs().find(({ mmr }) => mmr.length > 2)?.hex as string)?.mmr.length as number
      const events = everything(reader)
      expect(events.length).toBeGreaterThanOrEqual(length)
      expect(events.map(({ position }) => position)).toEqual(events.map((_, n) => n + 1))
      expect(reader.get(events[3]?.id as string)).toEqual(events[3])
      expectError('INVALID_ARGUMENT', () => reader.append([item('a')]))
      expectError('INVALID_ARGUMENT', () => reader.ingest([]))
      reader.close()
      seen.push(length)
      await child.until((lines) => lines.length > 40 + 20 * i)
    }
    expect(seen.at(-1)).toBeGreaterThan(seen[0] as number)
    await child.kill()
    const store = openStore({ path: file, keys: sealed })
    expect((await store.append([item('a')]))[0]?.seq).toBeGreaterThan(Number(child.lines().at(-1)))
    expectSound(store)
  })

  it('takes nothing from a file that is only read', async () => {
    const file = await filled(tempFile())
    const before = fingerprints(path.dirname(file))
    const reader = openStore({ path: file, readOnly: true })
    expect(everything(reader)).toHaveLength(202)
    expectSound(reader)
    const writer = openStore({ path: file })
    writer.close()
    reader.close()
    expect(fingerprints(path.dirname(file))).toEqual(before)
  })

  it('leaves nothing but the database, its key and its lock', async () => {
    const file = await filled(tempFile())
    expect(fs.readdirSync(path.dirname(file)).toSorted()).toEqual(['test.db', 'test.db-lock', 'test.db.key'])
  })
})

describe('damage', () => {
  /** Everything one can ask of a store must be as it was, or refused as damaged. What was refused is returned. */
  function examine(file: string, truth: ReturnType<typeof look>): string[] {
    const refused: string[] = []
    const attempt = <T>(what: string, action: () => T): T | null => {
      try {
        return action()
      } catch (error) {
        if (!(error instanceof PeerlogError)) throw new Error(`${what}: not a PeerlogError`, { cause: error })
        expect([what, error.code]).toEqual([what, 'CORRUPT_FILE'])
        refused.push(what)
        return null
      }
    }
    const store = attempt('open', () => openStore({ path: file, authorSeed: seed(0) }))
    if (store === null) return refused
    for (const [what, pattern] of [
      ['scan', null],
      ['index', 's/1'],
      ['pattern', 's/*'],
    ] as const) {
      const seen = attempt(what, () => everything(store, pattern).map((event) => JSON.stringify(event)))
      if (seen !== null) expect([what, seen]).toEqual([what, truth[what]])
    }
    const ordered = attempt('clock', () => [...store.scanByClock(null)].flat().map((event) => JSON.stringify(event)))
    if (ordered !== null) expect(ordered).toEqual(truth.clock)
    for (const [id, event] of truth.byId) {
      const found = attempt('get', () => JSON.stringify(store.get(id)))
      if (found !== null) expect(found).toBe(event)
    }
    const root = attempt('root', () => store.frontierRoot().toString('hex'))
    if (root !== null) expect(root).toBe(truth.root)
    attempt('close', () => store.close())
    return refused
  }

  function look(file: string) {
    const store = openStore({ path: file, authorSeed: seed(0) })
    const text = (pattern: string | null): string[] => everything(store, pattern).map((event) => JSON.stringify(event))
    const truth = {
      scan: text(null),
      index: text('s/1'),
      pattern: text('s/*'),
      clock: [...store.scanByClock(null)].flat().map((event) => JSON.stringify(event)),
      byId: everything(store).map((event) => [event.id, JSON.stringify(event)] as const),
      root: store.frontierRoot().toString('hex'),
    }
    store.close()
    return truth
  }

  it('of any page is found out, on opening or on use, and never gives wrong events', async () => {
    const file = await filled(tempFile(), { authorSeed: seed(0) })
    const good = fs.readFileSync(file)
    const truth = look(file)
    expect(truth.scan).toHaveLength(202)
    const found: number[] = []
    const pages = good.length / 4096
    expect(pages).toBeGreaterThan(10)
    for (const fill of [0xa5, 0x00]) {
      for (let page = 1; page < pages; page++) {
        const bad = Buffer.from(good)
        bad.fill(fill, page * 4096, (page + 1) * 4096)
        fs.writeFileSync(file, bad)
        if (examine(file, truth).length > 0) found.push(page)
      }
    }
    // All but the pages that nothing was asked of.
    expect(found.length).toBeGreaterThan(1.2 * pages)
  })

  it('of an event in an unsealed database, where nothing but its id tells', async () => {
    const file = tempFile()
    const store = openStore({ path: file, authorSeed: seed(0) })
    const [event] = await store.append([item('bank', 'pay Alice 100'), item('bank', 'pay Bob 7')])
    await store.append([item('other', 1)])
    store.close()
    const bytes = fs.readFileSync(file)
    const at = bytes.indexOf('pay Alice 100')
    expect(at).toBeGreaterThan(0)
    bytes.write('pay Malle 999', at)
    fs.writeFileSync(file, bytes)
    const again = openStore({ path: file, authorSeed: seed(0) })
    const scans = [again.scan(null, 0, false), again.scan(null, 100, true), again.scanByClock(null)]
    scans.push(again.scan(parseSubjectPattern('bank'), 0, false))
    for (const scan of scans) expectError('CORRUPT_FILE', () => [...scan])
    expectError('CORRUPT_FILE', () => again.get(event?.id as string))
    expect(everything(again, 'other')).toHaveLength(1)
    // What it serves, no other replica takes.
    const run = again.readRun(again.author, 0, PLENTY, false)
    expect(openStore().ingest([run as never])).toEqual(['invalid'])
  })

  it('of our own half is not taken for a fork', async () => {
    const file = tempFile()
    const honest = openStore({ authorSeed: seed(0) })
    await honest.append([item('bank', 'pay Alice 100')])
    await honest.append([item('bank', 'pay Bob 7')])
    const store = openStore({ path: file, authorSeed: seed(1) })
    store.ingest(runsOf(honest))
    store.close()
    const bytes = fs.readFileSync(file)
    bytes.write('pay Malle 999', bytes.indexOf('pay Alice 100'))
    fs.writeFileSync(file, bytes)
    const again = openStore({ path: file, authorSeed: seed(1) })
    expectError('CORRUPT_FILE', () => again.ingest([honest.readRun(honest.author, 1, PLENTY, true) as never]))
    expect(again.log(honest.author)?.fork).toBeNull()
  })

  it('of single bits gives no wrong event either', async () => {
    const file = await filled(tempFile(), { authorSeed: seed(0) })
    const good = fs.readFileSync(file)
    const truth = look(file)
    const events = new Set(
      truth.scan.map((text) => ({ ...JSON.parse(text), position: 0 })).map((event) => JSON.stringify(event)),
    )
    let state = 12345
    for (let i = 0; i < 250; i++) {
      state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff
      const at = 4096 + (state % (good.length - 4096))
      const bad = Buffer.from(good)
      bad[at] = (bad[at] as number) ^ (1 << ((state >>> 13) % 8))
      fs.writeFileSync(file, bad)
      let store: EventStore | null = null
      try {
        store = openStore({ path: file, authorSeed: seed(0) })
        for (const event of [
          ...everything(store),
          ...[...store.scanByClock(null)].flat(),
          ...everything(store, 's/2'),
        ]) {
          expect(events.has(JSON.stringify({ ...event, position: 0 }))).toBe(true)
        }
        for (const [id, text] of truth.byId.slice(0, 20)) {
          const event = store.get(id)
          if (event !== null)
            expect(JSON.stringify({ ...event, position: 0 })).toBe(JSON.stringify({ ...JSON.parse(text), position: 0 }))
        }
      } catch (error) {
        if (!(error instanceof PeerlogError)) throw new Error(`byte ${at}`, { cause: error })
        expect([at, error.code]).toEqual([at, 'CORRUPT_FILE'])
      } finally {
        store?.close()
      }
    }
  })
})

describe('the author key', () => {
  function replaceByFolder(key: string): void {
    fs.rmSync(key)
    fs.mkdirSync(key, { mode: 0o700 })
  }

  const seedIn = (key: string): Buffer =>
    Buffer.from((JSON.parse(fs.readFileSync(key, 'utf8')) as { seed: string }).seed, 'hex')

  it("is in a file of the user's own, and nowhere in the database", async () => {
    const file = await filled(tempFile(), { keys: sealed })
    const key = `${file}.key`
    expect(fs.statSync(key).mode & 0o777).toBe(0o600)
    const store = openStore({ path: file, keys: sealed })
    const { publicKey, secretKey } = authorKeyPair(seedIn(key))
    expect(store.author).toBe(publicKey.toString('hex'))
    for (const name of [file, `${file}-wal`]) {
      if (!fs.existsSync(name)) continue
      const bytes = fs.readFileSync(name)
      for (const secret of [
        seedIn(key),
        secretKey.subarray(0, 32),
        Buffer.from(seedIn(key).toString('hex')),
        sealed.seal as Buffer,
        sealed.admission,
      ]) {
        expect(bytes.includes(secret)).toBe(false)
      }
    }
    expect(Buffer.from(store.noiseSeed).equals(seedIn(key))).toBe(false)
  })

  it('makes the same author and the same Noise key again', async () => {
    const file = tempFile()
    const first = openStore({ path: file })
    first.close()
    const second = openStore({ path: file })
    expect([second.author, second.noiseSeed]).toEqual([first.author, first.noiseSeed])
    expect(openStore().author).not.toBe(openStore().author)
  })

  it.each([
    ['others can read it', (key: string) => fs.chmodSync(key, 0o644)],
    ['the group can write it', (key: string) => fs.chmodSync(key, 0o620)],
    ['it is empty', (key: string) => fs.writeFileSync(key, '')],
    ['it is garbage', (key: string) => fs.writeFileSync(key, '{"peerlog":"author key"}')],
    [
      'it has a short seed',
      (key: string) => fs.writeFileSync(key, fs.readFileSync(key, 'utf8').replace(/("seed": ")../, '$1')),
    ],
    [
      'it is of a later version',
      (key: string) => fs.writeFileSync(key, fs.readFileSync(key, 'utf8').replace('"version": 1', '"version": 2')),
    ],
    ['it is a folder', replaceByFolder],
  ])('is refused when %s', async (_, spoil) => {
    const file = await filled(tempFile())
    spoil(`${file}.key`)
    expectRefused('INVALID_KEY_FILE', file)
    // Nor is a database made beside it.
    fs.rmSync(file)
    fs.rmSync(`${file}-lock`)
    const before = fingerprints(path.dirname(file))
    expectError('INVALID_KEY_FILE', () => openStore({ path: file }))
    expect(fingerprints(path.dirname(file))).toEqual(before)
  })

  it('is refused when it is of another database', async () => {
    const file = await filled(tempFile())
    const other = tempFile()
    openStore({ path: other, databaseId: 'other', keys: await deriveDatabaseKeys('other') }).close()
    fs.copyFileSync(`${other}.key`, `${file}.key`)
    expectRefused('INVALID_KEY_FILE', file)
  })

  it('stays behind when a database is copied: the copy is another author, and both go on', async () => {
    const file = await filled(tempFile())
    const copy = tempFile()
    fs.copyFileSync(file, copy)
    const [a, b] = [openStore({ path: file }), openStore({ path: copy })]
    expect(a.author).not.toBe(b.author)
    expect((await a.append([item('a')]))[0]?.seq).toBe(200)
    expect((await b.append([item('b')]))[0]?.seq).toBe(0)
    expect(a.ingest([b.readRun(b.author, 0, PLENTY, false) as never])).toEqual(['stored'])
    expect(b.ingest([a.readRun(a.author, 200, PLENTY, true) as never])).toEqual(['stored'])
    expect(a.frontierRoot()).toEqual(b.frontierRoot())
    expect(everything(b).filter(({ local }) => local)).toHaveLength(1)
  })

  it('is not used again once its database is gone, and is kept beside', async () => {
    const file = await filled(tempFile())
    const old = fs.readFileSync(`${file}.key`, 'utf8')
    const first = openStore({ path: file })
    first.close()
    fs.rmSync(file)
    const second = openStore({ path: file })
    expect(second.author).not.toBe(first.author)
    second.close()
    const kept = fs.readdirSync(path.dirname(file)).filter((name) => name.startsWith('test.db.key.'))
    expect(kept).toHaveLength(1)
    expect(fs.readFileSync(path.join(path.dirname(file), kept[0] as string), 'utf8')).toBe(old)
    expect(openStore({ path: file }).author).toBe(second.author)
  })

  it('is not used for a database that another key has written: signing on would fork its log', async () => {
    const file = await filled(tempFile())
    const first = openStore({ path: file })
    // What another device had of us some time ago, put in the place of what we have.
    const other = tempFile()
    const elsewhere = openStore({ path: other })
    elsewhere.ingest([first.readRun(first.author, 0, 1, false) as never])
    elsewhere.close()
    first.close()
    fs.copyFileSync(other, file)
    const second = openStore({ path: file })
    expect([first.author, elsewhere.author]).not.toContain(second.author)
    expect((await second.append([item('a')]))[0]?.seq).toBe(0)
  })

  it('is not used when a new database was cut off before its own key was made', () => {
    const file = tempFile()
    const first = openStore({ path: file })
    first.close()
    fs.rmSync(file)
    // The file exists with its tables, but there was no time for more.
    const fresh = tempFile()
    openStore({ path: fresh, authorSeed: seed(0) }).close()
    fs.copyFileSync(fresh, file)
    expect(openStore({ path: file }).author).not.toBe(first.author)
  })
})

describe('an empty file', () => {
  it('is a new database', async () => {
    const file = tempFile()
    fs.writeFileSync(file, '')
    const store = openStore({ path: file })
    expect((await store.append([item('a')]))[0]?.position).toBe(1)
    expectSound(store)
  })
})

import fs from 'node:fs'
import path from 'node:path'
import Sqlite from 'better-sqlite3'
import { describe, expect, it } from 'vitest'
import { SCHEMA_VERSION } from '../../src/store/schema.ts'
import { dice } from '../../src/base/dice.ts'
import { integrity } from '../faults/ledger.ts'
import { startChild } from './children.ts'
import {
  everything,
  expectError,
  expectSound,
  fingerprints,
  item,
  openStore,
  PLENTY,
  replicaOf,
  runsOf,
  sealed,
  SEED,
  seed,
  tempFile,
  tempFolder,
} from './stores.ts'

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

describe('a process that is killed', () => {
  it.each([
    ['append', 3],
    ['batch', 3],
  ])(
    'while it appends (%s) has lost nothing that it acknowledged, and goes on without a fork',
    async (task, rounds) => {
      const random = dice(SEED)
      const file = tempFile()
      const witness = openStore({ keys: sealed })
      let author: string | null = null
      let acknowledged = -1
      for (let round = 0; round < rounds; round++) {
        const child = startChild(task, file)
        await child.until((lines) => lines.length > 2)
        await sleep(random() * 120)
        await child.kill()
        expect(child.errors()).toBe('')
        const seqs = child.lines().slice(2).map(Number)
        expect(seqs[0]).toBeGreaterThan(acknowledged)
        acknowledged = seqs.at(-1) as number

        const store = openStore({ path: file, keys: sealed })
        author ??= store.author
        expect(store.author).toBe(author)
        expect(store.log(author)?.mmr.length).toBeGreaterThan(acknowledged)
        const events = everything(store)
        expect(events.map(({ seq }) => seq)).toEqual(events.map((_, i) => i))
        // A replica that saw every earlier state sees no contradiction.
        for (const run of runsOf(store, 50_000, (hex) => witness.log(hex)?.mmr.length ?? 0)) {
          expect(witness.ingest([run])).toEqual(['stored'])
        }
        const [own] = await store.append([item('after', round)])
        expect(own?.seq).toBe(events.length)
        acknowledged = own?.seq as number
        expect(witness.ingest([store.readRun(author, acknowledged, PLENTY, true) as never])).toEqual(['stored'])
        expect(witness.frontierRoot()).toEqual(store.frontierRoot())
        if (round === rounds - 1) expectSound(store)
        store.close()
        expect(integrity(file)).toBe('ok')
      }
    },
  )

  it('while it ingests has kept every run that it took', async () => {
    const random = dice(SEED + 1)
    const folder = tempFolder()
    const source = path.join(folder, 'source.db')
    const origin = openStore({ path: source, keys: sealed })
    for (let i = 0; i < 100; i++) await origin.append(Array.from({ length: 50 }, (_, n) => item(`s/${n}`, n)))
    const events = runsOf(origin, 50_000).flatMap((run) => run.events.map((bytes) => bytes.toString('hex')))
    const file = path.join(folder, 'test.db')
    const { author } = origin
    origin.close()
    for (let round = 0; round < 3; round++) {
      const child = startChild('ingest', file, source)
      await child.until((lines) => lines.length > 3)
      await sleep(random() * 25)
      await child.kill()
      expect(child.errors()).toBe('')
      const length = Number(child.lines().at(-1))
      const store = openStore({ path: file, keys: sealed })
      const held = store.log(author)?.mmr.length ?? 0
      expect(held).toBeGreaterThanOrEqual(length)
      expect(runsOf(store).flatMap((run) => run.events.map((bytes) => bytes.toString('hex')))).toEqual(
        events.slice(0, held),
      )
      expectSound(store)
      store.close()
      expect(integrity(file)).toBe('ok')
    }
  })

  it('while it creates its file leaves one that can be opened and is of peerlog, and never two histories', async () => {
    const random = dice(SEED + 2)
    for (let round = 0; round < 5; round++) {
      const file = tempFile()
      const child = startChild('create', file)
      await child.until((lines) => lines.length > 0)
      await sleep(random() * 30)
      await child.kill()
      const author = child.lines()[1]
      for (let again = 0; again < 2; again++) {
        const store = openStore({ path: file, keys: sealed })
        if (author !== undefined) expect(store.author).toBe(author)
        await store.append([item('a', again)])
        expectSound(store)
        store.close()
      }
      expect(integrity(file)).toBe('ok')
    }
  })
})

/** A hot journal of a file that was empty: its header, no pages, zero pages before. */
function emptyJournal(): Buffer {
  const journal = Buffer.alloc(512)
  Buffer.from('d9d505f920a163d7', 'hex').copy(journal)
  journal.writeUInt32BE(0, 8)
  journal.writeUInt32BE(1, 12)
  journal.writeUInt32BE(0, 16)
  journal.writeUInt32BE(512, 20)
  journal.writeUInt32BE(4096, 24)
  return journal
}

describe('a file as a killed process leaves it', () => {
  /** The file and its write-ahead log as they are now, under another name: what would be left of them. */
  function left(file: string): string {
    const copy = path.join(tempFolder(), 'left.db')
    for (const suffix of ['', '-wal', '-journal', '.key']) {
      if (fs.existsSync(file + suffix)) fs.copyFileSync(file + suffix, copy + suffix)
    }
    return copy
  }

  it('in the middle of a checkpoint: the header says more pages than there are yet', async () => {
    const file = tempFile()
    const store = openStore({ path: file, authorSeed: seed(0) })
    for (let i = 0; i < 20; i++) await store.append([item('a', Buffer.alloc(10_000, i))])
    const copy = left(file)
    const before = fs.statSync(copy).size
    store.close()
    // Pages are moved in ascending order: the first one has arrived, and half of the second.
    const moved = fs.readFileSync(file)
    expect(moved.length).toBeGreaterThan(before)
    const descriptor = fs.openSync(copy, 'r+')
    fs.writeSync(descriptor, moved, 0, 6000, 0)
    fs.closeSync(descriptor)
    fs.truncateSync(copy, before + 1000)
    const again = openStore({ path: copy, authorSeed: seed(0) })
    expect(everything(again)).toHaveLength(20)
    expectSound(again)
    again.close()
    expect(integrity(copy)).toBe('ok')
  })

  it('between the application id and the schema, with the journal that takes the id back', () => {
    const file = path.join(tempFolder(), 'test.db')
    const raw = new Sqlite(file)
    raw.pragma('journal_mode = DELETE')
    raw.exec('BEGIN')
    raw.pragma('application_id = 0x504c4f47')
    raw.exec('COMMIT')
    raw.close()
    const first = fs.readFileSync(file)
    fs.writeFileSync(file, first)
    fs.writeFileSync(`${file}-journal`, emptyJournal())
    for (let i = 0; i < 3; i++) openStore({ path: file }).close()
    expect(fs.readFileSync(file).readUInt32BE(68)).toBe(0x504c4f47)
  })

  it.each([
    ['zeros', Buffer.alloc(4096)],
    ['a sector of it', null],
  ])('when the power failed while its first page was written: %s', async (_, bytes) => {
    const file = tempFile()
    openStore({ path: file }).close()
    const whole = fs.readFileSync(file)
    fs.rmSync(file)
    fs.writeFileSync(file, bytes ?? whole.subarray(0, 512))
    fs.writeFileSync(`${file}-journal`, emptyJournal())
    expectError(bytes === null ? 'OLDER_SCHEMA' : 'FILE_UNUSABLE', () => openStore({ path: file, readOnly: true }))
    const store = openStore({ path: file })
    await store.append([item('a')])
    expectSound(store)
    store.close()
    expect(integrity(file)).toBe('ok')
  })

  it('is not seen in a file of somebody else with any other file beside it', () => {
    for (const beside of [Buffer.from('Dear journal,\n'.repeat(100)), Buffer.alloc(512), Buffer.alloc(0)]) {
      const file = tempFile()
      fs.writeFileSync(file, 'Dear diary,\n'.repeat(100))
      fs.writeFileSync(`${file}-journal`, beside)
      const before = fingerprints(path.dirname(file))
      expectError('FOREIGN_FILE', () => openStore({ path: file }))
      expect(fingerprints(path.dirname(file))).toEqual(before)
    }
  })

  it('by a newer peerlog whose schema version is still in the write-ahead log', () => {
    const file = tempFile()
    openStore({ path: file }).close()
    const raw = new Sqlite(file)
    raw.pragma('user_version = 99')
    const copy = left(file)
    raw.close()
    expect(fs.readFileSync(copy).readUInt32BE(60)).toBe(SCHEMA_VERSION)
    for (const readOnly of [false, true]) expect(() => openStore({ path: copy, readOnly })).toThrow(/newer peerlog/)
  })

  it('holds the same for a replica that opens it read-only first', async () => {
    const file = tempFile()
    const store = openStore({ path: file })
    await store.append(Array.from({ length: 10 }, (_, i) => item('a', i)))
    const copy = left(file)
    const reader = openStore({ path: copy, readOnly: true })
    expect(everything(reader).map(({ id }) => id)).toEqual(everything(store).map(({ id }) => id))
    expectSound(reader)
    replicaOf(reader)
  })
})

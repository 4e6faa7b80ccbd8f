/** What the tests of the store share: temp folders, stores that close themselves, authors outside a store. */
import { createHash } from 'node:crypto'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import { afterEach, expect } from 'vitest'
import { PeerlogError } from '../../src/base/errors.ts'
import type { ErrorCode } from '../../src/base/errors.ts'
import { hash } from '../../src/base/hash.ts'
import { encodeData } from '../../src/event/data.ts'
import { decodeEventBody, decodeEventHeader, encodeEvent } from '../../src/event/event.ts'
import type { EventBody } from '../../src/event/event.ts'
import type { DatabaseKeys } from '../../src/event/keys.ts'
import { deriveDatabaseKeys } from '../../src/event/keys.ts'
import { Mmr } from '../../src/event/mmr.ts'
import type { Run } from '../../src/event/run.ts'
import type { AuthorKeyPair } from '../../src/event/signature.ts'
import { authorKeyPair, signHead } from '../../src/event/signature.ts'
import { parseSubjectPattern } from '../../src/event/subject.ts'
import { EventStore } from '../../src/store/event-store.ts'
import type { EventStoreOptions } from '../../src/store/options.ts'
import type { NewEvent } from '../../src/store/own-log.ts'
import type { Event } from '../../src/store/stored-event.ts'

export const DATABASE = 'store-test'
/** Keys without a secret, with one, with another one, and with the first one but for the seal. */
export const open: DatabaseKeys = await deriveDatabaseKeys(DATABASE)
export const sealed: DatabaseKeys = await deriveDatabaseKeys(DATABASE, Buffer.alloc(32, 1))
export const otherSecret: DatabaseKeys = await deriveDatabaseKeys(DATABASE, Buffer.alloc(32, 2))
export const blind: DatabaseKeys = { ...sealed, seal: null }

/** Every property runs from this seed, unless PEERLOG_SEED says another. */
export const SEED: number = Number(process.env['PEERLOG_SEED'] ?? 20261120)

/** Bytes of frames that are large enough for everything in a test. */
export const PLENTY: number = 2 ** 40

const folders: string[] = []
const stores: EventStore[] = []

afterEach(() => {
  for (const store of stores.splice(0)) store.close()
  for (const folder of folders.splice(0)) fs.rmSync(folder, { recursive: true, force: true })
})

export function tempFolder(): string {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'peerlog-store-'))
  folders.push(folder)
  return folder
}

export function tempFile(): string {
  return path.join(tempFolder(), 'test.db')
}

/** A store that is closed after the test; in memory unless a path is given. */
export function openStore(options: Partial<EventStoreOptions> = {}): EventStore {
  const store = EventStore.open({ path: ':memory:', databaseId: DATABASE, keys: open, ...options })
  stores.push(store)
  return store
}

export function seed(number: number): Buffer {
  return Buffer.alloc(32, number + 1)
}

export function item(subject: string, data: unknown = null, type = ''): NewEvent {
  return { subject, type, data, encoded: encodeData(data) }
}

/** Runs that bring a replica with `lengths` up to what the store holds. */
export function runsOf(
  store: EventStore,
  maxBytes: number = PLENTY,
  from: (author: string) => number = () => 0,
): Run[] {
  const runs: Run[] = []
  for (const { hex, mmr } of store.logs()) {
    for (let seq = from(hex); seq < mmr.length;) {
      const run = store.readRun(hex, seq, maxBytes, false)
      if (run === null) throw new Error('a run is missing')
      runs.push(run)
      seq += run.events.length
    }
  }
  return runs
}

/** Every event that the store delivers, in the order of arrival. */
export function everything(store: EventStore, pattern: string | null = null, from = 0): Event[] {
  return [...store.scan(pattern === null ? null : parseSubjectPattern(pattern), from, false)].flat()
}

/** Author → length, as `db.frontier()` gives it. */
export function lengths(store: EventStore): Map<string, number> {
  return new Map(store.logs().map((log) => [log.hex, log.mmr.length]))
}

/** Something with the name of an author first, in an order that does not depend on when it came. */
export function byAuthor<T extends readonly [string, ...unknown[]]>(entries: Iterable<T>): T[] {
  return [...entries].toSorted(([a], [b]) => (a < b ? -1 : 1))
}

export function eventBytes(run: Run): string[] {
  return run.events.map((event) => event.toString('hex'))
}

/** What must be true of a store at any time, checked from the stored bytes alone. */
export function expectSound(store: EventStore): void {
  const delivered = new Map(everything(store).map((event) => [event.id, event]))
  const positions = [...delivered.values()].map(({ position }) => position)
  expect(positions).toEqual(positions.toSorted((a, b) => a - b))
  expect(new Set(positions).size).toBe(positions.length)
  let events = 0
  for (const log of store.logs()) {
    const mmr = Mmr.from(log.start, store.readRun(log.hex, log.start, 1, true)?.peaks ?? Buffer.alloc(0))
    const runs: Run[] = []
    for (let seq = log.start; seq < log.mmr.length;) {
      const run = store.readRun(log.hex, seq, 1, false) as Run
      runs.push(run)
      seq += run.events.length
    }
    for (const bytes of runs.flatMap((run) => run.events)) {
      const header = decodeEventHeader(bytes)
      if (typeof header === 'string') throw new Error(header)
      expect([header.author.toString('hex'), header.seq]).toEqual([log.hex, mmr.length])
      const id = hash(bytes)
      const found = store.get(id.toString('hex'))
      expect(isDeepStrictEqual(found, delivered.get(id.toString('hex')) ?? null)).toBe(true)
      mmr.append(id)
      events++
    }
    expect(mmr.length).toBe(log.mmr.length)
    expect(mmr.peaks().equals(log.mmr.peaks())).toBe(true)
    expect(log.root.equals(mmr.root())).toBe(true)
  }
  // Every position is taken by exactly one event.
  expect(store.position).toBe(events)
}

/** Another replica's answer: a fresh store that has been given everything in frames of that size. */
export function replicaOf(
  store: EventStore,
  maxBytes: number = PLENTY,
  options: Partial<EventStoreOptions> = {},
): EventStore {
  const replica = openStore(options)
  for (const run of runsOf(store, maxBytes)) expect(replica.ingest([run])).toEqual(['stored'])
  return replica
}

export function expectError(code: ErrorCode, action: () => unknown): PeerlogError {
  try {
    action()
  } catch (error) {
    expect(error).toBeInstanceOf(PeerlogError)
    expect((error as PeerlogError).code).toBe(code)
    return error as PeerlogError
  }
  throw new Error(`nothing was thrown instead of ${code}`)
}

/** File name → fingerprint of everything in a folder, to see whether anything was touched. */
export function fingerprints(folder: string): Record<string, string> {
  const out: Record<string, string> = {}
  for (const name of fs.readdirSync(folder).toSorted()) {
    const file = path.join(folder, name)
    out[name] = fs.statSync(file).isFile() ? createHash('sha256').update(fs.readFileSync(file)).digest('hex') : 'folder'
  }
  return out
}

/** An author whose log is written by hand, outside of any store: any clock, any body, any segments. */
export class Author {
  readonly keyPair: AuthorKeyPair
  readonly hex: string
  readonly ids: string[] = []
  readonly events: Buffer[] = []
  readonly mmrs: Mmr[] = [new Mmr()]
  readonly #keys: DatabaseKeys
  #nonces = 0

  constructor(number: number, keys: DatabaseKeys = open) {
    this.keyPair = authorKeyPair(seed(number))
    this.hex = this.keyPair.publicKey.toString('hex')
    this.#keys = keys
  }

  get length(): number {
    return this.events.length
  }

  /** Adds an event; without values one that is like any other. */
  write(values: Partial<EventBody> = {}): this {
    const body = {
      time: 1_700_000_000_000 + this.length,
      tick: 0,
      subject: 'notes/a',
      type: '',
      links: [],
      json: true,
      data: Buffer.from(String(this.length)),
      ...values,
    }
    return this.writeBytes(
      encodeEvent(this.keyPair.publicKey, this.length, body, this.#keys.seal, (into) =>
        into.fill(this.#nonces++ % 256),
      ),
    )
  }

  writeBytes(bytes: Buffer): this {
    const mmr = (this.mmrs.at(-1) as Mmr).clone()
    const id = hash(bytes)
    mmr.append(id)
    this.ids.push(id.toString('hex'))
    this.events.push(bytes)
    this.mmrs.push(mmr)
    return this
  }

  /** A body that decodes to nothing. */
  writeGarbage(): this {
    const header = encodeEvent(
      this.keyPair.publicKey,
      this.length,
      { time: 1, tick: 0, subject: 'x', type: '', links: [], json: true, data: Buffer.alloc(0) },
      null,
      () => undefined,
    )
    return this.writeBytes(header.subarray(0, header.length - 6))
  }

  run(from = 0, to: number = this.length, withPeaks = false): Run {
    const mmr = this.mmrs[to] as Mmr
    const head = { databaseTag: this.#keys.tag, author: this.keyPair.publicKey, length: to, root: mmr.root() }
    return {
      author: this.keyPair.publicKey,
      from,
      peaks: withPeaks ? (this.mmrs[from] as Mmr).peaks() : null,
      signature: signHead(head, this.keyPair),
      events: this.events.slice(from, to),
    }
  }
}

/** The links in an event's body. */
export function linksOf(store: EventStore, author: string, seq: number, keys: DatabaseKeys = open): EventBody['links'] {
  const bytes = store.readRun(author, seq, 1, false)?.events[0]
  if (bytes === undefined) throw new Error('no such event')
  const header = decodeEventHeader(bytes)
  if (typeof header === 'string') throw new Error(header)
  const body = decodeEventBody(bytes, header, keys.seal)
  if (typeof body === 'string') throw new Error(body)
  return body.links
}

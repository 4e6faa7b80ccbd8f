import Sqlite from 'better-sqlite3'
import { expect } from 'vitest'
import type { EventStore } from '../../src/store/event-store.ts'
import { everything } from '../store/stores.ts'

interface Kept {
  first: number
  count: number
  seq: number
  id: string
}

/** What one replica has acknowledged in all its lives, to be held against what is there. */
export class Ledger {
  readonly #kept: Kept[] = []
  #checked = 0
  /** The author must stay the same from its first acknowledged event on. */
  author: string | null = null
  acknowledged = 0
  lost = 0
  repeated = 0

  note(lines: readonly string[]): void {
    let author: string | undefined
    for (const line of lines) {
      const [word, ...rest] = line.split(' ')
      if (word === 'opened') {
        const length = Number(rest[0])
        author = rest[1] as string
        if (this.author !== null) expect(author).toBe(this.author)
        const last = this.#kept.at(-1)
        if (last !== undefined) expect(length).toBeGreaterThan(last.seq)
      }
      if (word !== 'kept') continue
      const [first, count, seq] = rest.map(Number) as [number, number, number]
      if (author !== undefined) this.author = author
      this.add({ first, count, seq, id: rest[3] as string })
    }
  }

  add(kept: Kept): void {
    this.#kept.push(kept)
    this.acknowledged += kept.count
  }

  /** That what was acknowledged last is there. */
  glance(store: EventStore): void {
    if (this.author !== null) expect(store.author).toBe(this.author)
    const length = store.log(store.author)?.mmr.length ?? 0
    for (; this.#checked < this.#kept.length; this.#checked++) {
      const { seq, id } = this.#kept[this.#checked] as Kept
      expect(length).toBeGreaterThan(seq)
      expect(store.get(id)?.seq).toBe(seq)
    }
  }

  /** That each acknowledged event is there exactly once, in its place, and that no other is there twice. */
  audit(store: EventStore): void {
    this.#checked = 0
    this.glance(store)
    const times = new Map<number, number>()
    const seqs = new Map<number, number>()
    for (const { author, seq, data } of everything(store)) {
      const { n } = data as { n?: number }
      if (author !== this.author || n === undefined) continue
      times.set(n, (times.get(n) ?? 0) + 1)
      seqs.set(n, seq)
    }
    for (const count of times.values()) if (count > 1) this.repeated++
    for (const { first, count, seq } of this.#kept) {
      for (let i = 0; i < count; i++) if (seqs.get(first + i) !== seq - count + 1 + i) this.lost++
    }
    expect([this.lost, this.repeated]).toEqual([0, 0])
  }
}

/** Gives a replica that has seen every earlier state what is new: it must continue what it has. */
export function show(witness: EventStore, store: EventStore): void {
  for (const { hex, mmr } of store.logs()) {
    const known = witness.log(hex)
    for (let seq = known?.mmr.length ?? 0; seq < mmr.length;) {
      const run = store.readRun(hex, seq, 50_000, true)
      if (run === null) throw new Error('a run is missing')
      expect(witness.ingest([run])).toEqual(['stored'])
      seq += run.events.length
    }
    expect(witness.log(hex)?.root).toEqual(store.log(hex)?.root)
    expect(witness.log(hex)?.fork).toBeNull()
  }
}

export function integrity(file: string): unknown {
  const db = new Sqlite(file, { readonly: true })
  try {
    return db.pragma('integrity_check', { simple: true })
  } finally {
    db.close()
  }
}

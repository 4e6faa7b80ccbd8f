import { Reader } from '../base/codec.ts'
import { toHex } from '../base/bytes.ts'
import { assert } from '../base/errors.ts'
import { MAX_HELD_BYTES } from '../base/limits.ts'
import type { Run } from '../event/run.ts'
import { encodedRunBytes, readRun, writeRun } from '../event/run.ts'
import type { Database, Statement } from './sqlite.ts'

/** Verified runs whose clocks are ahead of ours, one per author, until time catches up. They survive a restart. */
export class HeldRuns {
  readonly #until = new Map<string, { until: number; bytes: number }>()
  #bytes = 0
  readonly #insert: Statement<[Buffer, number, Buffer]>
  readonly #select: Statement<[Buffer], Buffer>
  readonly #delete: Statement<[Buffer]>
  readonly #sizes: Statement<[], { author: Buffer; until: number; bytes: number }>

  constructor(db: Database) {
    this.#insert = db.prepare('INSERT OR REPLACE INTO held (author, until, run) VALUES (?, ?, ?)')
    this.#select = db.prepare<[Buffer], Buffer>('SELECT run FROM held WHERE author = ?').pluck()
    this.#delete = db.prepare('DELETE FROM held WHERE author = ?')
    this.#sizes = db.prepare('SELECT author, until, length(run) AS bytes FROM held')
    this.reset()
  }

  /** Back to what the file says: at the start, and after a rollback. */
  reset(): void {
    this.#until.clear()
    this.#bytes = 0
    for (const { author, until, bytes } of this.#sizes.all()) this.#note(toHex(author), until, bytes)
  }

  /** Milliseconds since 1970 until which the author's next events are held, or null. */
  until(hex: string): number | null {
    return this.#until.get(hex)?.until ?? null
  }

  /** When the first run falls due; null if there is none. */
  get nextRelease(): number | null {
    let next: number | null = null
    for (const { until } of this.#until.values()) next = Math.min(next ?? until, until)
    return next
  }

  /** Keeps the run if there is room; a run that is not kept is asked for again later. */
  hold(hex: string, run: Run, until: number): void {
    if (this.#until.has(hex)) return
    const bytes = encodedRunBytes(run)
    if (this.#bytes + bytes > MAX_HELD_BYTES) return
    const encoded = Buffer.alloc(bytes)
    writeRun(encoded, 0, run)
    this.#insert.run(run.author, until, encoded)
    this.#note(hex, until, bytes)
  }

  /** The runs that have fallen due; they stay until they are released. */
  due(now: number): Run[] {
    const runs: Run[] = []
    for (const [hex, { until }] of this.#until) {
      const bytes = until > now ? undefined : this.#select.get(Buffer.from(hex, 'hex'))
      if (bytes === undefined) continue
      const reader = new Reader(bytes)
      const run = readRun(reader)
      assert(reader.finished, 'a held run is whole')
      runs.push(run)
    }
    return runs
  }

  release(run: Run): void {
    this.#delete.run(run.author)
    const hex = toHex(run.author)
    this.#bytes -= this.#until.get(hex)?.bytes ?? 0
    this.#until.delete(hex)
  }

  #note(hex: string, until: number, bytes: number): void {
    this.#until.set(hex, { until, bytes })
    this.#bytes += bytes
  }
}

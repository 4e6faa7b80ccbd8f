import { toHex } from '../base/bytes.ts'
import { hash } from '../base/hash.ts'
import { Mmr, peaksBytes } from '../event/mmr.ts'
import type { Log } from './log.ts'
import type { Database, Statement } from './sqlite.ts'
import { corruptFile } from './sqlite.ts'

interface AuthorRow {
  no: number
  key: Buffer
  length: number
  peaks: Buffer
  position: number
  time: number
  tick: number
  start: number
  fork: Buffer | null
}

/** Stands for the length and root of a forked log, so that all who know of the fork agree again. */
const FORKED = Buffer.alloc(40, 0xff)

/** The logs of all authors in memory, sorted by author, over the table `authors`. */
export class Logs {
  readonly #byHex = new Map<string, Log>()
  readonly #sorted: Log[] = []
  #root: Buffer | null = null
  #nextNo = 1
  readonly #save: Statement<[number, Buffer, number, number, Buffer, number, number, number, Buffer | null]>

  constructor(db: Database) {
    // An update leaves the index by key alone: one page less to write for each commit.
    this.#save = db.prepare(
      `INSERT INTO authors (no, key, start, length, peaks, position, time, tick, fork)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
       ON CONFLICT (no) DO UPDATE SET start = excluded.start, length = excluded.length, peaks = excluded.peaks, position = excluded.position,
         time = excluded.time, tick = excluded.tick, fork = excluded.fork`,
    )
    for (const row of db.prepare<[], AuthorRow>('SELECT * FROM authors ORDER BY key').iterate()) {
      if (row.peaks.length !== peaksBytes(row.length)) throw corruptFile('the state of a log does not fit its length')
      const mmr = Mmr.from(row.length, row.peaks)
      const { no, key: author, start, position, time, tick, fork } = row
      this.#append({ no, author, hex: toHex(author), mmr, start, root: mmr.root(), position, time, tick, fork })
      this.#nextNo = Math.max(this.#nextNo, no + 1)
    }
  }

  get(hex: string): Log | undefined {
    return this.#byHex.get(hex)
  }

  /** All logs, by ascending author key. */
  all(): readonly Log[] {
    return this.#sorted
  }

  /** Those that have grown since the newest event was at that position. */
  since(position: number): Log[] {
    return this.#sorted.filter((log) => log.position > position)
  }

  /** A log of nothing, not yet known here. */
  empty(author: Buffer): Log {
    const mmr = new Mmr()
    const copy = Buffer.from(author)
    return {
      no: this.#nextNo++,
      author: copy,
      hex: toHex(copy),
      mmr,
      start: 0,
      root: mmr.root(),
      position: 0,
      time: 0,
      tick: 0,
      fork: null,
    }
  }

  /** Inside a transaction. */
  save(log: Log): void {
    const { no, author, start, mmr, position, time, tick, fork } = log
    this.#save.run(no, author, start, mmr.length, mmr.peaks(), position, time, tick, fork)
  }

  /** After the transaction. */
  commit(log: Log): void {
    const known = this.#byHex.get(log.hex)
    this.#root = null
    if (known === undefined) {
      this.#append(log)
      return
    }
    this.#byHex.set(log.hex, log)
    this.#sorted[this.#place(log.author)] = log
  }

  /** 32 bytes that are equal on two replicas exactly when their logs are the same, up to the same length: their frontier's root. */
  root(): Buffer {
    if (this.#root === null) {
      const parts: Buffer[] = [Buffer.from('peerlog 1 frontier\0', 'utf8')]
      for (const { author, mmr, root, fork } of this.#sorted) {
        if (fork !== null) {
          parts.push(author, FORKED)
          continue
        }
        const length = Buffer.allocUnsafe(8)
        length.writeBigUInt64BE(BigInt(mmr.length))
        parts.push(author, length, root)
      }
      this.#root = hash(Buffer.concat(parts))
    }
    return this.#root
  }

  #append(log: Log): void {
    this.#byHex.set(log.hex, log)
    this.#sorted.splice(this.#place(log.author), 0, log)
  }

  #place(author: Buffer): number {
    let low = 0
    let high = this.#sorted.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (Buffer.compare((this.#sorted[middle] as Log).author, author) < 0) low = middle + 1
      else high = middle
    }
    return low
  }
}

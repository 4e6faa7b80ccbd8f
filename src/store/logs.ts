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
  readonly #save: Statement<[number, Buffer, number, Buffer, number, number, number, Buffer | null]>

  constructor(db: Database) {
    this.#save = db.prepare(
      'INSERT OR REPLACE INTO authors (no, key, length, peaks, position, time, tick, fork) VALUES (?, ?, ?, ?, ?, ?, ?, ?)',
    )
    // Under a wrong key a log would be taken for one of which nothing is here yet: our own would begin a second time.
    if (db.pragma('integrity_check(authors)', { simple: true }) !== 'ok') throw corruptFile('the logs are not in order')
    for (const row of db.prepare<[], AuthorRow>('SELECT * FROM authors ORDER BY key').iterate()) {
      if (row.peaks.length !== peaksBytes(row.length)) throw corruptFile('the state of a log does not fit its length')
      const mmr = Mmr.from(row.length, row.peaks)
      const { no, key: author, position, time, tick, fork } = row
      this.#append({ no, author, hex: toHex(author), mmr, root: mmr.root(), position, time, tick, fork })
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

  /** A log of nothing, not yet known here. */
  empty(author: Buffer): Log {
    const mmr = new Mmr()
    const copy = Buffer.from(author)
    return {
      no: this.#nextNo++,
      author: copy,
      hex: toHex(copy),
      mmr,
      root: mmr.root(),
      position: 0,
      time: 0,
      tick: 0,
      fork: null,
    }
  }

  /** Inside a transaction. */
  save(log: Log): void {
    this.#save.run(log.no, log.author, log.mmr.length, log.mmr.peaks(), log.position, log.time, log.tick, log.fork)
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

  /** 32 bytes that are equal on two replicas exactly when they hold the same events: their frontier's root. */
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

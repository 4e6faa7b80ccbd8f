import { toHex } from '../base/bytes.ts'
import { hash } from '../base/hash.ts'
import { MAX_FORK_PROOFS_BYTES, MAX_LOGS, RECENT_LOGS } from '../base/limits.ts'
import { Mmr, peaksBytes } from '../event/mmr.ts'
import type { Log } from './log.ts'
import { PackedLog } from './log.ts'
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

const DOMAIN = Buffer.from('peerlog 1 frontier\0', 'utf8')
/** Author, length (u64) and root; of a forked log ff after the author, so that all who know of the fork agree again. */
const ENTRY_BYTES = 72

/** The logs of all authors in memory, sorted by author, over the table `authors`. */
export class Logs {
  readonly #maxLogs: number
  readonly #byHex = new Map<string, Log>()
  readonly #sorted: Log[] = []
  /** Logs that are not packed, the least recently changed first. */
  readonly #recent = new Set<string>()
  #forkBytes = 0
  /** What the frontier's root is the hash of; null after a log was added. */
  #frontier: Buffer | null = null
  #root: Buffer | null = null
  #nextNo = 1
  readonly #save: Statement<[number, Buffer, number, number, Buffer, number, number, number, Buffer | null]>

  constructor(db: Database, maxLogs: number = MAX_LOGS) {
    this.#maxLogs = maxLogs
    // An update leaves the index by key alone: one page less to write for each commit.
    this.#save = db.prepare(
      `INSERT INTO authors (no, key, start, length, peaks, position, time, tick, fork)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
       ON CONFLICT (no) DO UPDATE SET start = excluded.start, length = excluded.length, peaks = excluded.peaks, position = excluded.position,
         time = excluded.time, tick = excluded.tick, fork = excluded.fork`,
    )
    // Under a wrong key a log would be taken for one of which nothing is here yet: our own would begin a second time.
    if (db.pragma('integrity_check(authors)', { simple: true }) !== 'ok') throw corruptFile('the logs are not in order')
    for (const row of db.prepare<[], AuthorRow>('SELECT * FROM authors ORDER BY key').iterate()) {
      if (row.peaks.length !== peaksBytes(row.length)) throw corruptFile('the state of a log does not fit its length')
      const mmr = Mmr.from(row.length, row.peaks)
      const { no, key: author, start, position, time, tick, fork } = row
      this.#append(new PackedLog({ no, hex: toHex(author), mmr, start, root: mmr.root(), position, time, tick, fork }))
      this.#forkBytes += fork?.length ?? 0
      this.#nextNo = Math.max(this.#nextNo, no + 1)
    }
  }

  get(hex: string): Log | undefined {
    return this.#byHex.get(hex)
  }

  /** True if so many logs more may be kept. */
  hasRoomFor(logs: number): boolean {
    return this.#sorted.length + logs <= this.#maxLogs
  }

  /** True if a proof that a log is forked may be kept. */
  hasRoomForFork(proof: Buffer): boolean {
    return this.#forkBytes + proof.length <= MAX_FORK_PROOFS_BYTES
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
    this.#forkBytes += (log.fork?.length ?? 0) - (known?.fork?.length ?? 0)
    if (known === undefined) this.#append(log)
    else this.#note(this.#replace(log), log)
    this.#recent.delete(log.hex)
    this.#recent.add(log.hex)
    if (this.#recent.size <= RECENT_LOGS) return
    const oldest = this.#recent.values().next().value as string
    this.#recent.delete(oldest)
    this.#replace(new PackedLog(this.#byHex.get(oldest) as Log))
  }

  #replace(log: Log): number {
    const place = this.#place(log.hex)
    this.#byHex.set(log.hex, log)
    this.#sorted[place] = log
    return place
  }

  /** 32 bytes that are equal on two replicas exactly when their logs are the same, up to the same length: their frontier's root. */
  root(): Buffer {
    if (this.#frontier === null) {
      this.#frontier = Buffer.alloc(DOMAIN.length + this.#sorted.length * ENTRY_BYTES)
      this.#frontier.set(DOMAIN)
      for (const [place, log] of this.#sorted.entries()) this.#note(place, log)
    }
    this.#root ??= hash(this.#frontier)
    return this.#root
  }

  /** Writes a log into the frontier, if that is at hand. */
  #note(place: number, log: Log): void {
    if (this.#frontier === null) return
    const at = DOMAIN.length + place * ENTRY_BYTES
    this.#frontier.write(log.hex, at, 'hex')
    if (log.fork !== null) {
      this.#frontier.fill(0xff, at + 32, at + ENTRY_BYTES)
      return
    }
    this.#frontier.writeUIntBE(Math.floor(log.mmr.length / 2 ** 32), at + 32, 4)
    this.#frontier.writeUInt32BE(log.mmr.length % 2 ** 32, at + 36)
    this.#frontier.set(log.root, at + 40)
  }

  #append(log: Log): void {
    this.#frontier = null
    this.#byHex.set(log.hex, log)
    this.#sorted.splice(this.#place(log.hex), 0, log)
  }

  #place(hex: string): number {
    let low = 0
    let high = this.#sorted.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((this.#sorted[middle] as Log).hex < hex) low = middle + 1
      else high = middle
    }
    return low
  }
}

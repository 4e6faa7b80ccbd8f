import type { Timestamp } from '../event/clock.ts'
import type { Mmr } from '../event/mmr.ts'

/** One author's log, as far as it is here. Instances are replaced, not changed, when a transaction commits. */
export interface Log extends Timestamp {
  /** The author's number in this file. */
  readonly no: number
  readonly author: Buffer
  readonly hex: string
  readonly mmr: Mmr
  /** First seq that is here: 0, unless the log was begun in the middle. */
  readonly start: number
  /** MMR root at the log's length. */
  readonly root: Buffer
  /** Of the last event. */
  readonly position: number
  /** Proof of two contradicting histories, or null. */
  readonly fork: Buffer | null
}

/** A log that nothing has happened to lately, in a fraction of the memory: a hundred thousand of them are no burden. */
export class PackedLog implements Log {
  readonly no: number
  readonly hex: string
  readonly mmr: Mmr
  readonly start: number
  readonly position: number
  readonly time: number
  readonly tick: number
  readonly fork: Buffer | null
  readonly #root: string

  constructor({ no, hex, mmr, start, root, position, time, tick, fork }: Omit<Log, 'author'>) {
    this.no = no
    this.hex = hex
    this.mmr = mmr.packed()
    this.start = start
    this.position = position
    this.time = time
    this.tick = tick
    this.fork = fork
    this.#root = root.toString('latin1')
  }

  get author(): Buffer {
    return Buffer.from(this.hex, 'hex')
  }

  get root(): Buffer {
    return Buffer.from(this.#root, 'latin1')
  }
}

/** The log with something of it replaced. */
export function changedLog(log: Log, change: Partial<Omit<Log, 'no' | 'author' | 'hex'>>): Log {
  const { no, author, hex, mmr, start, root, position, time, tick, fork } = log
  return { no, author, hex, mmr, start, root, position, time, tick, fork, ...change }
}

import { MAX_HEADS_PER_MESSAGE } from '../base/limits.ts'
import type { Head } from './messages.ts'
import { encodeHeads, FORKED_TAG, TAG_BYTES } from './messages.ts'
import type { RemoteFrontier } from './remote-frontier.ts'
import type { Pace, Replica, ReplicaLog } from './replica.ts'

/** Tells one peer which logs we hold: once all that it may lack, and from then on what is new. */
export class Teller {
  readonly #replica: Replica
  readonly #remote: RemoteFrontier
  readonly #pace: Pace
  #all: { logs: readonly ReplicaLog[]; next: number } | null = null
  readonly #news = new Set<string>()
  #newsAt = -Infinity

  constructor(replica: Replica, remote: RemoteFrontier, pace: Pace) {
    this.#replica = replica
    this.#remote = remote
    this.#pace = pace
  }

  get idle(): boolean {
    return this.#all === null && this.#news.size === 0
  }

  /** When news may be told next; infinity while there is none. */
  get wakeAt(): number {
    return this.#news.size === 0 ? Infinity : this.#newsAt + this.#pace.announceMs
  }

  /** Frontiers are compared now: what was new until then is part of that. */
  comparing(): void {
    this.#news.clear()
  }

  /** Tells these logs, all that the peer may not know of. */
  tellAll(logs: readonly ReplicaLog[]): void {
    this.#all = { logs, next: 0 }
  }

  tell(hex: string): void {
    this.#news.add(hex)
  }

  /** The next part of the full account, or null. */
  nextHeads(): Buffer | null {
    if (this.#all === null) return null
    const { logs, next } = this.#all
    const end = Math.min(logs.length, next + MAX_HEADS_PER_MESSAGE)
    this.#all = end === logs.length ? null : { logs, next: end }
    return encodeHeads(end === logs.length ? 'last' : 'more', logs.slice(next, end).map(headOf))
  }

  /**
   * News gathered over a short while, of logs of which the peer holds no more than we do; or null. If it holds as much,
   * it learns that we have caught up.
   */
  nextNews(now: number): Buffer | null {
    if (now < this.wakeAt) return null
    this.#newsAt = now
    const heads: Head[] = []
    for (const hex of this.#news) {
      if (heads.length === MAX_HEADS_PER_MESSAGE) break
      this.#news.delete(hex)
      const log = this.#replica.log(hex)
      if (log !== undefined && this.#remote.lengthOf(hex) <= log.mmr.length) heads.push(headOf(log))
    }
    return heads.length === 0 ? null : encodeHeads('news', heads)
  }
}

/** The first bytes of the log's root, or the mark of a forked log. */
export function headTag(log: ReplicaLog): Buffer {
  return log.fork === null ? log.root.subarray(0, TAG_BYTES) : FORKED_TAG
}

function headOf(log: ReplicaLog): Head {
  const { author, mmr, start } = log
  return { author, length: mmr.length, start, tag: headTag(log) }
}

import { setTimeout as sleep } from 'node:timers/promises'
import type { Database, SyncEventOf } from '../index.ts'

/** That a peer has acknowledged a live event is not announced, only visible: looked for this often. */
const LOOK_MS = 50

/** Knows which peers hold what we have written, also of peers that have left since. */
export class Delivery {
  readonly #db: Database
  /** Our position when the peer was last found to hold all that we do. */
  readonly #held = new Map<string, number>()
  readonly #looking: NodeJS.Timeout

  constructor(db: Database) {
    this.#db = db
    db.sync.on('InSync', this.#onInSync)
    this.#looking = setInterval(() => this.#look(), LOOK_MS)
  }

  readonly #onInSync = ({ peerId }: SyncEventOf<'InSync'>): void => {
    this.#held.set(peerId, this.#db.position)
  }

  #look(): void {
    for (const { peerId, inSync } of this.#db.sync.peers()) if (inSync) this.#held.set(peerId, this.#db.position)
  }

  /** Waits until a peer holds all up to the position; returns who does: nobody if time is up or the signal aborts. */
  async of(position: number, ms: number, signal: AbortSignal): Promise<string[]> {
    const end = performance.now() + ms
    for (;;) {
      this.#look()
      const holders = [...this.#held].filter(([, held]) => held >= position).map(([peerId]) => peerId)
      if (holders.length > 0 || signal.aborted || performance.now() >= end) return holders
      await sleep(Math.min(LOOK_MS, ms), undefined, { signal }).catch(() => {})
    }
  }

  close(): void {
    clearInterval(this.#looking)
    this.#db.sync.off('InSync', this.#onInSync)
  }
}

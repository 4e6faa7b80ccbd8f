import { ANNOUNCES_PER_SECOND, ANNOUNCE_INTERVAL_MS, EAGER_PEERS } from '../base/limits.ts'
import type { Pace } from './replica.ts'

/** A pace at which so many sessions together keep to `ANNOUNCES_PER_SECOND` and, before anybody complains, to `EAGER_PEERS`. */
export class SharedPace implements Pace {
  readonly #sessions: () => number

  constructor(sessions: () => number) {
    this.#sessions = sessions
  }

  get announceMs(): number {
    return Math.max(ANNOUNCE_INTERVAL_MS, (this.#sessions() * 1000) / ANNOUNCES_PER_SECOND)
  }

  get eagerShare(): number {
    return Math.min(1, EAGER_PEERS / this.#sessions())
  }
}

import { CLAIM_MIN_TIMEOUT_MS, CLAIM_PROGRESS_BYTES, CLAIM_TIMEOUT_MS } from '../base/limits.ts'
import type { Claims } from './replica.ts'

interface Claim {
  by: object
  /** When it was made, or enough of the log had come to renew it. */
  at: number
  /** Milliseconds that it is given to be renewed. */
  patience: number
  /** That have come since. */
  bytes: number
}

/** Which session pulls which log. */
export class ClaimTable implements Claims {
  readonly #claims = new Map<string, Claim>()
  readonly #onRelease: (author: string) => void

  constructor(onRelease: (author: string) => void) {
    this.#onRelease = onRelease
  }

  get size(): number {
    return this.#claims.size
  }

  claim(author: string, by: object, now: number): number {
    const known = this.#claims.get(author)
    if (known?.by === by) return 0
    if (known === undefined) {
      this.#claims.set(author, { by, at: now, patience: CLAIM_TIMEOUT_MS, bytes: 0 })
      return 0
    }
    const left = known.at + known.patience - now
    if (left > 0 && left <= CLAIM_TIMEOUT_MS) return left
    // However many announce a log of which they send nothing, who has it gets its turn soon.
    const patience = known.bytes > 0 ? CLAIM_TIMEOUT_MS : Math.max(CLAIM_MIN_TIMEOUT_MS, known.patience / 2)
    this.#claims.set(author, { by, at: now, patience, bytes: 0 })
    return 0
  }

  /** Who drips keeps nobody else from pulling. */
  progress(author: string, by: object, bytes: number, now: number): void {
    const known = this.#claims.get(author)
    if (known?.by !== by) return
    known.bytes += bytes
    known.patience = CLAIM_TIMEOUT_MS
    if (known.bytes < CLAIM_PROGRESS_BYTES) return
    known.bytes = 0
    known.at = now
  }

  release(author: string, by: object): void {
    if (this.#claims.get(author)?.by !== by) return
    this.#claims.delete(author)
    this.#onRelease(author)
  }
}

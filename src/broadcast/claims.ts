import { CLAIM_PROGRESS_BYTES, CLAIM_TIMEOUT_MS } from '../base/limits.ts'
import type { Claims } from './replica.ts'

interface Claim {
  by: object
  /** When it was made, or enough of the log had come to renew it. */
  at: number
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

  claim(author: string, by: object, now: number): boolean {
    const known = this.#claims.get(author)
    if (known !== undefined && known.by !== by && now - known.at < CLAIM_TIMEOUT_MS) return false
    this.#claims.set(author, { by, at: now, bytes: 0 })
    return true
  }

  /** Who drips keeps nobody else from pulling. */
  progress(author: string, by: object, bytes: number, now: number): void {
    const known = this.#claims.get(author)
    if (known?.by !== by) return
    known.bytes += bytes
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

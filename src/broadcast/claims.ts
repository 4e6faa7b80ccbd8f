import { CLAIM_TIMEOUT_MS } from '../base/limits.ts'
import type { Claims } from './replica.ts'

/** Which session pulls which log. */
export class ClaimTable implements Claims {
  readonly #claims = new Map<string, { by: object; at: number }>()
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
    this.#claims.set(author, { by, at: now })
    return true
  }

  progress(author: string, by: object, now: number): void {
    const known = this.#claims.get(author)
    if (known?.by === by) known.at = now
  }

  release(author: string, by: object): void {
    if (this.#claims.get(author)?.by !== by) return
    this.#claims.delete(author)
    this.#onRelease(author)
  }
}

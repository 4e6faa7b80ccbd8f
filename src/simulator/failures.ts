import { MAX_FAILURES } from './limits.ts'
import type { SimVerdict } from './record.ts'
import { TRACED, type Trace } from './trace.ts'

/** What was found to be wrong, the first of it. */
export class Failures {
  readonly list: SimVerdict['failures'] = []
  readonly #now: () => number
  readonly #trace: Trace

  constructor(now: () => number, trace: Trace) {
    this.#now = now
    this.#trace = trace
  }

  get any(): boolean {
    return this.list.length > 0
  }

  add(check: string, device: string | null, detail: string): void {
    const at = this.#now()
    this.#trace.text(TRACED.failure, at, -1, `${check} ${device ?? ''} ${detail}`)
    if (this.list.length < MAX_FAILURES) this.list.push({ check, at, device, detail })
  }
}

import { Child } from './child.ts'
import type { Lateness } from './lateness.ts'
import { latenessOf } from './lateness.ts'
import type { Target } from './load-client.ts'
import { pause } from './pause.ts'

const WARM_UP_MS = 300

/** A pair of clients in a process of their own that has nothing to do with the load, but with the server. */
export class Probe {
  readonly #child: Child

  private constructor(child: Child) {
    this.#child = child
  }

  static async start(target: Target): Promise<Probe> {
    const child = new Child('load-probe.ts', { target })
    await child.message('ready')
    const probe = new Probe(child)
    await probe.listen(WARM_UP_MS)
    return probe
  }

  /** How long its messages take, for so many milliseconds. */
  async listen(ms: number): Promise<Lateness> {
    await this.#child.ask('start')
    await pause(ms)
    return latenessOf((await this.#child.ask('report'))['lateMs'] as number[])
  }

  end(): Promise<void> {
    return this.#child.end()
  }
}

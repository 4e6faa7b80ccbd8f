import type { Time, Timer } from './scheduler.ts'

/**
 * Time as one process sees it: nothing happens in it while it sleeps, and what was due then happens when it wakes; after
 * its end nothing does.
 */
export class ProcessTime implements Time {
  readonly #world: Time
  readonly #run: (task: () => void) => void
  #state: 'awake' | 'asleep' | 'over' = 'awake'
  #missed: (() => void)[] = []

  /** @param run what every task is run by. */
  constructor(world: Time, run: (task: () => void) => void) {
    this.#world = world
    this.#run = run
  }

  get now(): number {
    return this.#world.now
  }

  get isAwake(): boolean {
    return this.#state === 'awake'
  }

  at(at: number, task: () => void): Timer {
    return this.in(at - this.now, task)
  }

  in(ms: number, task: () => void): Timer {
    let cancelled = false
    const due = (): void => {
      if (cancelled || this.#state === 'over') return
      if (this.#state === 'asleep') this.#missed.push(due)
      else this.#run(task)
    }
    const timer = this.#world.in(ms, due)
    return {
      cancel: () => {
        cancelled = true
        timer.cancel()
      },
    }
  }

  sleep(): void {
    if (this.#state === 'awake') this.#state = 'asleep'
  }

  wake(): void {
    if (this.#state !== 'asleep') return
    this.#state = 'awake'
    for (const due of this.#missed.splice(0)) due()
  }

  end(): void {
    this.#state = 'over'
    this.#missed = []
  }
}

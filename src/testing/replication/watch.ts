/** Milliseconds for what was released to be gone. */
const RELEASE_MS = 8000
/** Milliseconds between two looks: Node tells nobody when a resource is gone. */
const LOOK_MS = 20
/** What comes and goes by itself. */
const FLEETING: ReadonlySet<string> = new Set(['Immediate', 'TickObject', 'CloseReq'])

/** Watches what a run leaves behind: sockets, timers, rejections that nobody handled, listeners that were never taken off. */
export class Watch {
  readonly #before: ReadonlyMap<string, number> = resources()
  readonly #incidents: string[] = []

  constructor() {
    process.on('unhandledRejection', this.#onRejection)
    process.on('warning', this.#onWarning)
  }

  end(): void {
    process.off('unhandledRejection', this.#onRejection)
    process.off('warning', this.#onWarning)
  }

  /** What there is more of than before, once it had the time to go; empty if all is well. */
  async leftovers(): Promise<string[]> {
    const deadline = Date.now() + RELEASE_MS
    while (this.#more().length > 0 && Date.now() < deadline)
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS))
    return [...this.#incidents, ...this.#more()]
  }

  #more(): string[] {
    return [...resources()].flatMap(([type, count]) => {
      const before = this.#before.get(type) ?? 0
      return FLEETING.has(type) || count <= before ? [] : [`${count - before} of ${type}`]
    })
  }

  readonly #onRejection = (reason: unknown): void => {
    this.#incidents.push(`unhandled rejection: ${String(reason)}`)
  }

  readonly #onWarning = (warning: Error): void => {
    if (warning.name === 'MaxListenersExceededWarning') this.#incidents.push(warning.message)
  }
}

function resources(): Map<string, number> {
  const counts = new Map<string, number>()
  for (const type of process.getActiveResourcesInfo()) counts.set(type, (counts.get(type) ?? 0) + 1)
  return counts
}

/** Readers that wait at the end of the log. */
export class Followers {
  readonly #waiting = new Set<() => void>()

  /** Resolves when something has changed, or the signal aborts. */
  wait(signal?: AbortSignal): Promise<void> {
    if (signal?.aborted === true) return Promise.resolve()
    return new Promise((resolve) => {
      const done = (): void => {
        this.#waiting.delete(done)
        signal?.removeEventListener('abort', done)
        resolve()
      }
      this.#waiting.add(done)
      signal?.addEventListener('abort', done)
    })
  }

  wake(): void {
    for (const wake of this.#waiting) wake()
  }
}

/** Something happened: whoever waits for a condition looks again. */
export class News {
  #waiting: (() => void)[] = []

  stir(): void {
    for (const resolve of this.#waiting.splice(0)) resolve()
  }

  /** Resolves to true once the condition holds, to false if it has not by then. Looks at every stir. */
  async until(condition: () => boolean, ms: number): Promise<boolean> {
    let late = false
    const timer = setTimeout(() => {
      late = true
      this.stir()
    }, ms)
    try {
      while (!condition()) {
        if (late) return false
        await new Promise<void>((resolve) => this.#waiting.push(resolve))
      }
      return true
    } finally {
      clearTimeout(timer)
    }
  }
}

interface Waiting {
  /** Null once it was sent and the caller only waits for room. */
  message: Uint8Array | null
  resolve(): void
  reject(error: Error): void
}

/** Places at the front of the array that may be empty before it is made anew. */
const MAX_SPENT = 1024

/** Messages that wait for room on a connection, in order, and callers that wait until there is room for more. */
export class SendQueue {
  #waiting: Waiting[] = []
  #next = 0

  get isEmpty(): boolean {
    return this.#next >= this.#waiting.length
  }

  /** Whether there are messages among what waits. */
  get hasUnsent(): boolean {
    const first = this.#waiting[this.#next]
    return first !== undefined && (first.message !== null || this.#waiting.length - this.#next > 1)
  }

  /**
   * Resolves when more may be sent, and rejects if that won't be.
   *
   * @param message null: it was sent already.
   */
  add(message: Uint8Array | null): Promise<void> {
    const sent = new Promise<void>((resolve, reject) => this.#waiting.push({ message, resolve, reject }))
    // Senders need not wait: their connection's end must not become an unhandled rejection.
    sent.catch(() => {})
    return sent
  }

  /**
   * Sends what there is room for.
   *
   * @param isOpen whether more may be added: if not, who waits for room only has nothing to wait for.
   * @returns whether anything was sent.
   */
  drain(hasRoom: () => boolean, isOpen: boolean, send: (message: Uint8Array) => void): boolean {
    let sent = false
    while (!this.isEmpty && hasRoom()) {
      const first = this.#waiting[this.#next] as Waiting
      if (first.message !== null) {
        send(first.message)
        first.message = null
        sent = true
        if (isOpen && !hasRoom()) break
      }
      this.#next++
      first.resolve()
    }
    if (this.#next > 0 && (this.isEmpty || this.#next >= MAX_SPENT)) {
      this.#waiting = this.#waiting.slice(this.#next)
      this.#next = 0
    }
    return sent
  }

  /** Nothing more is sent. `closedHere`: whoever's message was sent has nothing to complain of. */
  end(error: Error, closedHere: boolean): void {
    const waiting = this.#waiting.slice(this.#next)
    this.#waiting = []
    this.#next = 0
    for (const { message, resolve, reject } of waiting) {
      if (message === null && closedHere) resolve()
      else reject(error)
    }
  }
}

/** Something that takes memory because a peer sent it. */
export interface Holding {
  readonly sender: string
  readonly bytes: number
  /** It is gone already. */
  dropped: boolean
  /** Lets go of it. */
  drop(): void
}

/**
 * Bounded memory that all share: when it is full, who has brought most gives way, with what it brought last. So nobody
 * can take more from others than an equal share.
 */
export class Shares {
  readonly #maxBytes: number
  readonly #bySender = new Map<string, { bytes: number; holdings: Holding[]; live: number }>()
  #bytes = 0

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
  }

  get bytes(): number {
    return this.#bytes
  }

  /** Counts it, and makes room; the new one may be what gives way. */
  add(holding: Holding): void {
    let share = this.#bySender.get(holding.sender)
    if (share === undefined) {
      share = { bytes: 0, holdings: [], live: 0 }
      this.#bySender.set(holding.sender, share)
    }
    share.holdings.push(holding)
    share.live++
    share.bytes += holding.bytes
    this.#bytes += holding.bytes
    while (this.#bytes > this.#maxBytes) this.#dropOne()
  }

  /** It was stored, or given up. */
  remove(holding: Holding): void {
    const share = this.#bySender.get(holding.sender)
    if (holding.dropped || share === undefined) return
    holding.dropped = true
    share.bytes -= holding.bytes
    this.#bytes -= holding.bytes
    if (--share.live === 0) this.#bySender.delete(holding.sender)
    else if (share.holdings.length > 2 * share.live + 64) share.holdings = share.holdings.filter((one) => !one.dropped)
  }

  #dropOne(): void {
    let largest: { bytes: number; holdings: Holding[] } | null = null
    for (const share of this.#bySender.values()) if (largest === null || share.bytes > largest.bytes) largest = share
    for (let last = largest?.holdings.pop(); last !== undefined; last = largest?.holdings.pop()) {
      if (last.dropped) continue
      last.drop()
      return
    }
  }
}

import { ItemIndex } from '../../reconcile/item-index.ts'
import type { Assembly } from './assembly.ts'
import type { Span } from './place.ts'
import { cutSpan, rankOf } from './place.ts'

/** Who must not send it again: a lane of the staging area, or everybody. */
export type Holder = string
export const EVERYBODY: Holder = '*'

interface Entry {
  time: number
  id: Buffer
  /** By holder: the parts that are here, or null for all of it. */
  holders: Map<Holder, Assembly | null>
}

/** What need not be sent although it is not stored: what waits, and what can't be stored. By (time, id), as items are. */
export class HeldPieces {
  readonly #index = new ItemIndex()
  readonly #entries = new Map<string, Entry>()

  get size(): number {
    return this.#entries.size
  }

  add(time: number, id: Buffer, holder: Holder, assembly: Assembly | null): void {
    const key = keyOf(time, id)
    let entry = this.#entries.get(key)
    if (entry === undefined) {
      entry = { time, id, holders: new Map() }
      this.#entries.set(key, entry)
      this.#index.insert(time, id)
    }
    entry.holders.set(holder, assembly)
  }

  remove(time: number, id: Buffer, holder: Holder): void {
    const key = keyOf(time, id)
    const entry = this.#entries.get(key)
    if (entry?.holders.delete(holder) !== true || entry.holders.size > 0) return
    this.#entries.delete(key)
    this.#index.delete(time, id)
  }

  /** What one of the holders has inside the span: ids of whole events, and of parts. At most so many. */
  inside({ from, to }: Span, holders: readonly Holder[], limit: number): Buffer[] {
    const ids: Buffer[] = []
    const end = rankOf(this.#index, to)
    for (let rank = rankOf(this.#index, from); rank < end && ids.length < limit; rank++) {
      const time = Number(this.#index.timestamp(rank))
      const entry = this.#entries.get(keyOf(time, this.#index.id(rank)))
      if (entry === undefined) continue
      for (const holder of holders) {
        const assembly = entry.holders.get(holder)
        if (assembly === null) ids.push(entry.id)
        else if (assembly !== undefined) ids.push(...assembly.partIds())
      }
    }
    return ids.slice(0, limit)
  }

  count({ from, to }: Span): number {
    return rankOf(this.#index, to) - rankOf(this.#index, from)
  }

  /** Cuts a span so that each part has so many of them. */
  cut(span: Span, pieces: number): Span[] {
    return cutSpan(this.#index, span, pieces)
  }
}

function keyOf(time: number, id: Buffer): string {
  return `${time} ${id.toString('latin1')}`
}

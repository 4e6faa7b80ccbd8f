import { ItemIndex } from '../../reconcile/item-index.ts'
import type { Assembly } from './assembly.ts'
import type { Span } from './place.ts'
import { cutSpan, rankOf } from './place.ts'

interface Entry {
  /** The parts that are here, or null for all of it. */
  assembly: Assembly | null
  id: Buffer
  isShared: boolean
}

/**
 * What need not be sent although it is not stored: what waits, and what can't be stored. By (time, id), as items are, and by who
 * sent it: a filter has to have room for what its receiver sent, and tells of what others sent only where room is left.
 * So nobody can make the filters for others useless.
 */
export class HeldPieces {
  readonly #bySender = new Map<string, { index: ItemIndex; entries: Map<string, Entry> }>()
  /** What counts for all senders, and who sent it. */
  readonly #shared = new ItemIndex()
  readonly #sharers = new Map<string, string>()

  /** @param isShared it counts as held for all, as far as there is room. Whoever holds it already goes on holding it. */
  add(time: number, id: Buffer, sender: string, isShared: boolean, assembly: Assembly | null): void {
    const key = keyOf(time, id)
    let own = this.#bySender.get(sender)
    if (own === undefined) {
      own = { index: new ItemIndex(), entries: new Map() }
      this.#bySender.set(sender, own)
    }
    own.index.insert(time, id)
    own.entries.set(key, { assembly, id, isShared })
    if (!isShared) return
    this.#shared.insert(time, id)
    this.#sharers.set(key, sender)
  }

  remove(time: number, id: Buffer, sender: string): void {
    const key = keyOf(time, id)
    const own = this.#bySender.get(sender)
    const entry = own?.entries.get(key)
    if (own === undefined || entry === undefined) return
    own.entries.delete(key)
    own.index.delete(time, id)
    if (own.entries.size === 0) this.#bySender.delete(sender)
    if (!entry.isShared || this.#sharers.get(key) !== sender) return
    this.#sharers.delete(key)
    this.#shared.delete(time, id)
  }

  /**
   * What is inside the span: ids of whole events, and names of parts. All that the sender has sent, and of the rest as much
   * as there is room for.
   */
  inside(span: Span, sender: string, room: number): Buffer[] {
    const ids: Buffer[] = []
    const own = this.#bySender.get(sender)
    if (own !== undefined) for (const key of keysInside(own.index, span)) addIds(ids, own.entries.get(key))
    for (const key of keysInside(this.#shared, span)) {
      if (ids.length >= room) break
      const sharer = this.#sharers.get(key) ?? sender
      if (sharer !== sender) addIds(ids, this.#bySender.get(sharer)?.entries.get(key))
    }
    return ids
  }

  /** How much inside the span the sender has sent. */
  count({ from, to }: Span, sender: string): number {
    const index = this.#bySender.get(sender)?.index
    return index === undefined ? 0 : rankOf(index, to) - rankOf(index, from)
  }

  /** Cuts a span so that each part has so many of those that the sender has sent. */
  cut(span: Span, sender: string, pieces: number): Span[] {
    const index = this.#bySender.get(sender)?.index
    return index === undefined ? [span] : cutSpan(index, span, pieces)
  }
}

function* keysInside(index: ItemIndex, { from, to }: Span): Generator<string> {
  const end = rankOf(index, to)
  for (let rank = rankOf(index, from); rank < end; rank++) yield keyOf(Number(index.timestamp(rank)), index.id(rank))
}

function addIds(ids: Buffer[], entry: Entry | undefined): void {
  if (entry === undefined) return
  if (entry.assembly === null) ids.push(entry.id)
  else ids.push(...entry.assembly.partIds())
}

function keyOf(time: number, id: Buffer): string {
  return `${time} ${id.toString('latin1')}`
}

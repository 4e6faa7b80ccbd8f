import { hash } from '../../base/hash.ts'
import { ItemIndex } from '../../reconcile/item-index.ts'
import { INDEX_STEP_ITEMS } from './limits.ts'
import type { DigestRange } from './messages.ts'
import type { Place, Span } from './place.ts'
import { cutSpan, rankOf } from './place.ts'
import type { GossipReplica, StoredItem } from './replica.ts'

const FORK_DOMAIN = Buffer.from('peerlog 1 fork item\0', 'utf8')
/** When the proof of a fork counts as written. */
export const FORK_TIME = 0

/** Id of the item that stands for any proof that the author forked. */
export function forkItem(author: Buffer): Buffer {
  return hash([FORK_DOMAIN, author])
}

/**
 * What of the replica is compared: its events by (clock, id), and instead of those of a forked log one item that stands for the proof.
 * Read from the store step by step when it is first needed, and kept up to date from then on.
 */
export class ItemSet {
  readonly #replica: GossipReplica
  #index = new ItemIndex()
  /** Position up to which the store has been read. */
  #upTo = 0
  /** Authors of the proofs, by item. */
  readonly #forks = new Map<string, Buffer>()

  constructor(replica: GossipReplica) {
    this.#replica = replica
    this.#addForks()
  }

  /** True while all that is stored is in it. */
  get isWhole(): boolean {
    return this.#upTo >= this.#replica.position
  }

  get size(): number {
    return this.#index.size
  }

  /** Reads on in the store. Returns what was new. */
  step(): StoredItem[] {
    if (this.isWhole) return []
    const { items, upTo } = this.#replica.items.after(this.#upTo, INDEX_STEP_ITEMS)
    this.#upTo = upTo
    const fresh = items.filter(({ author }) => this.#replica.log(author)?.fork === null)
    for (const { time, id } of fresh) this.#index.insert(time, id)
    return fresh
  }

  /** Logs were found to be forked: their events no longer count. */
  forked(): void {
    this.#index = new ItemIndex()
    this.#upTo = 0
    this.#addForks()
  }

  #addForks(): void {
    for (const { author, fork } of this.#replica.logs()) {
      if (fork === null) continue
      const id = forkItem(author)
      this.#forks.set(id.toString('latin1'), author)
      this.#index.insert(FORK_TIME, id)
    }
  }

  /** Whose proof the item stands for, if it does for one. */
  forkedAuthor(id: Buffer): Buffer | undefined {
    return this.#forks.size === 0 ? undefined : this.#forks.get(id.toString('latin1'))
  }

  /** Number of items before a place. */
  rank(place: Place): number {
    return rankOf(this.#index, place)
  }

  count({ from, to }: Span): number {
    return this.rank(to) - this.rank(from)
  }

  /** The item at a rank; its id is a view that is valid until the set changes. */
  at(rank: number): { time: number; id: Buffer } {
    return { time: Number(this.#index.timestamp(rank)), id: this.#index.id(rank) }
  }

  range({ from, to }: Span): DigestRange {
    const [low, high] = [this.rank(from), this.rank(to)]
    return { from, to, items: high - low, fingerprint: this.#index.fingerprint(low, high) }
  }

  /** Cuts a span so that each part has so many items, the last perhaps fewer. */
  cut(span: Span, items: number): Span[] {
    return cutSpan(this.#index, span, items)
  }

  /** Cuts a span in two, of which the first has so many items. */
  cutAt(span: Span, items: number): [Span, Span] {
    const [first, ...rest] = this.cut(span, items)
    const to = (first as Span).to
    return [
      { from: span.from, to },
      { from: to, to: rest.at(-1)?.to ?? to },
    ]
  }
}

import { toHex } from './base/bytes.ts'
import { PeerlogError } from './base/errors.ts'
import { HASH_BYTES, hash } from './base/hash.ts'
import { READ_BATCH_EVENTS, WORK_SLICE_MS } from './base/limits.ts'
import { ItemIndex } from './reconcile/item-index.ts'
import type { EventStore } from './store/event-store.ts'

export interface AuditOptions {
  /**
   * 32 random bytes, chosen for this audit and used by both sides: whoever writes events must not know it beforehand, or
   * could make some whose absence is not noticed.
   */
  key: Uint8Array
  /** Ends the reading, with its reason thrown. */
  signal?: AbortSignal
  /** Hears how many positions of the file have been read, and how many there are. */
  onProgress?: (read: number, all: number) => void
}

/**
 * What a replica holds, event by event, to be compared with another replica by a `RangeReconciler` of `peerlog/reconcile`: made by
 * `db.audit()`. Frontiers say which logs should be here; this is what can be read from the file.
 */
export class Audit {
  /** Every event by its clock and BLAKE2b-256 of its id under the key. */
  readonly items: ItemIndex
  readonly #store: EventStore
  readonly #options: AuditOptions

  private constructor(store: EventStore, options: AuditOptions) {
    this.items = new ItemIndex()
    this.#store = store
    this.#options = options
  }

  /** @internal Use `db.audit()`. */
  static async of(store: EventStore, options: AuditOptions): Promise<Audit> {
    const { key } = options
    if (!(key instanceof Uint8Array && key.length === HASH_BYTES)) {
      throw new PeerlogError('INVALID_ARGUMENT', `the key of an audit is not ${HASH_BYTES} bytes`, {
        hint: `Make one with randomBytes(${HASH_BYTES}) of node:crypto, and hand it to both sides`,
      })
    }
    const audit = new Audit(store, options)
    await audit.#scan((keyed, time) => void audit.items.insert(time, keyed))
    return audit
  }

  /** The ids of events, for `db.get()`, by the ids under the key that a comparison has found. Reads the file once more. */
  async eventIds(found: Iterable<Uint8Array>): Promise<string[]> {
    const wanted = new Set(Array.from(found, toHex))
    const ids: string[] = []
    await this.#scan((keyed, _time, id) => {
      if (wanted.delete(toHex(keyed))) ids.push(toHex(id))
    })
    return ids
  }

  async #scan(each: (keyed: Buffer, time: number, id: Buffer) => void): Promise<void> {
    const { key, signal, onProgress } = this.#options
    const all = this.#store.position
    let sliceEnd = performance.now() + WORK_SLICE_MS
    for (let position = 0; position < all;) {
      signal?.throwIfAborted()
      const { items, upTo } = this.#store.items.after(position, READ_BATCH_EVENTS)
      for (const { id, time } of items) each(hash(id, key), time, id)
      position = upTo
      onProgress?.(Math.min(position, all), all)
      if (performance.now() < sliceEnd) continue
      await new Promise(setImmediate)
      sliceEnd = performance.now() + WORK_SLICE_MS
    }
  }
}

import { ID_WORDS, IdSum } from './id-sum.ts'
import { ID_BYTES } from './item-source.ts'
import { CHUNK_GROWTH_ITEMS, CHUNK_ITEMS } from './limits.ts'

/** An item as it is kept and compared: timestamp u64 big-endian ‖ id 32. */
export const ITEM_BYTES = 40
const TIMESTAMP_BYTES = 8

/** A few hundred neighbouring items in one piece of memory, and the sum of their ids once it was asked for. */
export class ItemChunk {
  count = 0
  #bytes: Buffer
  #view: DataView
  #sum: Uint32Array | null = null

  private constructor(bytes: Buffer) {
    this.#bytes = bytes
    this.#view = viewOf(bytes)
  }

  static empty(): ItemChunk {
    return new ItemChunk(Buffer.allocUnsafeSlow(CHUNK_GROWTH_ITEMS * ITEM_BYTES))
  }

  /** Below 0 if the item at a place is before the key, which is bytes as ITEM_BYTES says; 0 if it is the same. */
  compare(place: number, key: DataView): number {
    const view = this.#view
    const offset = place * ITEM_BYTES
    for (let at = 0; at < ITEM_BYTES; at += 4) {
      const difference = view.getUint32(offset + at) - key.getUint32(at)
      if (difference !== 0) return difference
    }
    return 0
  }

  /** Number of items before the key. */
  lowerBound(key: DataView): number {
    let [low, high] = [0, this.count]
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.compare(middle, key) < 0) low = middle + 1
      else high = middle
    }
    return low
  }

  timestamp(place: number): bigint {
    return this.#view.getBigUint64(place * ITEM_BYTES)
  }

  /** The item at a place, in bytes as ITEM_BYTES says: a view. */
  keyView(place: number): DataView {
    return new DataView(this.#bytes.buffer, this.#bytes.byteOffset + place * ITEM_BYTES, ITEM_BYTES)
  }

  /** A view. */
  id(place: number): Buffer {
    const offset = place * ITEM_BYTES + TIMESTAMP_BYTES
    return this.#bytes.subarray(offset, offset + ID_BYTES)
  }

  /** @param key bytes as ITEM_BYTES says. */
  insert(place: number, key: DataView): void {
    const needed = (this.count + 1) * ITEM_BYTES
    if (needed > this.#bytes.length) this.#resize(this.count + CHUNK_GROWTH_ITEMS)
    const offset = place * ITEM_BYTES
    if (place < this.count) this.#bytes.copyWithin(offset + ITEM_BYTES, offset, needed - ITEM_BYTES)
    // Ten words are faster copied one by one than by a call.
    for (let at = 0; at < ITEM_BYTES; at += 4) this.#view.setUint32(offset + at, key.getUint32(at))
    this.count++
    if (this.#sum !== null) addToSum(this.#sum, key, TIMESTAMP_BYTES, 1)
  }

  delete(place: number): void {
    const offset = place * ITEM_BYTES
    if (this.#sum !== null) addToSum(this.#sum, this.#view, offset + TIMESTAMP_BYTES, -1)
    this.#bytes.copyWithin(offset, offset + ITEM_BYTES, this.count * ITEM_BYTES)
    this.count--
    const room = this.#bytes.length / ITEM_BYTES
    if (room - this.count >= 2 * CHUNK_GROWTH_ITEMS) this.#resize(room - CHUNK_GROWTH_ITEMS)
  }

  /** Moves the later half into a chunk of its own. */
  split(): ItemChunk {
    const half = this.count >>> 1
    const bytes = Buffer.allocUnsafeSlow((CHUNK_ITEMS - (CHUNK_ITEMS >>> 1) + CHUNK_GROWTH_ITEMS) * ITEM_BYTES)
    this.#bytes.copy(bytes, 0, half * ITEM_BYTES, this.count * ITEM_BYTES)
    const later = new ItemChunk(bytes)
    later.count = this.count - half
    this.count = half
    this.#resize(half + CHUNK_GROWTH_ITEMS)
    this.#sum = null
    return later
  }

  /** Takes over all items of the chunk after this one. */
  append(next: ItemChunk): void {
    const count = this.count + next.count
    if (count * ITEM_BYTES > this.#bytes.length) this.#resize(count)
    next.#bytes.copy(this.#bytes, this.count * ITEM_BYTES, 0, next.count * ITEM_BYTES)
    this.count = count
    this.#sum = null
  }

  /** Sum of all ids, modulo 2^256. */
  get sum(): Uint32Array {
    if (this.#sum === null) {
      SUM.clear()
      this.#scan(0, this.count, SUM, 1)
      SUM.normalize((this.#sum = new Uint32Array(ID_WORDS)), 0)
    }
    return this.#sum
  }

  /** Adds, or takes away, the first items' ids. */
  addFirst(count: number, to: IdSum, sign: 1 | -1): void {
    if (count <= this.count >>> 1) {
      this.#scan(0, count, to, sign)
    } else {
      to.addWords(this.sum, 0, sign)
      this.#scan(count, this.count, to, sign === 1 ? -1 : 1)
    }
  }

  #scan(from: number, end: number, to: IdSum, sign: 1 | -1): void {
    to.addIds(this.#view, from * ITEM_BYTES + TIMESTAMP_BYTES, end - from, ITEM_BYTES, sign)
  }

  #resize(items: number): void {
    const bytes = Buffer.allocUnsafeSlow(items * ITEM_BYTES)
    this.#bytes.copy(bytes, 0, 0, this.count * ITEM_BYTES)
    this.#bytes = bytes
    this.#view = viewOf(bytes)
  }
}

// Scratch space: sums are taken synchronously.
const SUM = new IdSum()

function addToSum(sum: Uint32Array, ids: DataView, offset: number, sign: 1 | -1): void {
  SUM.clear()
  SUM.addWords(sum, 0, 1)
  SUM.addIds(ids, offset, 1, ITEM_BYTES, sign)
  SUM.normalize(sum, 0)
}

function viewOf(bytes: Buffer): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
}

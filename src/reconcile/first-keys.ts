/** Bytes of each first item that are kept: its timestamp and the beginning of its id. */
const KEPT_BYTES = 16
const KEPT_WORDS = KEPT_BYTES / 4

/** The first item of every chunk, as much of it as mostly decides, side by side: so that a search stays in little memory. */
export class FirstKeys {
  #words = new Uint32Array(64 * KEPT_WORDS)
  #count = 0

  /** @param key bytes as ITEM_BYTES says. */
  set(at: number, key: DataView): void {
    for (let word = 0; word < KEPT_WORDS; word++) this.#words[at * KEPT_WORDS + word] = key.getUint32(4 * word)
  }

  insert(at: number): void {
    const end = this.#count * KEPT_WORDS
    if (end + KEPT_WORDS > this.#words.length) {
      const words = new Uint32Array(this.#words.length * 2)
      words.set(this.#words)
      this.#words = words
    }
    this.#words.copyWithin((at + 1) * KEPT_WORDS, at * KEPT_WORDS, end)
    this.#count++
  }

  delete(at: number): void {
    this.#words.copyWithin(at * KEPT_WORDS, (at + 1) * KEPT_WORDS, this.#count * KEPT_WORDS)
    this.#count--
  }

  /** Below 0 if the first item of a chunk is before the key, above 0 if it is after; 0 if what is kept does not decide. */
  compare(at: number, key: DataView): number {
    const words = this.#words
    for (let word = 0; word < KEPT_WORDS; word++) {
      const difference = (words[at * KEPT_WORDS + word] as number) - key.getUint32(4 * word)
      if (difference !== 0) return difference
    }
    return 0
  }
}

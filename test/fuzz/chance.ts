import { dice } from '../../src/base/dice.ts'

/** What a fuzzer takes by chance, the same for the same seed. */
export class Chance {
  readonly #roll: () => number

  constructor(seed: number) {
    this.#roll = dice(seed)
  }

  /** 0 … limit − 1 */
  below(limit: number): number {
    return Math.floor(this.#roll() * limit)
  }

  /** True in one of so many cases. */
  oneIn(cases: number): boolean {
    return this.below(cases) === 0
  }

  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)] as T
  }

  bytes(length: number): Buffer {
    const bytes = Buffer.alloc(length)
    for (let i = 0; i < length; i++) bytes[i] = this.below(256)
    return bytes
  }

  list<T>(most: number, make: () => T): T[] {
    return Array.from({ length: this.below(most + 1) }, make)
  }

  /** A whole number up to `max`: small, at an edge of a varint or of the range, or any. */
  number(max: number = Number.MAX_SAFE_INTEGER): number {
    const edges = [0, 1, Math.max(0, max - 1), max]
    for (let bits = 7; bits < 53; bits += 7) edges.push(2 ** bits - 1, 2 ** bits)
    const value = this.pick([this.below(300), Math.floor(this.#roll() * max), this.pick(edges)])
    return Math.min(max, value)
  }

  /** Text with characters of one to four bytes. */
  text(most: number): string {
    const characters = [...'abcz019-_. ', 'é', '語', '\u200d', '\ufffd', '\ufeff', '😀']
    return this.list(most, () => this.pick(characters)).join('')
  }
}

import { dice } from '../base/dice.ts'
import { hash } from '../base/hash.ts'

/** A source of numbers for one purpose: what one purpose draws does not shift what another one gets. */
export class Chance {
  readonly #draw: () => number

  constructor(seed: number, purpose: string) {
    this.#draw = dice(hash(Buffer.from(`peerlog simulator ${seed} ${purpose}`, 'utf8')).readUInt32LE(0))
  }

  /** From 0 to below 1. */
  next(): number {
    return this.#draw()
  }

  /** A whole number below `count`. */
  below(count: number): number {
    return Math.floor(this.#draw() * count)
  }

  /** A whole number from `from` to `to`, both included. */
  between(from: number, to: number): number {
    return from + this.below(to - from + 1)
  }

  happens(probability: number): boolean {
    return this.#draw() < probability
  }

  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)] as T
  }

  /** The items in an order of chance. */
  shuffled<T>(items: readonly T[]): T[] {
    const left = items.slice()
    for (let i = left.length - 1; i > 0; i--) {
      const j = this.below(i + 1)
      const item = left[i] as T
      left[i] = left[j] as T
      left[j] = item
    }
    return left
  }

  fill(into: Uint8Array): void {
    for (let i = 0; i < into.length; i++) into[i] = this.below(256)
  }
}

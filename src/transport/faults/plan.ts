import { dice } from '../../base/dice.ts'
import type { FaultKind, Faults, MessageFault, When } from './faults.ts'
import { changeFaults, MESSAGE_FAULTS, NO_FAULTS } from './faults.ts'

/** Odd numbers that spread the seeds of lanes that have neighbouring numbers. */
const CONNECTION_STEP = 0x9e3779b1
const DIRECTION_STEP = 0x85ebca6b

/** The faults of one transport, what is left of them, and how often each has happened. */
export class Plan {
  readonly seed: number
  readonly datagrams: boolean
  readonly counts: Record<FaultKind, number> = {
    lose: 0,
    vanish: 0,
    stall: 0,
    deaf: 0,
    inject: 0,
    drop: 0,
    duplicate: 0,
    reorder: 0,
    storm: 0,
    twice: 0,
    cut: 0,
  }
  /** What the wrapped transport did that no transport may do. */
  readonly breaches: string[] = []
  #faults: Readonly<Faults> = NO_FAULTS
  /** Of those that happen a number of times: how often they still may. */
  readonly #left: Map<keyof Faults, number> = new Map()

  constructor(seed: number, datagrams: boolean) {
    this.seed = seed
    this.datagrams = datagrams
  }

  get faults(): Readonly<Faults> {
    return this.#faults
  }

  change(changes: Partial<Faults>): void {
    this.#faults = changeFaults(this.#faults, changes, this.datagrams)
    for (const [name, value] of Object.entries(changes) as [keyof Faults, unknown][]) {
      const times = typeof value === 'number' ? value : (value as { times?: number }).times
      this.#left.set(name, times ?? Infinity)
    }
  }

  clear(): void {
    this.change(NO_FAULTS)
  }

  /** Whether the next connection has the fault. */
  takesConnection(kind: 'storm' | 'twice'): boolean {
    const left = this.#left.get(kind) ?? 0
    if (left <= 0) return false
    this.#left.set(kind, left - 1)
    this.counts[kind]++
    return true
  }

  /** The dice of one direction of a connection: the same for the same seed and number. */
  dice(connection: number, direction: 'send' | 'receive'): () => number {
    const step = direction === 'send' ? 0 : DIRECTION_STEP
    const random = dice((this.seed ^ Math.imul(connection + 1, CONNECTION_STEP) ^ step) | 0)
    // The first number of neighbouring seeds is still alike.
    random()
    return random
  }

  /** What happens to the message with this number: all that do, each counted when it is done. */
  fate(number: number, direction: 'send' | 'receive', random: () => number): ReadonlySet<MessageFault> {
    const fate = new Set<MessageFault>()
    const concerned = this.#faults.direction === 'both' || this.#faults.direction === direction
    if (!concerned) return fate
    for (const kind of MESSAGE_FAULTS) {
      if (kind === 'deaf' && direction === 'send') continue
      const when = this.#faults[kind]
      if (when === 0 || !happens(when, number, random)) continue
      if (typeof when === 'object' && 'times' in when && !this.#spend(kind)) continue
      fate.add(kind)
    }
    return fate
  }

  #spend(kind: MessageFault): boolean {
    const left = this.#left.get(kind) ?? 0
    if (left > 0) this.#left.set(kind, left - 1)
    return left > 0
  }
}

function happens(when: When, number: number, random: () => number): boolean {
  if (typeof when === 'number') return random() < when
  return 'times' in when ? random() < when.chance : when.includes(number)
}

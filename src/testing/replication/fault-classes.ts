import type { Faults } from '../../transport/faults/faults.ts'

/** What goes wrong in one run of the suite, by name. */
export type FaultClass =
  | 'none'
  | 'lost'
  | 'slow'
  | 'narrow'
  | 'halfOpen'
  | 'stalls'
  | 'deaf'
  | 'refused'
  | 'hostile'
  | 'storms'
  | 'twice'
  | 'mix'

export interface FaultClassEntry {
  /** Stands in the name of the test. */
  title: string
  /** The faults of one transport, by chance. */
  faults(random: () => number): Partial<Faults>
  /** Whether they make peers refuse each other: something is handed over that nobody sent. */
  provokes?: boolean
  /** Whether connections are also cut at random moments. */
  cuts?: boolean
}

/** Mean chances of a message; a run with few messages has few faults, one with many has many. */
const RARELY = 0.06
const OFTEN = 0.2

const between = (random: () => number, least: number, most: number): number =>
  Math.floor(least + random() * (most - least + 1))
const direction = (random: () => number): Faults['direction'] =>
  (['both', 'send', 'receive'] as const)[between(random, 0, 2)] ?? 'both'

export const FAULT_CLASSES: Readonly<Record<FaultClass, FaultClassEntry>> = {
  none: { title: 'nothing going wrong', faults: () => ({}) },
  lost: {
    title: 'lost connections',
    cuts: true,
    faults: (random) => ({ lose: RARELY + random() * OFTEN, direction: direction(random) }),
  },
  slow: {
    title: 'delay and jitter',
    faults: (random) => ({ delayMs: between(random, 1, 25), jitterMs: between(random, 0, 40) }),
  },
  narrow: {
    title: 'little bandwidth',
    faults: (random) => ({ bytesPerSecond: between(random, 40_000, 400_000), delayMs: between(random, 0, 10) }),
  },
  halfOpen: {
    title: 'half-open connections',
    cuts: true,
    faults: (random) => ({ vanish: OFTEN, direction: direction(random) }),
  },
  stalls: {
    title: 'stalls',
    faults: (random) => ({ stall: OFTEN, stallMs: between(random, 5, 120), direction: direction(random) }),
  },
  deaf: { title: 'readers that never read', cuts: true, faults: () => ({ deaf: OFTEN }) },
  refused: {
    title: 'messages that must be refused',
    faults: () => ({ inject: OFTEN, injections: ['empty', 'oversize'], direction: 'send' }),
  },
  hostile: {
    title: 'messages that nobody sent',
    provokes: true,
    faults: (random) => ({ inject: { chance: 2 * OFTEN, times: 1 }, direction: direction(random) }),
  },
  storms: { title: 'connect storms', faults: (random) => ({ storm: between(random, 2, 5) }), cuts: true },
  twice: { title: 'connections delivered twice', faults: () => ({ twice: Infinity }), cuts: true },
  mix: {
    title: 'everything at once',
    provokes: true,
    cuts: true,
    faults: (random) => ({
      direction: direction(random),
      delayMs: between(random, 0, 5),
      jitterMs: between(random, 0, 15),
      bytesPerSecond: between(random, 200_000, 2_000_000),
      lose: random() * RARELY,
      vanish: random() * RARELY,
      stall: random() * OFTEN,
      stallMs: between(random, 5, 60),
      deaf: random() * RARELY,
      inject: { chance: random() * RARELY, times: 1 },
      storm: between(random, 0, 2),
      twice: between(random, 0, 2),
    }),
  },
}

export const ALL_FAULT_CLASSES: readonly FaultClass[] = Object.keys(FAULT_CLASSES) as FaultClass[]

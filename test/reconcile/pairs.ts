/** Pairs of sets that a number decides, and comparing them. */
import { dice } from '../../src/base/dice.ts'
import type { ItemSource } from '../../src/reconcile/item-source.ts'
import { RangeReconciler } from '../../src/reconcile/range/range-reconciler.ts'
import type { RangeStep } from '../../src/reconcile/range/range-reconciler.ts'
import type { RangeOptions } from '../../src/reconcile/range/options.ts'
import type { ModelItem } from './models.ts'

export interface Pair {
  ours: ModelItem[]
  theirs: ModelItem[]
  /** Frame limits, 0 for none. */
  limits: [number, number]
}

const MAX_ITEMS = 2000
const STARTS = [0n, 2n ** 31n, 2n ** 32n, 2n ** 53n, 2n ** 63n, 2n ** 64n - 2n, 1_700_000_000_000n]
const SPREADS = [1, 2, 40, 1000, 2 ** 31, 2 ** 40]

/** Pair number `seed`: sizes from 0 to 2000, the small ones as often as the large ones, and all kinds of timestamps and ids. */
export function pairOf(seed: number, maxItems = MAX_ITEMS): Pair {
  const random = dice(seed)
  const below = (n: number): number => Math.floor(random() * n)
  const pick = <T>(list: readonly T[]): T => list[below(list.length)] as T
  const count = Math.floor((maxItems + 1) ** random()) - 1
  const [start, spread, clusters] = [pick(STARTS), pick(SPREADS), pick([1, 1, 3])]
  const sharedBytes = pick([0, 0, 1, 15, 27])
  const starts = Array.from({ length: clusters }, (_, i) => (i === 0 ? start : pick(STARTS)))
  const [shares, onlyOurs] = [pick([0, 0.1, 0.5, 0.9, 0.99, 1]), pick([0, 0.5, 1])]
  /** What lies after this part of all items only one side has. */
  const until = pick([0.5, 0.9, 0.97, 1, 1, 1])
  const items = Array.from({ length: count }, () => {
    const id = Buffer.allocUnsafe(32)
    for (let at = 0; at < 32; at += 4) id.writeUInt32LE(random() * 2 ** 32, at)
    id.fill(below(8) === 0 ? 0xff : 7, 0, sharedBytes)
    const around = pick(starts) + BigInt(below(spread)) - BigInt(spread >> 1)
    const timestamp = around < 0n ? 0n : around > 2n ** 64n - 2n ? 2n ** 64n - 2n : around
    return { timestamp, id }
  }).toSorted((a, b) => (a.timestamp === b.timestamp ? Buffer.compare(a.id, b.id) : a.timestamp < b.timestamp ? -1 : 1))
  const ours: ModelItem[] = []
  const theirs: ModelItem[] = []
  for (const [i, item] of items.entries()) {
    const isShared = i < until * count && random() < shares
    const isOurs = random() < onlyOurs
    if (isShared || isOurs) ours.push(item)
    if (isShared || !isOurs) theirs.push(item)
  }
  const limit = (): number => (below(4) === 0 ? 0 : 4096 + below(4096))
  return { ours, theirs, limits: [limit(), limit()] }
}

/** Ids that only the first has, in order: from the definition. */
export function only(a: readonly ModelItem[], b: readonly ModelItem[]): string[] {
  const key = ({ timestamp, id }: ModelItem): string => `${timestamp} ${id.toString('hex')}`
  const keys = new Set(b.map(key))
  return hexOf(a.filter((item) => !keys.has(key(item))).map(({ id }) => id))
}

/** Each once, in order. */
export function hexOf(ids: readonly Buffer[]): string[] {
  return [...new Set(ids.map((id) => id.toString('hex')))].toSorted()
}

/** What a comparison has found and cost. */
export interface Found {
  have: Buffer[]
  need: Buffer[]
  messages: Buffer[]
}

/** A step, unless the message was a violation. */
export function stepOf(step: ReturnType<RangeReconciler['receive']>): RangeStep {
  if (step.type === 'violation') throw new Error(`a violation: ${step.fault}`)
  return step
}

/** Compares two sources to the end. */
export function compare(
  ours: ItemSource,
  theirs: ItemSource,
  ourOptions: RangeOptions = {},
  theirOptions: RangeOptions = ourOptions,
): Found {
  return converse(new RangeReconciler(ours, ourOptions), new RangeReconciler(theirs, theirOptions))
}

/** From the initiator's first message to its end. */
export function converse(initiator: RangeReconciler, responder: RangeReconciler): Found {
  const found: Found = { have: [], need: [], messages: [] }
  for (let message: Buffer | null = initiator.initiate(); message !== null;) {
    const answer = stepOf(responder.receive(message))
    if (answer.reply === null || answer.have.length + answer.need.length > 0)
      throw new Error('not what a responder says')
    found.messages.push(message, answer.reply)
    const step = stepOf(initiator.receive(answer.reply))
    found.have.push(...step.have)
    found.need.push(...step.need)
    message = step.reply
  }
  return found
}

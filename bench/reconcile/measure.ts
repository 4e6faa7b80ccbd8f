import { freemem } from 'node:os'
import type { ItemIndex } from 'peerlog/reconcile'
import { median } from '../lib/measure.ts'
import type { Figure } from './figures.ts'
import { indexOf, makeReplicas } from './replicas.ts'
import { deltaFrontier, fullFrontier, ranges } from './ways.ts'

const SMALL = [10, 30, 100, 200, 300, 500]
const LARGE = [1000, 10_000, 100_000, 1_000_000]
const HUGE = 10_000_000
/** Bytes of free memory with which the largest size is measured too. */
const HUGE_NEEDS = 6e9
const CHANGED = [0, 1, 10, 100]
const SHARES = [0.001, 0.01, 0.1, 0.2, 0.5]
const TIMES = 3
/** Milliseconds after which a measurement is not repeated. */
const SLOW_MS = 500

/** Mulberry32, so that every run measures the same sets. */
function dice(start: number): () => number {
  let state = start
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
}

function usedBytes(): number {
  // Buffers that the first finds unused are free after the second.
  globalThis.gc?.()
  globalThis.gc?.()
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}

function places(): { logs: number; changed: number }[] {
  const all = [...SMALL, ...LARGE].flatMap((logs) => {
    const counts = [...CHANGED, ...SHARES.map((share) => Math.round(share * logs))]
    return [...new Set(counts)].filter((changed) => changed <= logs / 2).map((changed) => ({ logs, changed }))
  })
  if (freemem() > HUGE_NEEDS) all.push(...[10, 10_000].map((changed) => ({ logs: HUGE, changed })))
  return all.toSorted((a, b) => a.logs - b.logs || a.changed - b.changed)
}

/** All figures, one after the other. */
export function measure(): Figure[] {
  // Once without looking at the clock: code is slow until it was compiled.
  for (let i = 0; i < 20; i++) figureOf(2000, 20)
  return places().map(({ logs, changed }) => {
    const figure = figureOf(logs, changed)
    process.stderr.write('.')
    return figure
  })
}

function figureOf(logs: number, changed: number): Figure {
  const replicas = makeReplicas(logs, changed, dice(logs + changed))
  const before = usedBytes()
  const ours = indexOf(replicas.heads[0])
  const theirs: ItemIndex = indexOf(replicas.heads[1])
  const runs = [ranges(ours, theirs, changed)]
  while (runs.length < TIMES && (runs[0]?.ms ?? 0) < SLOW_MS) runs.push(ranges(ours, theirs, changed))
  const memory = Math.max(0, (usedBytes() - before) / 2)
  const range = { ...(runs[0] as (typeof runs)[0]), ms: median(runs.map(({ ms }) => ms)), memory }
  if (ours.size !== theirs.size) throw new Error('both replicas hold every log')
  if (logs === HUGE) return { logs, changed, costs: { range } }
  return { logs, changed, costs: { full: fullFrontier(replicas), delta: deltaFrontier(replicas), range } }
}

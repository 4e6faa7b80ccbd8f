import { freemem } from 'node:os'
import { median } from '../lib/measure.ts'
import { bloom, lossesOf } from './bloom.ts'
import type { Cost, Figure, Loss } from './figures.ts'
import { HEAD_BYTES, Replicas } from './replicas.ts'
import { deltaFrontier, fullFrontier, ranges } from './ways.ts'

const SMALL = [10, 30, 100, 200, 300, 500]
const LARGE = [1000, 10_000, 100_000, 1_000_000]
const HUGE = 10_000_000
/** Bytes of free memory with which the largest size is measured too. */
const HUGE_NEEDS = 6e9
/** Logs up to which Bloom filters are measured too, and of which with losses, a tenth of them differing. */
const MAX_BLOOM = 100_000
const LOSSY = [1000, 10_000]
const CHANGED = [0, 1, 10, 100]
const SHARES = [0.001, 0.01, 0.1, 0.2, 0.5]
const TIMES = 5
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

function countsOf(logs: number): number[] {
  if (logs === HUGE) return [10, logs / 1000]
  const counts = [...CHANGED, ...SHARES.map((share) => Math.round(share * logs))].filter(
    (changed) => changed <= logs / 2,
  )
  return [...new Set(counts)].toSorted((a, b) => a - b)
}

/** Only the figures of Bloom filters, beside those that are there. */
export function withBloom(figures: readonly Figure[]): Figure[] {
  const sizes = new Set(figures.map(({ logs }) => logs).filter((logs) => logs <= MAX_BLOOM))
  const costs = new Map<string, Cost>()
  for (const logs of sizes) {
    const before = usedBytes()
    const replicas = new Replicas(logs, dice(logs))
    const memory = (usedBytes() - before) / 2 - logs * HEAD_BYTES
    for (const changed of countsOf(logs)) {
      replicas.change(changed)
      costs.set(`${logs} ${changed}`, bloomCost(replicas, memory))
    }
    process.stderr.write('.')
  }
  return figures.map((figure) => {
    const cost = costs.get(`${figure.logs} ${figure.changed}`)
    return cost === undefined ? figure : { ...figure, costs: { ...figure.costs, bloom: cost } }
  })
}

export function losses(): Loss[] {
  return LOSSY.flatMap((logs) => {
    const random = dice(logs)
    const replicas = new Replicas(logs, random)
    replicas.change(logs / 10)
    return lossesOf(replicas, random)
  })
}

function bloomCost(replicas: Replicas, memory: number): Cost {
  const random = dice(replicas.changed)
  const runs = [bloom(replicas, 0, random)]
  while (runs.length < TIMES && (runs[0]?.ms ?? 0) < SLOW_MS) runs.push(bloom(replicas, 0, random))
  const of = (what: 'bytes' | 'rounds' | 'ms'): number => median(runs.map((run) => run[what]))
  return { bytes: Math.round(of('bytes')), rounds: Math.round(of('rounds')), ms: of('ms'), memory }
}

/** All figures, one after the other. */
export function measure(): Figure[] {
  // Once without looking at the clock: code is slow until it was compiled.
  for (let i = 0; i < 20; i++) figuresOf(2000, [20, 500])
  const sizes = [...SMALL, ...LARGE, ...(freemem() > HUGE_NEEDS ? [HUGE] : [])]
  return sizes.flatMap((logs) => figuresOf(logs, countsOf(logs)))
}

function figuresOf(logs: number, counts: readonly number[]): Figure[] {
  const before = usedBytes()
  const replicas = new Replicas(logs, dice(logs))
  const memory = (usedBytes() - before) / 2 - logs * HEAD_BYTES
  process.stderr.write('.')
  return counts.map((changed) => {
    replicas.change(changed)
    const runs = [ranges(replicas)]
    while (runs.length < TIMES && (runs[0]?.ms ?? 0) < SLOW_MS) runs.push(ranges(replicas))
    const range = { ...(runs[0] as (typeof runs)[0]), ms: median(runs.map(({ ms }) => ms)), memory }
    process.stderr.write('.')
    if (logs === HUGE) return { logs, changed, costs: { range } }
    const costs = { full: fullFrontier(replicas), delta: deltaFrontier(replicas), range }
    return { logs, changed, costs: logs > MAX_BLOOM ? costs : { ...costs, bloom: bloomCost(replicas, memory) } }
  })
}

import { cpus, totalmem } from 'node:os'
import type { BenchRatio } from '../results.ts'

export function median(values: readonly number[]): number {
  return quantile(values, 0.5)
}

/** @param q 0 … 1 */
export function quantile(values: readonly number[], q: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  const place = (sorted.length - 1) * q
  const low = sorted[Math.floor(place)] as number
  const high = sorted[Math.ceil(place)] as number
  return low + (high - low) * (place - Math.floor(place))
}

/** The machine in one line. */
export function machineLine(): string {
  const [cpu] = cpus()
  const memory = Math.round(totalmem() / 2 ** 30)
  return `${cpu?.model.trim() ?? 'unknown'}, ${cpus().length} cores, ${memory} GiB, Node ${process.version}`
}

/** Runs the contestants in turn, several rounds, so that a slow moment of the machine hits all of them. */
export async function rounds<Name extends string>(
  count: number,
  contestants: Record<Name, () => Promise<number> | number>,
): Promise<Record<Name, number>> {
  const names = Object.keys(contestants) as Name[]
  const values = Object.fromEntries(names.map((name) => [name, [] as number[]])) as Record<Name, number[]>
  for (let round = 0; round < count; round++) {
    for (const name of names) {
      globalThis.gc?.()
      values[name].push(await contestants[name]())
      process.stderr.write('.')
    }
  }
  return Object.fromEntries(names.map((name) => [name, median(values[name])])) as Record<Name, number>
}

/** Runs the work several times; the median of each figure that it returns. */
export async function medians<Name extends string>(
  count: number,
  work: () => Promise<Record<Name, number>>,
): Promise<Record<Name, number>> {
  const results: Record<Name, number>[] = []
  for (let round = 0; round < count; round++) {
    globalThis.gc?.()
    results.push(await work())
    process.stderr.write('.')
  }
  return mediansOf(results)
}

/** The median of each figure. */
export function mediansOf<Name extends string>(results: readonly Record<Name, number>[]): Record<Name, number> {
  const names = Object.keys(results[0] as Record<Name, number>) as Name[]
  return Object.fromEntries(names.map((name) => [name, median(results.map((result) => result[name]))])) as Record<
    Name,
    number
  >
}

/** A ratio with a goal, such as at least 0.45. */
export function atLeast(label: string, value: number, goal: number): BenchRatio {
  return { label, value, goal: `≥ ${goal}`, met: value >= goal }
}

export function atMost(label: string, value: number, goal: number): BenchRatio {
  return { label, value, goal: `≤ ${goal}`, met: value <= goal }
}

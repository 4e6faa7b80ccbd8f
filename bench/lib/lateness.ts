import { figure } from '../../scripts/bench-readme.ts'
import type { BenchRatio } from '../results.ts'
import { quantile } from './measure.ts'

/** How long messages took, in milliseconds. */
export interface Lateness {
  p50: number
  p99: number
}

export function latenessOf(lateMs: readonly number[]): Lateness {
  return { p50: quantile(lateMs, 0.5), p99: quantile(lateMs, 0.99) }
}

export function latenessRatios(label: string, relay: Lateness, forwarder: Lateness): BenchRatio[] {
  return (['p50', 'p99'] as const).map((name) => ({
    label: `${label}, ${name} (bare forwarder: ${figure(forwarder[name])})`,
    value: relay[name],
  }))
}

/** What `npm run bench` writes to `bench/results.json`, and what the README's table is rendered from. */
export interface BenchResults {
  /** The machine in one line: processor, cores, memory, Node version. */
  machine: string
  /** The day of the run: `2026-11-20`. */
  date: string
  /** How long the run took. */
  minutes?: number
  rows: BenchRow[]
}

/** One measured figure. */
export interface BenchRow {
  /** The group of measurements it belongs to: a word for `npm run bench -- word`. */
  group?: string
  /** The day it was measured, if that was after the run. */
  date?: string
  /** What was measured, for people; unique, and the name by which a document may quote the figure. */
  name: string
  /** The median of the runs. */
  value: number
  /** What `value` counts: `events/s`, `ms`, `bytes`, `MB` … */
  unit: string
  /** The same figure relative to others that were measured side by side in the same run. */
  ratios: BenchRatio[]
  /** What a reader should know about how it was measured. */
  note?: string
  /** One of the few that the README shows. */
  headline?: boolean
}

export interface BenchRatio {
  /** What it is compared with: `of bare better-sqlite3`, `× hypercore` … */
  label: string
  value: number
  /** The goal as it is spoken: `≥ 0.45`. */
  goal?: string
  /** Whether this run reached the goal. */
  met?: boolean
}

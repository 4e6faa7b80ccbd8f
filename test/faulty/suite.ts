/** The session suite for one transport: its fixed seeds, those that once failed, and as many more as are asked for. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import Sqlite from 'better-sqlite3'
import { afterAll, test } from 'vitest'
import type { FaultClass, ReplicationPlace, ReplicationRun } from '../../src/testing.ts'
import { replicationConformance } from '../../src/testing.ts'

const SEEDS = path.join(import.meta.dirname, '../seeds/faulty.json')

/** `200`: seeds 1 to 200; `101-200`: these. */
const [from, to] = (process.env['PEERLOG_FAULT_SEEDS'] ?? '0').split('-').map(Number) as [number, number | undefined]
const more = Array.from(
  { length: to === undefined ? from : to - from + 1 },
  (_, i) => (to === undefined ? 1 : from) + i,
)
const ONLY = process.env['PEERLOG_FAULTS']?.split(',') as FaultClass[] | undefined

export interface SuiteOptions {
  name: string
  /** Where the transports of one run meet. */
  meet(): Promise<Pick<ReplicationPlace, 'createTransport' | 'teardown'>>
  /** What CI runs: the seeds of each class. */
  fixed: Partial<Record<FaultClass, readonly number[]>>
}

/** With PEERLOG_FAULT_SEEDS each seed runs everything at once, and one class by turns; with PEERLOG_FAULTS the classes named. */
export function sessionSuite({ name, meet, fixed }: SuiteOptions): void {
  const runs: ReplicationRun[] = []
  const register = (faults: FaultClass, seeds: readonly number[]): void =>
    replicationConformance({
      test: (title, run) => test(title, run, 120_000),
      name,
      faults: [faults],
      seeds,
      report: (run) => void runs.push(run),
      setup: async () => {
        const folder = mkdtempSync(path.join(tmpdir(), 'peerlog-faulty-'))
        const place = await meet()
        return {
          ...place,
          file: (file) => path.join(folder, `${file}.db`),
          check: checkIntegrity,
          teardown: async () => {
            await place.teardown()
            rmSync(folder, { recursive: true, force: true })
          },
        }
      },
    })

  const classes = Object.keys(fixed) as FaultClass[]
  if (more.length > 0) {
    for (const seed of more) {
      const turn = classes[seed % classes.length] as FaultClass
      for (const faults of ONLY ?? new Set<FaultClass>([turn, 'mix'])) register(faults, [seed])
    }
  } else {
    const failed = (JSON.parse(readFileSync(SEEDS, 'utf8')) as Record<string, typeof fixed>)[name] ?? {}
    for (const faults of new Set([...classes, ...(Object.keys(failed) as FaultClass[])])) {
      register(faults, [...new Set([...(fixed[faults] ?? []), ...(failed[faults] ?? [])])])
    }
  }

  afterAll(() => {
    if (more.length > 0) console.log(summary(name, runs))
  })
}

function checkIntegrity(file: string): void {
  const db = new Sqlite(file, { readonly: true })
  const verdict = db.pragma('integrity_check', { simple: true })
  db.close()
  if (verdict !== 'ok') throw new Error(`${file}: ${String(verdict)}`)
}

function summary(name: string, runs: readonly ReplicationRun[]): string {
  const counts: Record<string, number> = {}
  for (const run of runs) {
    for (const [kind, count] of Object.entries(run.counts)) counts[kind] = (counts[kind] ?? 0) + count
  }
  const seeds = new Set(runs.map(({ seed }) => seed))
  const events = runs.reduce((sum, run) => sum + run.events, 0)
  return `${name}: ${runs.length} runs of ${seeds.size} seeds went well, ${events} events, ${JSON.stringify(counts)}`
}

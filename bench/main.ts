/**
 * `npm run bench` measures everything, prints a table and writes bench/results.json; with names of groups it measures
 * these and only prints, or with --save puts them in place of the earlier ones. `npm run bench -- profile` says where the time of an append and of a catch-up goes.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { renderTables } from '../scripts/bench-readme.ts'
import { killChildren } from './lib/child.ts'
import { DatabaseFiles } from './lib/database-files.ts'
import { inFolder, removeFolders } from './lib/folder.ts'
import { machineLine } from './lib/measure.ts'
import { printProfiles } from './profile.ts'
import type { BenchResults, BenchRow } from './results.ts'
import { appendRows } from './rows/append.ts'
import { attackRows } from './rows/attack.ts'
import { delayRows } from './rows/delay.ts'
import { fanOutRows } from './rows/fan-out.ts'
import { fileRows } from './rows/file.ts'
import { meetingRows } from './rows/meeting.ts'
import { memoryRows } from './rows/memory.ts'
import { networkRows } from './rows/network.ts'
import { othersRows } from './rows/others.ts'
import { relayRows } from './rows/relay.ts'
import { replicaRows } from './rows/replica.ts'

type Group = (files: DatabaseFiles) => Promise<BenchRow[]>

const groups: Record<string, Group> = {
  append: appendRows,
  network: networkRows,
  delay: delayRows,
  replica: replicaRows,
  fanout: fanOutRows,
  meeting: meetingRows,
  memory: memoryRows,
  file: fileRows,
  attack: attackRows,
  relay: relayRows,
  others: othersRows,
}

process.once('exit', () => {
  killChildren()
  removeFolders()
})
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => process.exit(130))

/** Groups that could not be measured. */
const failed: string[] = []

async function measure(chosen: readonly string[]): Promise<BenchResults> {
  const start = performance.now()
  const results: BenchResults = { machine: machineLine(), date: new Date().toISOString().slice(0, 10), rows: [] }
  await inFolder(async (folder) => {
    const files = new DatabaseFiles(folder)
    for (const [group, run] of Object.entries(groups)) {
      if (chosen.length > 0 && !chosen.includes(group)) continue
      const groupStart = performance.now()
      process.stderr.write(`${group} `)
      try {
        for (const row of await run(files)) results.rows.push({ group, ...row })
      } catch (error) {
        failed.push(group)
        console.error(error)
        killChildren()
      }
      process.stderr.write(` ${((performance.now() - groupStart) / 1000).toFixed(0)} s\n`)
    }
  })
  results.minutes = Number(((performance.now() - start) / 60_000).toFixed(1))
  return results
}

/** The earlier results with the rows of the groups that were measured again. */
function withGroups(measured: BenchResults, earlier: BenchResults): BenchResults {
  const groupsNow = new Set(measured.rows.map(({ group }) => group))
  const rows = Object.keys(groups).flatMap((group) =>
    (groupsNow.has(group) ? measured : earlier).rows
      .filter((row) => row.group === group)
      .map((row) => (groupsNow.has(group) ? { ...row, date: measured.date } : row)),
  )
  return { ...earlier, rows }
}

async function main(chosen: readonly string[]): Promise<void> {
  if (chosen.includes('profile')) {
    await inFolder((folder) => printProfiles(new DatabaseFiles(folder)))
    return
  }
  const results = await measure(chosen)
  console.log(renderTables(results))
  if (failed.length > 0) throw new Error(`not measured: ${failed.join(', ')}`)
  if (chosen.length > 0 && !save) return
  const file = path.join(import.meta.dirname, 'results.json')
  const all = chosen.length > 0 ? withGroups(results, JSON.parse(readFileSync(file, 'utf8')) as BenchResults) : results
  writeFileSync(file, `${JSON.stringify(all, null, 2)}\n`)
  console.log(`written to ${path.relative(process.cwd(), file)}; npm run bench:readme puts it into the documents`)
}

const save = process.argv.includes('--save')
const chosen = process.argv.slice(2).filter((argument) => argument !== '--save')
const unknown = chosen.find((name) => name !== 'profile' && !(name in groups))
if (unknown !== undefined) {
  console.error(`there is no group '${unknown}'; choose from ${Object.keys(groups).join(', ')}, or 'profile'`)
  process.exit(2)
}
// A measurement that waits for what can't happen any more would let the process end as if all were well.
process.exitCode = 1
try {
  await main(chosen)
  process.exitCode = 0
} catch (error) {
  console.error(error)
}
process.exit()

/** `npm run bench [-- append | network | attack]`: measures, prints a table, and writes bench/results.json when all was run. */
import { writeFileSync } from 'node:fs'
import path from 'node:path'
import { renderTable } from '../scripts/bench-readme.ts'
import { machineLine } from './lib/measure.ts'
import type { BenchResults, BenchRow } from './results.ts'
import { appendRows } from './rows/append.ts'
import { attackRows } from './rows/attack.ts'
import { networkRows } from './rows/network.ts'

const groups: Record<string, () => Promise<BenchRow[]>> = {
  append: appendRows,
  network: networkRows,
  attack: attackRows,
}
const chosen = process.argv.slice(2)
const unknown = chosen.find((name) => !(name in groups))
if (unknown !== undefined) {
  console.error(`there is no group '${unknown}'; choose from ${Object.keys(groups).join(', ')}`)
  process.exit(2)
}

const results: BenchResults = { machine: machineLine(), date: new Date().toISOString().slice(0, 10), rows: [] }
for (const [name, run] of Object.entries(groups)) {
  if (chosen.length > 0 && !chosen.includes(name)) continue
  process.stderr.write(`${name} `)
  results.rows.push(...(await run()))
  process.stderr.write('\n')
}
console.log(renderTable(results))
if (chosen.length === 0) {
  const file = path.join(import.meta.dirname, 'results.json')
  writeFileSync(file, `${JSON.stringify(results, null, 2)}\n`)
  console.log(`written to ${path.relative(process.cwd(), file)}; npm run bench:readme puts it into the documents`)
}
process.exit()

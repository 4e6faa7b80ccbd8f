/**
 * Fuzzes every decoder, prints a table, and fails if one breaks its promises or if a branch that rejects was never taken.
 *
 *   node --import ts-blank-space/register test/fuzz/main.ts [--seconds 60 | --inputs 10000] [--seed 1] [decoder …]
 */
import { register } from 'node:module'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'
import path from 'node:path'
import { COVERED } from './covered.ts'
import { TakenBranches } from './taken.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const urlOf = (file: string): string => pathToFileURL(path.join(ROOT, file)).href
const files = [...new Set(Object.values(COVERED).flat())]

const taken = new TakenBranches()
Object.assign(globalThis, { peerlogBranches: taken })
register('./branches-hook.ts', import.meta.url, { data: { urls: files.map(urlOf) } })
// What they import is instrumented from here on.
const { DECODERS } = await import('./all.ts')
const { fuzz } = await import('./fuzz.ts')

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { seconds: { type: 'string' }, inputs: { type: 'string' }, seed: { type: 'string' } },
})
const seconds = Number(values.seconds ?? process.env['PEERLOG_FUZZ_SECONDS'] ?? 60)
const seed = Number(values.seed ?? process.env['PEERLOG_SEED'] ?? 20261128)
const budget =
  values.inputs === undefined ? { seed, milliseconds: seconds * 1000 } : { seed, inputs: Number(values.inputs) }

const unknown = positionals.filter((name) => !DECODERS.some((entry) => entry.name === name))
if (unknown.length > 0)
  throw new Error(`there is no ${unknown.join(', ')}; there are ${Object.keys(COVERED).join(', ')}`)
const unlisted = DECODERS.filter(({ name }) => COVERED[name] === undefined).map(({ name }) => name)
const unloaded = files.filter((file) => !taken.has(urlOf(file)))
if (unlisted.length + unloaded.length > 0) {
  throw new Error(`without coverage: ${[...unlisted, ...unloaded].join(', ')}`)
}

const WIDTHS = [20, 10, 10, 10, 10, 12, 14, 12]
const row = (cells: readonly string[]): void =>
  console.log(
    cells.map((cell, i) => (i === 0 ? cell.padEnd(WIDTHS[0] as number) : cell.padStart(WIDTHS[i] as number))).join(''),
  )
row(['decoder', 'inputs', 'rejected', 'accepted', 'branches', 'reads/byte', 'largest alloc', 'heap growth'])

let failed = false
for (const entry of DECODERS) {
  if (positionals.length > 0 && !positionals.includes(entry.name)) continue
  try {
    const { inputs, rejected, accepted, steps, largest, growth } = await fuzz(entry, budget)
    const branches = taken.total((COVERED[entry.name] ?? []).filter((file) => file !== 'src/base/codec.ts').map(urlOf))
    const counts = [inputs, rejected, accepted].map(String)
    row([
      entry.name,
      ...counts,
      `${branches.taken}/${branches.all}`,
      steps.toFixed(2),
      `${largest} B`,
      `${Math.round(growth / 1024)} KiB`,
    ])
  } catch (error) {
    failed = true
    console.log(`FAILED ${(error as Error).message}`)
    console.log((error as Error).cause ?? '')
  }
}

if (positionals.length === 0) {
  const { taken: count, all } = taken.total(files.map(urlOf))
  console.log(`seed ${seed}: ${count} of ${all} branches that reject were taken`)
  for (const { url, branch } of taken.missed()) {
    failed = true
    console.log(`never taken: ${path.relative(ROOT, fileURLToPath(url))}:${branch.line}: ${branch.text}`)
  }
}
process.exitCode = failed ? 1 : 0

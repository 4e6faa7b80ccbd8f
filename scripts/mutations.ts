/**
 * Breaks the sources on purpose, one fault at a time, and lets the simulator look for it: a simulator that finds nothing
 * must be known to find something. `--seeds N` (default 100), `--devices N` (default 8), names of mutations for only these.
 */
import { parseArgs } from 'node:util'
import { MUTATIONS } from './lib/mutations/list.ts'
import { hunt } from './lib/mutations/run.ts'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { seeds: { type: 'string', default: '100' }, devices: { type: 'string', default: '8' } },
})
const [seeds, devices] = [Number(values.seeds), Number(values.devices)]
const chosen = MUTATIONS.filter(({ name }) => positionals.length === 0 || positionals.includes(name))
let missed = 0
for (const { name, breaks } of chosen) {
  const { seed, check, detail } = await hunt(name, seeds, devices)
  if (seed === null) missed++
  const how = seed === null ? `NOT FOUND in ${seeds} seeds` : `${String(seed).padStart(3)} seeds  ${check}: ${detail}`
  console.log(`${name.padEnd(22)} ${how}\n${' '.repeat(22)} ${breaks}`)
}
console.log(`${chosen.length - missed} of ${chosen.length} found`)
process.exitCode = missed === 0 ? 0 : 1

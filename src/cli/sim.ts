import { execFileSync } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import type { Command } from 'commander'
import { InvalidArgumentError, Option } from 'commander'
import type { SimRecord } from '../simulator/record.ts'
import type { Scenario, SimTransport } from '../simulator/scenario.ts'
import type { Topology } from '../simulator/topology.ts'
import { Unhealthy, UsageError } from './failure.ts'
import { wholeNumber } from './flags.ts'
import { counted } from './format.ts'
import { Output } from './output.ts'
import { failureText, runLine, summaryText } from './sim-text.ts'
import { packageVersion } from './version.ts'
import { stopOnSignals } from './with-database.ts'

interface SimFlags {
  seed?: number
  seeds?: Seeds
  runs?: number
  devices?: number
  events?: number
  loss?: number
  topology?: Topology
  transport?: SimTransport
  scenario?: string
  keep?: string
  report?: string
  shrink: boolean
  json?: true
  quiet?: true
  color: boolean
}

interface Seeds {
  from: number
  to: number
}

/** One run that is to be made, and the command that makes it alone. */
interface Job {
  scenario: Scenario
  command: string
}

export function addSim(program: Command): void {
  program
    .command('sim')
    .summary('simulate many devices on a bad network')
    .description(
      'Runs devices, each with a database of its own, in virtual time over a network that loses, delays and reorders packets\n' +
        'and falls apart, while devices crash, sleep and come back. In the end all must hold the same events. The same seed\n' +
        'gives the same run, byte for byte. A run that fails is made smaller until it can be understood. Uses no network.',
    )
    .option('--seed <number>', 'what everything of chance comes from (default: 1)', wholeNumber)
    .option('--seeds <from..to>', 'one run for each of these seeds', seeds)
    .option('--runs <count>', 'so many runs, from --seed on', wholeNumber)
    .option('-n, --devices <count>', 'devices (default: 20)', wholeNumber)
    .option('--events <count>', 'about so many events are written (default: of chance)', wholeNumber)
    .option('--loss <part>', 'part of the packets that is lost, 0 to 0.9 (default: of chance, up to 0.5)', part)
    .addOption(
      new Option('--topology <name>', 'who knows whom (default: of chance)').choices([
        'mesh',
        'ring',
        'star',
        'line',
        'random',
      ]),
    )
    .addOption(
      new Option('--transport <name>', 'what the devices talk over (default: of chance)').choices([
        'stream',
        'datagrams',
        'both',
      ]),
    )
    .option('--scenario <file>', 'instead of one of chance: a JSON file as docs/SIMULATOR.md describes it')
    .option('--keep <folder>', 'leaves sim.db and the database of every device in this folder, which is empty or new')
    .option('--report <file>', 'writes a page to look at, in HTML')
    .option('--no-shrink', 'leaves a failing scenario as large as it is')
    .option('--json', 'the whole record of every run as JSON, one per line')
    .option('-q, --quiet', 'only results and problems')
    .option('--no-color', 'no colours; also with NO_COLOR, and when the output is no terminal')
    .addHelpText(
      'after',
      `
Examples:
  $ peerlog sim --devices 20 --loss 0.3 --seed 7 --report out.html
  $ peerlog sim --seeds 1..1000
  $ peerlog sim --scenario failed.json --keep run/
  $ sqlite3 run/sim.db 'SELECT at, kind, device, detail FROM sim_events'`,
    )
    .action((flags: SimFlags) => sim(flags))
}

async function sim(flags: SimFlags): Promise<void> {
  const output = new Output(flags)
  const abort = new AbortController()
  const release = stopOnSignals(abort)
  try {
    const jobs = await jobsOf(flags)
    await run(jobs, flags, output, abort.signal)
  } finally {
    output.progress('')
    release()
  }
}

/** @throws {UsageError} for flags that contradict each other. */
async function jobsOf(flags: SimFlags): Promise<{ count: number; job: (number: number) => Job }> {
  const { parseScenario } = await import('../simulator/scenario.ts')
  const { randomScenario } = await import('../simulator/random-scenario.ts')
  const { seed = 1, scenario: file, keep, report } = flags
  const range = flags.seeds ?? { from: seed, to: seed + Math.max(1, flags.runs ?? 1) - 1 }
  const count = range.to - range.from + 1
  if (flags.seeds !== undefined && (flags.seed !== undefined || flags.runs !== undefined)) {
    throw new UsageError('--seeds says already which seeds are run', 'Leave --seed and --runs out')
  }
  if (count > 1 && (keep !== undefined || report !== undefined || file !== undefined)) {
    throw new UsageError('--keep, --report and --scenario are for one run', 'Give one --seed')
  }
  if (keep !== undefined) prepareFolder(keep)
  if (file !== undefined) {
    const scenario = parseScenario(readJson(file))
    if (flags.seed !== undefined) scenario.seed = flags.seed
    return { count: 1, job: () => ({ scenario, command: `peerlog sim --scenario ${file}` }) }
  }
  const { devices, events, loss, topology, transport } = flags
  const given = { devices, events, loss, topology, transport }
  const known = Object.entries(given).filter(([, value]) => value !== undefined)
  const words = known.map(([name, value]) => ` --${name} ${value}`).join('')
  return {
    count,
    job: (number) => ({
      scenario: randomScenario({ seed: range.from + number, ...Object.fromEntries(known) }),
      command: `peerlog sim --seed ${range.from + number}${words}`,
    }),
  }
}

async function run(
  { count, job }: Awaited<ReturnType<typeof jobsOf>>,
  flags: SimFlags,
  output: Output,
  signal: AbortSignal,
): Promise<void> {
  const { simulate } = await import('../simulator/simulate.ts')
  const done: SimRecord[] = []
  let failed = 0
  for (let number = 0; number < count && !signal.aborted; number++) {
    const { scenario, command } = job(number)
    output.progress(`${number} of ${counted(count, 'run')}, ${failed} failed; seed ${scenario.seed} …`)
    const record = await simulate({
      scenario,
      command,
      version: packageVersion(),
      signal,
      ...(flags.keep === undefined ? {} : { folder: flags.keep }),
    }).catch(unlessAborted(signal))
    if (record === null) break
    done.push(record)
    await tell(record, count, output)
    if (flags.report !== undefined) await writeReport(flags.report, record, output)
    if (record.verdict.ok) continue
    failed++
    await explain(scenario, record, flags, output, signal)
  }
  output.progress('')
  if (count > 1) output.status(`${counted(done.length, 'run')}, ${failed} failed`)
  if (signal.aborted && done.length < count) output.status(`stopped after ${done.length} of ${count}`)
  if (failed > 0) throw new Unhealthy()
}

function tell(record: SimRecord, count: number, output: Output): Promise<void> {
  if (output.json) return output.line(JSON.stringify(record))
  return output.line(count === 1 ? summaryText(record, output.colors) : runLine(record, output.colors))
}

/** Says what failed, and how it is repeated with as little as possible. */
async function explain(
  scenario: Scenario,
  record: SimRecord,
  flags: SimFlags,
  output: Output,
  signal: AbortSignal,
): Promise<void> {
  const { shrink } = await import('../simulator/shrink.ts')
  const { simulate } = await import('../simulator/simulate.ts')
  output.warn(failureText(record))
  const commit = commitHere()
  output.status(`  repeat it with: ${record.command}${commit === null ? '' : `   (at commit ${commit})`}`)
  if (!flags.shrink) return
  const shrunk = await shrink(scenario, record, {
    run: (smaller) => simulate({ scenario: smaller, signal }),
    signal,
    onRun: (runs, smallest) =>
      output.progress(
        `made smaller in ${counted(runs, 'run')}: ${smallest.devices.length} devices, ${smallest.events.length} events …`,
      ),
  }).catch(unlessAborted(signal))
  output.progress('')
  if (shrunk === null) return
  const file = `peerlog-sim-${scenario.seed}.json`
  fs.writeFileSync(file, `${JSON.stringify(shrunk.scenario, null, 2)}\n`)
  const { devices, events } = shrunk.scenario
  output.status(
    `  made smaller: ${counted(devices.length, 'device')}, ${counted(events.length, 'event')}, by ${counted(shrunk.runs, 'run')}`,
  )
  output.status(`  ${failureText(shrunk.record)}`)
  output.status(`  peerlog sim --scenario ${file}`)
}

async function writeReport(file: string, record: SimRecord, output: Output): Promise<void> {
  const { renderReport } = await import('../simulator/report/page.ts')
  fs.writeFileSync(file, renderReport(record))
  output.status(`report: ${file}`)
}

function unlessAborted(signal: AbortSignal): (error: unknown) => null {
  return (error) => {
    if (signal.aborted) return null
    throw error
  }
}

/** The commit that is checked out in this folder, if it is one of git; for people only. */
function commitHere(): string | null {
  try {
    return execFileSync('git', ['rev-parse', '--short', 'HEAD'], {
      stdio: ['ignore', 'pipe', 'ignore'],
      encoding: 'utf8',
    }).trim()
  } catch {
    return null
  }
}

function prepareFolder(folder: string): void {
  fs.mkdirSync(folder, { recursive: true })
  if (fs.readdirSync(folder).length > 0) {
    throw new UsageError(`the folder ${folder} is not empty`, 'Give the name of one that does not exist yet')
  }
}

function readJson(file: string): unknown {
  let text: string
  try {
    text = fs.readFileSync(file, 'utf8')
  } catch (error) {
    throw new UsageError(`can't read the scenario: ${(error as Error).message}`)
  }
  try {
    return JSON.parse(text)
  } catch (error) {
    throw new UsageError(`${path.basename(file)} is not JSON: ${(error as Error).message}`)
  }
}

function seeds(value: string): Seeds {
  const match = /^(\d{1,10})\.\.(\d{1,10})$/.exec(value)
  const [from, to] = [Number(match?.[1]), Number(match?.[2])]
  if (match === null || to < from || to >= 2 ** 32)
    throw new InvalidArgumentError('Write the first and the last one: 1..1000')
  return { from, to }
}

function part(value: string): number {
  const number = Number(value)
  if (value.trim() === '' || !(number >= 0 && number <= 0.9))
    throw new InvalidArgumentError('Write a number from 0 to 0.9.')
  return number
}

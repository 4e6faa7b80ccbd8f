/**
 * Everything that must hold before a change is merged, one line per step, the output of failed steps only.
 *
 *   npm run verify                    all steps
 *   npm run verify -- lint types      these steps
 *   npm run verify -- --skip test     all but these
 */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { REPOSITORY } from './lib/files.ts'
import { run } from './lib/processes.ts'

interface Step {
  name: string
  what: string
  command: readonly [string, ...string[]]
  /** Whether it looks at built packages. */
  built?: boolean
}

const bin = (name: string) => join(REPOSITORY, 'node_modules/.bin', name)
const script = (name: string) =>
  [process.execPath, '--import', 'ts-blank-space/register', join('scripts', name)] as const

const BUILD: Step = { name: 'build', what: 'compile both packages', command: [bin('tsc'), '-b', 'tsconfig.build.json'] }
const CRUISED = ['src', 'relay-server', 'test', 'bench', 'examples', 'scripts'].filter((folder) =>
  existsSync(join(REPOSITORY, folder)),
)
const STEPS: readonly Step[] = [
  { name: 'format', what: 'prettier', command: [bin('prettier'), '--check', '--log-level=warn', '.'] },
  { name: 'lint', what: 'oxlint, with types', command: [bin('oxlint')], built: true },
  { name: 'types', what: 'tsc, tests and scripts included', command: [bin('tsc'), '-p', 'tsconfig.json'], built: true },
  { name: 'imports', what: 'layers point down', command: [bin('depcruise'), ...CRUISED], built: true },
  { name: 'unused', what: 'knip', command: [bin('knip')], built: true },
  { name: 'repo', what: 'sizes, limits, traces', command: script('check-repo.ts') },
  { name: 'lock', what: 'npm ci accepts the lock file', command: [...script('complete-lock.ts'), '--check'] },
  { name: 'test', what: 'vitest', command: [bin('vitest'), 'run'], built: true },
  { name: 'docs', what: 'blocks run, links lead somewhere', command: script('check-docs.ts'), built: true },
  { name: 'package', what: 'what would be published', command: script('check-package.ts'), built: true },
]

function choose(): Step[] {
  const names = STEPS.map((step) => step.name)
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { skip: { type: 'string', multiple: true, default: [] } },
  })
  for (const name of [...positionals, ...values.skip]) {
    if (!names.includes(name)) {
      console.error(`there is no step "${name}"; there are: ${names.join(', ')}`)
      process.exit(2)
    }
  }
  const chosen = STEPS.filter(
    ({ name }) => (positionals.length === 0 || positionals.includes(name)) && !values.skip.includes(name),
  )
  return chosen.some((step) => step.built === true) ? [BUILD, ...chosen] : chosen
}

/** What a step that went well has to say: its notes, and its closing line if that is one of our own. */
function gist(step: Step, output: string): string[] {
  const lines = output.split('\n').map((line) => line.trim())
  if (step.name === 'test') return lines.filter((line) => /^Tests\s/.test(line))
  return lines.filter((line) => line.startsWith('note: '))
}

const steps = choose()
const failed: string[] = []
for (const step of steps) {
  const started = performance.now()
  const [command, ...args] = step.command
  const env = { ...process.env, NO_COLOR: '1', FORCE_COLOR: undefined }
  const result = await run(command, args, { cwd: REPOSITORY, env })
  const seconds = ((performance.now() - started) / 1000).toFixed(1)
  const good = result.code === 0
  console.log(`${good ? 'ok    ' : 'FAILED'} ${step.name.padEnd(8)} ${seconds.padStart(6)} s  ${step.what}`)
  if (good) {
    for (const line of gist(step, result.output)) console.log(`       ${line}`)
  } else {
    failed.push(step.name)
    console.log(result.output.trimEnd().replaceAll(/^/gm, '       '))
  }
}
console.log(
  failed.length === 0
    ? `all ${steps.length} steps are ok`
    : `${failed.length} of ${steps.length} failed: ${failed.join(', ')}`,
)
process.exitCode = failed.length === 0 ? 0 : 1

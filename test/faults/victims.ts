/** Starts processes with the built package, and a shim before them that disturbs what they do to their files. */
import type { ChildProcess } from 'node:child_process'
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { pathToFileURL } from 'node:url'
import tsBlankSpace from 'ts-blank-space'
import { afterAll } from 'vitest'
import type { ReplicaOptions } from './fixtures/replica.ts'
import type { VictimOptions } from './fixtures/victim.ts'

const ROOT = path.join(import.meta.dirname, '../..')
const FIXTURES = path.join(import.meta.dirname, 'fixtures')

/** What to do to a process at one of its calls to the operating system; see `shim.c`. */
export interface Fault {
  do: 'kill' | 'tear' | 'fail' | 'full'
  at: number
  /** Calls are counted from the printing of this line on. */
  from?: string
  /** Only calls on files whose names end so are counted. */
  only?: string
}

export interface VictimEnd {
  /** Whole lines that it printed. */
  lines: string[]
  killed: boolean
}

const workshop = fs.mkdtempSync(path.join(os.tmpdir(), 'peerlog-victims-'))
const running = new Set<ChildProcess>()

afterAll(() => {
  for (const child of running) child.kill('SIGKILL')
  fs.rmSync(workshop, { recursive: true, force: true })
})

/** The fixture as JavaScript over the built package: a process that runs it is up in a tenth of a second. */
function compiled(name: string): string {
  const target = path.join(workshop, `${name}.mjs`)
  if (fs.existsSync(target)) return target
  const source = tsBlankSpace(fs.readFileSync(path.join(FIXTURES, `${name}.ts`), 'utf8'))
  const script = source.replaceAll(/'\.\.\/\.\.\/\.\.\/src\/([^']+)\.ts'/g, (_, module: string) =>
    built(`${module}.js`),
  )
  fs.writeFileSync(target, script)
  return target
}

function built(module: string): string {
  return `'${pathToFileURL(path.join(ROOT, 'dist', module)).href}'`
}

/** Why there can be no shim here, or null. */
export const noShim: string | null = buildShim()

function buildShim(): string | null {
  if (process.platform !== 'linux') return 'needs Linux'
  const args = ['-O1', '-shared', '-fPIC', '-Wall', '-Werror', '-o', path.join(workshop, 'shim.so')]
  const run = spawnSync('cc', [...args, path.join(FIXTURES, 'shim.c'), '-ldl'], { encoding: 'utf8' })
  if (run.error !== undefined) return `needs a C compiler: ${run.error.message}`
  if (run.status !== 0) throw new Error(run.stderr)
  return null
}

function environment(folder: string, fault: Fault | null, trace: string | null): NodeJS.ProcessEnv {
  if (fault === null && trace === null) return process.env
  if (noShim !== null) throw new Error(noShim)
  return {
    ...process.env,
    LD_PRELOAD: path.join(workshop, 'shim.so'),
    FAULTS_FOLDER: folder,
    ...(trace === null ? {} : { FAULTS_TRACE: trace }),
    ...(fault === null ? {} : { FAULTS_DO: fault.do, FAULTS_AT: String(fault.at) }),
    ...(fault?.from === undefined ? {} : { FAULTS_FROM: fault.from }),
    ...(fault?.only === undefined ? {} : { FAULTS_ONLY: fault.only }),
  }
}

/** A process that has been started and will end, one way or the other. */
export class Victim {
  readonly #child: ChildProcess
  #output = ''
  #errors = ''
  #wake: () => void = () => undefined
  #ended = false
  readonly #end: Promise<unknown>

  constructor(
    name: 'victim' | 'replica',
    options: VictimOptions | ReplicaOptions,
    { fault = null, trace = null }: { fault?: Fault | null; trace?: string | null } = {},
  ) {
    const env = environment(path.dirname(options.path), fault, trace)
    const args = [compiled(name), JSON.stringify(options)]
    const child = spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'pipe'], env })
    this.#child = child
    running.add(child)
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      this.#output += text
      this.#wake()
    })
    child.stderr.setEncoding('utf8').on('data', (text: string) => (this.#errors += text))
    this.#end = once(child, 'close').then(() => {
      this.#ended = true
      running.delete(child)
      this.#wake()
    })
  }

  lines(): string[] {
    return this.#output.split('\n').slice(0, -1)
  }

  /** Resolves when the condition holds of its lines, or it has ended. */
  async until(condition: (lines: string[]) => boolean): Promise<void> {
    while (!this.#ended && !condition(this.lines())) await new Promise<void>((resolve) => (this.#wake = resolve))
  }

  kill(): void {
    this.#child.kill('SIGKILL')
  }

  /** Says that it is to end by itself. */
  finish(): void {
    this.#child.stdin?.end()
  }

  /** Resolves when it is gone, and all it printed has been read. Anything but SIGKILL and a proper end is an error. */
  async end(): Promise<VictimEnd> {
    await this.#end
    const { exitCode, signalCode } = this.#child
    if (this.#errors !== '' || (exitCode !== 0 && signalCode !== 'SIGKILL')) {
      throw new Error(`the process ended with ${exitCode ?? signalCode}: ${this.#errors}`)
    }
    return { lines: this.lines(), killed: signalCode === 'SIGKILL' }
  }
}

/** Runs what is to be done for each, two at a time: as many as CI has cores. */
export async function inPairs<T>(items: Iterable<T>, run: (item: T) => Promise<void>): Promise<void> {
  const rest = items[Symbol.iterator]()
  const lane = async (): Promise<void> => {
    for (let next = rest.next(); next.done !== true; next = rest.next()) await run(next.value)
  }
  await Promise.all([lane(), lane()])
}

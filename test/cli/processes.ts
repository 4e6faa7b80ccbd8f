import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach } from 'vitest'

export const ROOT: string = fileURLToPath(new URL('../..', import.meta.url))
const MAIN = path.join(ROOT, 'dist/cli/main.js')
const LEFT_OUT = ['NO_COLOR', 'FORCE_COLOR', 'DEBUG', 'PEERLOG_SECRET', 'PEERLOG_RELAY_TOKEN', 'CI']

export interface Ended {
  code: number | null
  signal: NodeJS.Signals | null
  stdout: string
  stderr: string
}

/** A child process whose output can be waited for. */
export class Process {
  readonly child: ChildProcessWithoutNullStreams
  readonly ended: Promise<Ended>
  stdout = ''
  stderr = ''
  #over = false
  readonly #looks = new Set<() => void>()

  constructor(args: readonly string[], options: { cwd: string; env?: NodeJS.ProcessEnv }) {
    const inherited = Object.entries(process.env).filter(([name]) => !LEFT_OUT.includes(name))
    const env = { ...Object.fromEntries(inherited), ...options.env }
    this.child = spawn(process.execPath, args, { cwd: options.cwd, env })
    this.child.stdout.setEncoding('utf8').on('data', (text: string) => this.#look(() => (this.stdout += text)))
    this.child.stderr.setEncoding('utf8').on('data', (text: string) => this.#look(() => (this.stderr += text)))
    // A child that ends early does not take what is still written to it.
    this.child.stdin.on('error', () => {})
    this.ended = new Promise((resolve, reject) => {
      this.child.on('error', reject)
      this.child.on('close', (code, signal) => {
        this.#over = true
        this.#look(() => {})
        resolve({ code, signal, stdout: this.stdout, stderr: this.stderr })
      })
    })
  }

  #look(change: () => void): void {
    change()
    for (const look of this.#looks) look()
  }

  /** Resolves when the stream's text so far matches; rejects if the process ends first. */
  prints(pattern: RegExp, stream: 'stdout' | 'stderr' = 'stdout'): Promise<string> {
    return new Promise((resolve, reject) => {
      const look = (): void => {
        if (pattern.test(this[stream])) resolve(this[stream])
        else if (this.#over) reject(new Error(`it ended without ${pattern}:\n${this.stdout}\n${this.stderr}`))
        else return
        this.#looks.delete(look)
      }
      this.#looks.add(look)
      look()
    })
  }

  says(pattern: RegExp): Promise<string> {
    return this.prints(pattern, 'stderr')
  }

  type(text: string): void {
    this.child.stdin.write(text)
  }

  interrupt(): Promise<Ended> {
    this.child.kill('SIGINT')
    return this.ended
  }
}

/** A new folder for every test, and processes that do not outlive it. */
export class Terminal {
  folder = ''
  #started: Process[] = []

  constructor() {
    afterEach(async () => {
      for (const { child } of this.#started) child.kill('SIGKILL')
      await Promise.all(this.#started.map(({ ended }) => ended))
      this.#started = []
      if (this.folder !== '') fs.rmSync(this.folder, { recursive: true, force: true })
      this.folder = ''
    })
  }

  file(name: string): string {
    if (this.folder === '') this.folder = fs.mkdtempSync(path.join(os.tmpdir(), 'peerlog-cli-'))
    return path.join(this.folder, name)
  }

  node(args: readonly string[], env: NodeJS.ProcessEnv = {}, cwd = ROOT): Process {
    const started = new Process(args, { cwd, env })
    this.#started.push(started)
    return started
  }

  /** Starts `peerlog` in the test's folder; its standard input stays open. */
  start(args: readonly string[], env: NodeJS.ProcessEnv = {}): Process {
    this.file('')
    return this.node([MAIN, ...args], env, this.folder)
  }

  /** Runs `peerlog` to its end. */
  run(args: readonly string[], options: { input?: string; env?: NodeJS.ProcessEnv } = {}): Promise<Ended> {
    const started = this.start(args, options.env)
    started.child.stdin.end(options.input ?? '')
    return started.ended
  }
}

/** What `--json` has printed. */
export function jsonLines(text: string): Record<string, unknown>[] {
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Record<string, unknown>)
}

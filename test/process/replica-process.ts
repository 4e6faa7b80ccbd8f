import type { ChildProcess } from 'node:child_process'
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import Sqlite from 'better-sqlite3'
import type { OpenOptions } from '../../src/open.ts'
import { open } from '../../src/open.ts'
import type { Command, Report } from './fixtures/replica.ts'

type ReportOf<T extends Report['type']> = Extract<Report, { type: T }>

const FIXTURE = path.join(import.meta.dirname, 'fixtures/replica.ts')

/** A replica in another process, with the published build of the package. */
export class ReplicaProcess implements AsyncDisposable {
  readonly #child: ChildProcess
  readonly #reports: Report[] = []
  #wake: (() => void)[] = []
  #exit: Promise<number | null>
  author = ''

  private constructor(options: OpenOptions) {
    this.#child = fork(FIXTURE, [JSON.stringify(options)], { execArgv: ['--import', 'ts-blank-space/register'] })
    this.#child.on('message', (report: Report) => {
      this.#reports.push(report)
      for (const wake of this.#wake.splice(0)) wake()
    })
    this.#exit = once(this.#child, 'exit').then(([code]: (number | null)[]) => {
      for (const wake of this.#wake.splice(0)) wake()
      return code ?? null
    })
  }

  /** Resolves when the database is open there. */
  static async start(options: OpenOptions): Promise<ReplicaProcess> {
    const replica = new ReplicaProcess(options)
    const report = await replica.report((candidate) => candidate.type === 'open' || candidate.type === 'failed')
    if (report.type === 'failed') throw new Error(report.message)
    if (report.type === 'open') replica.author = report.author
    return replica
  }

  /** The next report, of those not yet taken, that fits. */
  async report(fits: (report: Report) => boolean): Promise<Report> {
    for (;;) {
      const place = this.#reports.findIndex(fits)
      if (place !== -1) return this.#reports.splice(place, 1)[0] as Report
      if (this.#child.exitCode !== null || this.#child.signalCode !== null) throw new Error('the replica has ended')
      await new Promise<void>((resolve) => this.#wake.push(resolve))
    }
  }

  async #ask<T extends Report['type']>(command: Command, answer: T): Promise<ReportOf<T>> {
    this.#child.send(command)
    return (await this.report(({ type }) => type === answer)) as ReportOf<T>
  }

  append(count: number, prefix: string): Promise<ReportOf<'appended'>> {
    return this.#ask({ type: 'append', count, prefix }, 'appended')
  }

  /** Expects that an append is refused, and resolves with what it says. */
  refusal(): Promise<ReportOf<'failed'>> {
    return this.#ask({ type: 'append', count: 1, prefix: 'refused' }, 'failed')
  }

  /** What it has told of a type and nobody has taken yet. */
  untaken(type: ReportOf<'sync'>['event']['type']): Report[] {
    return this.#reports.filter((report) => report.type === 'sync' && report.event.type === type)
  }

  /** Resolves when so many events are there. */
  has(events: number): Promise<ReportOf<'has'>> {
    return this.#ask({ type: 'await', events }, 'has')
  }

  state(): Promise<ReportOf<'state'>> {
    return this.#ask({ type: 'state' }, 'state')
  }

  sync(type: ReportOf<'sync'>['event']['type']): Promise<Report> {
    return this.report((report) => report.type === 'sync' && report.event.type === type)
  }

  /** Ends without a word, as a crash does. */
  async kill(): Promise<void> {
    this.#child.kill('SIGKILL')
    await this.#exit
  }

  /** Closes the database and resolves with the exit code, once the process has ended by itself. */
  async close(): Promise<number | null> {
    if (this.#child.connected) this.#child.send({ type: 'close' })
    return this.#exit
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode === null) this.#child.kill('SIGKILL')
    await this.#exit
  }
}

/** A folder that is removed with its scope. */
export class Folder implements Disposable {
  readonly path: string = mkdtempSync(path.join(tmpdir(), 'peerlog-test-'))

  file(name: string): string {
    return path.join(this.path, name)
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true })
  }
}

/** Every line in a closed database, sorted, and what SQLite says of the file. */
export async function inspect(options: OpenOptions): Promise<{ lines: string[]; root: string; integrity: string }> {
  const db = await open({ ...options, readOnly: true })
  const lines: string[] = []
  for await (const event of db.read<{ line: string }>({ subject: 'log/**' })) lines.push(event.data.line)
  const root = db.frontierRoot()
  await db.close()
  const file = new Sqlite(options.path, { readonly: true })
  const integrity = file.pragma('integrity_check', { simple: true }) as string
  file.close()
  return { lines: lines.sort(), root, integrity }
}

/** The lines that `append(count, prefix)` writes. */
export function linesOf(count: number, ...prefixes: string[]): string[] {
  return prefixes.flatMap((prefix) => Array.from({ length: count }, (_, i) => `${prefix}-${i}`)).sort()
}

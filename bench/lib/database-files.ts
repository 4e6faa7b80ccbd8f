import { copyFileSync, existsSync, mkdtempSync, rmSync } from 'node:fs'
import path from 'node:path'
import { Child } from './child.ts'

/** Closed database files that several groups measure with, each made once. */
export class DatabaseFiles {
  readonly folder: string
  /** Files with one author, by events. */
  readonly #logs = new Map<number, string>()
  /** Files of as many events each, by authors. */
  readonly #shared = new Map<string, Promise<string>>()

  constructor(folder: string) {
    this.folder = folder
  }

  /** The path of a file that is not there yet. */
  fresh(name: string): string {
    return path.join(this.folder, `${name}-${performance.now()}.db`)
  }

  /** A folder that is empty. */
  freshFolder(name: string): string {
    return mkdtempSync(path.join(this.folder, `${name}-`))
  }

  /** A file with one author and so many events. Treat it as read-only: appends go to a copy. */
  async log(events: number): Promise<string> {
    const known = this.#logs.get(events)
    if (known !== undefined) return known
    const file = this.fresh(`log-${events}`)
    const shorter = [...this.#logs.keys()].filter((length) => length < events).toSorted((a, b) => b - a)[0] ?? 0
    if (shorter > 0) this.copy(this.#logs.get(shorter) as string, file, { withKey: true })
    const filler = new Child('fill.ts', { path: file, from: shorter, to: events })
    await filler.message('filled')
    await filler.end()
    this.#logs.set(events, file)
    process.stderr.write('.')
    return file
  }

  /** A file with so many events of so many authors, as a peer has it that met each of them. */
  authors(events: number, authors: number): Promise<string> {
    const name = `${events}-by-${authors}`
    const known = this.#shared.get(name)
    if (known !== undefined) return known
    const made = (async () => {
      const file = this.fresh(name)
      const filler = new Child('fill-authors.ts', { path: file, events, authors })
      await filler.message('filled')
      await filler.end()
      process.stderr.write('.')
      return file
    })()
    this.#shared.set(name, made)
    return made
  }

  /** Copies a closed file: with its key the same replica again, without it another one that holds the same. */
  copy(from: string, to: string, { withKey }: { withKey: boolean }): string {
    copyFileSync(from, to)
    if (withKey) copyFileSync(`${from}.key`, `${to}.key`)
    return to
  }

  /** Removes a file and all that lies beside it. */
  remove(file: string): void {
    for (const suffix of ['', '.key', '-lock', '-wal', '-shm', '-lock-journal']) {
      if (existsSync(file + suffix)) rmSync(file + suffix)
    }
  }
}

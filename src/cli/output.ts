import type { Event } from '../index.ts'
import type { Colors } from './colors.ts'
import { colorsFor } from './colors.ts'
import { eventJson, eventLine } from './format.ts'
import { printableJson } from './printable.ts'

export interface OutputOptions {
  json?: true
  quiet?: true
  color: boolean
}

/** Something at the bottom of the terminal that has to make way for every line: what is being typed. */
export interface Prompt {
  hide(): void
  show(): void
}

const ERASE_LINE = '\r\u001b[K'

/** Results on stdout, how things stand on stderr; each coloured if it is a terminal that wants it. */
export class Output {
  readonly json: boolean
  readonly quiet: boolean
  readonly colors: Colors
  readonly statusColors: Colors
  #prompt: Prompt | null = null
  #progress = ''

  constructor({ json, quiet, color }: OutputOptions) {
    this.json = json === true
    this.quiet = quiet === true
    this.colors = colorsFor(process.stdout, color)
    this.statusColors = colorsFor(process.stderr, color)
  }

  /** Resolves when the reader of stdout can take more. */
  event(event: Event): Promise<void> {
    return this.line(this.json ? eventJson(event) : eventLine(event, this.colors))
  }

  /** A result that is no event: an object for programs, a text for people. */
  result(object: object, text: string): Promise<void> {
    return this.line(this.json ? printableJson(object) : text)
  }

  async line(text: string): Promise<void> {
    if (process.stdout.writableEnded || process.stdout.destroyed) return
    let room = true
    this.#above(() => (room = process.stdout.write(`${text}\n`)))
    if (!room) await drained()
  }

  /** Tells a person how things stand; `--quiet` silences it. */
  status(text: string): void {
    if (!this.quiet) this.#above(() => process.stderr.write(`${text}\n`))
  }

  /** Something is wrong: also told with `--quiet`. */
  warn(text: string): void {
    this.#above(() => process.stderr.write(`${this.statusColors.yellow('!')} ${text}\n`))
  }

  /** True if `progress` can be seen. */
  get showsProgress(): boolean {
    return process.stderr.isTTY && !this.quiet && this.#prompt === null
  }

  /** A line that the next one replaces; empty to remove it. */
  progress(text: string): void {
    if (!this.showsProgress) return
    if (text !== '' || this.#progress !== '') process.stderr.write(ERASE_LINE + text)
    this.#progress = text
  }

  setPrompt(prompt: Prompt | null): void {
    this.#prompt = prompt
  }

  #above(write: () => void): void {
    if (this.#progress !== '') process.stderr.write(ERASE_LINE)
    this.#prompt?.hide()
    write()
    this.#prompt?.show()
    if (this.#progress !== '') process.stderr.write(this.#progress)
  }
}

function drained(): Promise<void> {
  const { stdout } = process
  return new Promise((resolve) => {
    const done = (): void => {
      for (const event of ['drain', 'close', 'error']) stdout.off(event, done)
      resolve()
    }
    for (const event of ['drain', 'close', 'error']) stdout.on(event, done)
  })
}

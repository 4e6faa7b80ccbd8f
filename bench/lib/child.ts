import type { ChildProcess } from 'node:child_process'
import { fork } from 'node:child_process'
import path from 'node:path'
import { within } from './within.ts'

/** Milliseconds that a child may take for what it was asked. */
const PATIENCE_MS = 240_000

const running = new Set<ChildProcess>()

/** Ends every child at once. */
export function killChildren(): void {
  for (const child of running) child.kill('SIGKILL')
}

/** A child process that does one thing for a benchmark and talks by messages. */
export class Child {
  readonly #script: string
  readonly #process: ChildProcess
  #waiting: { type: string; resolve(message: Message): void }[] = []
  #arrived: Message[] = []
  #failed: ((error: Error) => void) | null = null
  readonly #failure: Promise<never>
  readonly #exit: Promise<void>

  /** @param script below bench/children. */
  constructor(script: string, options: object, nodeFlags: string[] = []) {
    this.#script = script
    this.#process = fork(path.join(import.meta.dirname, '../children', script), [JSON.stringify(options)], {
      execArgv: script.endsWith('.ts') ? [...nodeFlags, '--import', 'ts-blank-space/register'] : nodeFlags,
    })
    running.add(this.#process)
    this.#failure = new Promise((_, reject) => (this.#failed = reject))
    this.#failure.catch(() => {})
    this.#process.on('message', (message: Message) => this.#take(message))
    this.#exit = new Promise((resolve) => {
      this.#process.on('exit', (code, signal) => {
        running.delete(this.#process)
        if (code !== 0) this.#failed?.(new Error(`${script} ended with ${code ?? signal}`))
        resolve()
      })
    })
  }

  #take(message: Message): void {
    const place = this.#waiting.findIndex(({ type }) => type === message.type)
    if (place === -1) this.#arrived.push(message)
    else this.#waiting.splice(place, 1)[0]?.resolve(message)
  }

  /** The next message of that type. */
  async message(type: string): Promise<Message> {
    const place = this.#arrived.findIndex((message) => message.type === type)
    if (place !== -1) return this.#arrived.splice(place, 1)[0] as Message
    const next = new Promise<Message>((resolve) => this.#waiting.push({ type, resolve }))
    return this.#patiently(Promise.race([next, this.#failure]), `told nothing of '${type}'`)
  }

  send(message: Message): void {
    this.#process.send(message)
  }

  /** Sends a message and waits for the answer of the same type. */
  ask(type: string): Promise<Message> {
    this.send({ type })
    return this.message(type)
  }

  /** Asks the child to end, if it is not ending by itself, and waits until it has. */
  async end(): Promise<void> {
    if (this.#process.exitCode === null && this.#process.connected) this.#process.send({ type: 'end' }, () => {})
    await this.#patiently(this.#exit, 'has not ended')
  }

  #patiently<T>(work: Promise<T>, failure: string): Promise<T> {
    return within(PATIENCE_MS, work, `${this.#script} ${failure}`)
  }
}

export interface Message {
  type: string
  [field: string]: unknown
}

/** In a child: the options it was started with. It ends when the parent is gone. */
export function childOptions<T>(): T {
  let asked = false
  onMessage('end', () => (asked = true))
  process.once('disconnect', () => {
    if (!asked) process.exit(1)
  })
  return JSON.parse(process.argv[2] as string) as T
}

/** In a child: tells the parent. */
export function tell(message: Message): void {
  process.send?.(message)
}

/** In a child: calls for every message of the type. */
export function onMessage(type: string, listener: (message: Message) => void): void {
  process.on('message', (message: Message) => {
    if (message.type === type) listener(message)
  })
}

import type { ChildProcess } from 'node:child_process'
import { fork } from 'node:child_process'
import path from 'node:path'

/** A child process that does one thing for a benchmark and talks by messages. */
export class Child {
  readonly #process: ChildProcess
  #waiting: { type: string; resolve(message: Message): void }[] = []
  #arrived: Message[] = []
  #failed: ((error: Error) => void) | null = null
  readonly #failure: Promise<never>

  /** @param script below bench/children. */
  constructor(script: string, options: object, nodeFlags: string[] = []) {
    this.#process = fork(path.join(import.meta.dirname, '../children', script), [JSON.stringify(options)], {
      execArgv: ['--import', 'ts-blank-space/register', ...nodeFlags],
    })
    this.#failure = new Promise((_, reject) => (this.#failed = reject))
    this.#failure.catch(() => {})
    this.#process.on('message', (message: Message) => this.#take(message))
    this.#process.on('exit', (code) => {
      if (code !== 0) this.#failed?.(new Error(`${script} ended with ${code}`))
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
    return Promise.race([new Promise<Message>((resolve) => this.#waiting.push({ type, resolve })), this.#failure])
  }

  send(message: Message): void {
    this.#process.send(message)
  }

  /** Asks the child to end and waits until it has. */
  async end(): Promise<void> {
    const ended = new Promise((resolve) => this.#process.once('exit', resolve))
    if (this.#process.exitCode !== null) return
    this.#process.send({ type: 'end' })
    await ended
  }
}

export interface Message {
  type: string
  [field: string]: unknown
}

/** In a child: the options it was started with. */
export function childOptions<T>(): T {
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

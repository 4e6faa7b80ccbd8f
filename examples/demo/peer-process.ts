import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { State, Task } from './messages.ts'

const PEER = fileURLToPath(new URL('peer.ts', import.meta.url))

/** A peer of the demo, seen from outside: its process, which may come and go, and what it last said. */
export class PeerProcess {
  readonly task: Task
  readonly transports: string
  state: State | null = null
  /** Milliseconds from the start of the demo until it held everything. */
  tookMs: number | null = null
  readonly #onChange: () => void
  readonly #onCrash: (error: Error) => void
  #child: ChildProcess | null = null
  #ending = false

  constructor(task: Task, transports: string, onChange: () => void, onCrash: (error: Error) => void) {
    this.task = task
    this.transports = transports
    this.#onChange = onChange
    this.#onCrash = onCrash
  }

  get name(): string {
    return this.task.name
  }

  get running(): boolean {
    return this.#child !== null
  }

  start(): void {
    this.#ending = false
    const child = fork(PEER, [JSON.stringify(this.task)], {
      execArgv: ['--import', 'ts-blank-space/register'],
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    })
    this.#child = child
    let complaint = ''
    child.stderr?.setEncoding('utf8').on('data', (text: string) => (complaint += text))
    child.on('error', (error) => this.#onCrash(error))
    child.on('message', (state: State) => {
      this.state = state
      this.#onChange()
    })
    child.on('close', (code, signal) => {
      this.#child = null
      if (!this.#ending) this.#onCrash(new Error(`${this.name} ended (${signal ?? code})\n${complaint}`.trim()))
    })
  }

  /** As a power cut would: nothing is closed, nobody is told. */
  kill(): Promise<void> {
    return this.#end((child) => child.kill('SIGKILL'))
  }

  /** It closes its database first. */
  leave(): Promise<void> {
    return this.#end((child) => child.send('leave'))
  }

  async #end(tell: (child: ChildProcess) => unknown): Promise<void> {
    const child = this.#child
    if (child === null) return
    this.#ending = true
    const closed = once(child, 'close')
    tell(child)
    await closed
  }
}

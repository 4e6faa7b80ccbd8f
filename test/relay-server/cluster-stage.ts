import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, readdirSync } from 'node:fs'
import path from 'node:path'
import { createInterface } from 'node:readline'

const CLI = path.join(import.meta.dirname, '../../relay-server/dist/cli.js')
/** Debian has its daemons where users do not look. */
const PATH = `${process.env['PATH'] ?? ''}:/usr/sbin`

/** A child process that says what it does in lines. */
class Talker implements AsyncDisposable {
  readonly child: ChildProcess
  readonly lines: string[] = []
  #wake: (() => void)[] = []
  readonly #exit: Promise<number | null>

  constructor(command: string, args: string[], output: 'stdout' | 'stderr') {
    const stdio: ['ignore', 'pipe', 'pipe'] = ['ignore', 'pipe', 'pipe']
    this.child = spawn(command, args, { stdio, env: { ...process.env, PATH } })
    const wake = (): void => {
      for (const resolve of this.#wake.splice(0)) resolve()
    }
    for (const name of ['stdout', 'stderr'] as const) {
      createInterface({ input: this.child[name] as NodeJS.ReadableStream }).on('line', (line) => {
        if (name !== output) return
        this.lines.push(line)
        wake()
      })
    }
    this.#exit = once(this.child, 'exit').then(([code]: (number | null)[]) => {
      wake()
      return code ?? null
    })
  }

  get pid(): number {
    return this.child.pid as number
  }

  get ended(): boolean {
    return this.child.exitCode !== null || this.child.signalCode !== null
  }

  /** The first line from the `from`th on that fits. */
  async line(fits: (line: string) => boolean, from = 0): Promise<string> {
    for (let next = from; ;) {
      const line = this.lines[next]
      if (line !== undefined) {
        if (fits(line)) return line
        next++
      } else {
        if (this.ended) throw new Error(`ended after: ${this.lines.at(-1)}`)
        await new Promise<void>((resolve) => this.#wake.push(resolve))
      }
    }
  }

  /** Bytes of memory that the process occupies. */
  get rss(): number {
    const [, kib] = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${this.pid}/status`, 'utf8')) ?? []
    return Number(kib) * 1024
  }

  /** Milliseconds of processor time that it has used, to 10. */
  get cpuMs(): number {
    const fields = readFileSync(`/proc/${this.pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? []
    return (Number(fields[11]) + Number(fields[12])) * 10
  }

  /** Stops it; resolves once no thread of it runs. */
  async freeze(): Promise<void> {
    const tasks = `/proc/${this.pid}/task`
    const stateOf = (task: string): string | undefined =>
      readFileSync(`${tasks}/${task}/stat`, 'utf8').split(') ').at(-1)?.[0]
    this.child.kill('SIGSTOP')
    while (readdirSync(tasks).some((task) => stateOf(task) !== 'T')) await new Promise(setImmediate)
  }

  /** Lets it go on. */
  thaw(): void {
    this.child.kill('SIGCONT')
  }

  async end(signal: 'SIGTERM' | 'SIGKILL'): Promise<number | null> {
    if (!this.ended) this.child.kill(signal)
    return this.#exit
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.end('SIGKILL')
  }
}

/** A real NATS server. */
export class NatsServer implements AsyncDisposable {
  readonly port: number
  readonly process: Talker

  private constructor(process: Talker, port: number) {
    this.process = process
    this.port = port
  }

  static async start(port = -1): Promise<NatsServer> {
    const process = new Talker('nats-server', ['-a', '127.0.0.1', '-p', String(port)], 'stderr')
    const line = await process.line((text) => text.includes('Listening for client connections on'))
    await process.line((text) => text.includes('Server is ready'))
    return new NatsServer(process, Number(/:(\d+)$/.exec(line)?.[1]))
  }

  get url(): string {
    return `nats://127.0.0.1:${this.port}`
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.process[Symbol.asyncDispose]()
  }
}

/** The built relay in a process of its own. */
export class RelayProcess implements AsyncDisposable {
  readonly url: string
  readonly port: number
  readonly process: Talker

  private constructor(process: Talker, url: string) {
    this.process = process
    this.url = url
    this.port = Number(new URL(url).port)
  }

  static async start(nats: string | undefined, port = 0): Promise<RelayProcess> {
    const args = [CLI, '--host', '127.0.0.1', '--port', String(port)]
    if (nats !== undefined) args.push('--nats', nats)
    const process = new Talker(globalThis.process.execPath, args, 'stdout')
    const line = await process.line((text) => text.includes('relay is listening'))
    return new RelayProcess(process, (JSON.parse(line) as { url: string }).url)
  }

  /** Resolves once it has logged this, counting from a line. */
  logged(message: string, from = 0): Promise<string> {
    return this.process.line((line) => (JSON.parse(line) as { msg: string }).msg.includes(message), from)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.process[Symbol.asyncDispose]()
  }
}

/** Two relays that know of each other. */
export class Fleet implements AsyncDisposable {
  readonly nats: NatsServer
  readonly relays: [RelayProcess, RelayProcess]

  private constructor(nats: NatsServer, relays: [RelayProcess, RelayProcess]) {
    this.nats = nats
    this.relays = relays
  }

  static async start(): Promise<Fleet> {
    const nats = await NatsServer.start()
    const relays = await Promise.all([RelayProcess.start(nats.url), RelayProcess.start(nats.url)])
    await Promise.all(relays.map((relay) => relay.logged('an instance has appeared')))
    return new Fleet(nats, relays)
  }

  /** Starts a relay that has ended again, on its port. */
  async startAgain(which: 0 | 1): Promise<RelayProcess> {
    return (this.relays[which] = await RelayProcess.start(this.nats.url, this.relays[which].port))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const relay of this.relays) await relay[Symbol.asyncDispose]()
    await this.nats[Symbol.asyncDispose]()
  }
}

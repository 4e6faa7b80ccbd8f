/** Debian's Chromium without a window, driven over its debugging protocol: what a page does, shows and asks for. */
import type { ChildProcess } from 'node:child_process'
import { spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import WebSocket from 'ws'

/** Why there is no browser to test with, or null. In CI there is one, or the test fails. */
export function browserMissing(): string | null {
  if (process.env['CI'] !== undefined) return null
  return spawnSync('chromium', ['--version']).status === 0 ? null : 'chromium is not installed'
}

const FLAGS = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--disable-dev-shm-usage',
  '--remote-debugging-port=0',
]

type Params = Record<string, unknown>

/** One page. What it logs and requests is kept from the start. */
export class Browser implements AsyncDisposable {
  /** Errors and warnings of the page: exceptions, messages of the console, violations of its policy. */
  readonly complaints: string[] = []
  /** Addresses that were asked for. */
  readonly requests: string[] = []
  readonly #process: ChildProcess
  readonly #folder: string
  readonly #socket: WebSocket
  #session: string | undefined
  #last = 0
  readonly #answers = new Map<number, (message: { result?: Params; error?: { message: string } }) => void>()
  readonly #events = new Map<string, (() => void)[]>()

  private constructor(child: ChildProcess, folder: string, socket: WebSocket) {
    this.#process = child
    this.#folder = folder
    this.#socket = socket
    socket.on('message', (data: Buffer) => this.#onMessage(JSON.parse(data.toString('utf8'))))
  }

  static async start(): Promise<Browser> {
    const folder = mkdtempSync(path.join(os.tmpdir(), 'peerlog-browser-'))
    const child = spawn('chromium', [...FLAGS, `--user-data-dir=${folder}`, 'about:blank'], {
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    for await (const line of createInterface(child.stderr)) {
      const url = /DevTools listening on (\S+)/.exec(line)?.[1]
      if (url === undefined) continue
      // What else it has to say must not fill the pipe.
      child.stderr.resume()
      const socket = new WebSocket(url)
      await once(socket, 'open')
      const browser = new Browser(child, folder, socket)
      await browser.#attach()
      return browser
    }
    throw new Error('chromium has ended before it could be spoken to')
  }

  async #attach(): Promise<void> {
    const { targetId } = await this.send('Target.createTarget', { url: 'about:blank' })
    const { sessionId } = await this.send('Target.attachToTarget', { targetId, flatten: true })
    this.#session = sessionId as string
    for (const domain of ['Page', 'Runtime', 'Log', 'Network']) await this.send(`${domain}.enable`)
  }

  async send(method: string, params: Params = {}): Promise<Params> {
    const id = ++this.#last
    const answer = new Promise<{ result?: Params; error?: { message: string } }>((resolve) => {
      this.#answers.set(id, resolve)
    })
    this.#socket.send(JSON.stringify({ id, method, params, sessionId: this.#session }))
    const { result, error } = await answer
    if (error !== undefined) throw new Error(`${method}: ${error.message}`)
    return result ?? {}
  }

  #onMessage(message: { id?: number; method?: string; params?: Params; result?: Params }): void {
    if (message.id !== undefined) {
      this.#answers.get(message.id)?.(message)
      this.#answers.delete(message.id)
      return
    }
    const { method = '', params = {} } = message
    if (method === 'Network.requestWillBeSent') this.requests.push((params['request'] as { url: string }).url)
    if (['Runtime.exceptionThrown', 'Runtime.consoleAPICalled', 'Log.entryAdded'].includes(method)) {
      this.complaints.push(JSON.stringify(params))
    }
    for (const resolve of this.#events.get(method) ?? []) resolve()
    this.#events.delete(method)
  }

  /** Resolves at the next event of that name. */
  async #event(name: string): Promise<void> {
    await new Promise<void>((resolve) => this.#events.set(name, [...(this.#events.get(name) ?? []), resolve]))
  }

  async open(url: string): Promise<void> {
    const loaded = this.#event('Page.loadEventFired')
    await this.send('Page.navigate', { url })
    await loaded
  }

  /** The value of an expression in the page. */
  async evaluate<T>(expression: string): Promise<T> {
    const { result, exceptionDetails } = await this.send('Runtime.evaluate', {
      expression,
      returnByValue: true,
      awaitPromise: true,
    })
    if (exceptionDetails !== undefined) throw new Error(JSON.stringify(exceptionDetails))
    return (result as { value: T }).value
  }

  async movePointer(x: number, y: number): Promise<void> {
    await this.send('Input.dispatchMouseEvent', { type: 'mouseMoved', x, y })
  }

  async press(key: string): Promise<void> {
    for (const type of ['keyDown', 'keyUp'])
      await this.send('Input.dispatchKeyEvent', { type, key, code: key, windowsVirtualKeyCode: KEY_CODES[key] })
  }

  async resize(width: number, height: number): Promise<void> {
    const mobile = width < 600
    await this.send('Emulation.setDeviceMetricsOverride', { width, height, deviceScaleFactor: 1, mobile })
  }

  async prefer(scheme: 'light' | 'dark'): Promise<void> {
    await this.send('Emulation.setEmulatedMedia', { features: [{ name: 'prefers-color-scheme', value: scheme }] })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const exited = once(this.#process, 'exit')
    this.#session = undefined
    this.#socket.send(JSON.stringify({ id: ++this.#last, method: 'Browser.close' }))
    await exited
    this.#socket.terminate()
    rmSync(this.#folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 50 })
  }
}

const KEY_CODES: Readonly<Record<string, number>> = { ArrowLeft: 37, ArrowRight: 39, Home: 36 }

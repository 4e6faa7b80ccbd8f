/**
 * An internet of network namespaces: DHT nodes and a relay on a bridge, and homes with one host each behind routers.
 * Everything runs in processes of its own and talks through real sockets and the kernel's own NAT.
 *
 *   8.0.0.1 … 8.0.0.6   DHT nodes, port 49737        8.0.0.9        relays, port 8443 and those after it
 *   8.0.0.101 …         routers of homes             192.168.1.2 in each home, or 8.1.n.2 where there is no NAT
 *
 * The addresses are none of the reserved ones, which HyperDHT takes for a local network; nobody outside can be reached.
 */
import type { ChildProcess } from 'node:child_process'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import path from 'node:path'
import type { Readable } from 'node:stream'
import blankTypes from 'ts-blank-space'
import { Home, type Nat } from './home.ts'
import { ip, Namespaces, inside } from './namespaces.ts'
import { Peer, type PeerOptions } from './peer.ts'

export interface Address {
  host: string
  port: number
}

const REPOSITORY = path.join(import.meta.dirname, '../..')
const RELAYS: Address = { host: '8.0.0.9', port: 8443 }
/** With three or fewer, HyperDHT cannot tell what kind of NAT it is behind. */
const DHT_NODES: Address[] = [1, 2, 3, 4, 5, 6].map((n) => ({ host: `8.0.0.${n}`, port: 49_737 }))

export class Lab implements AsyncDisposable {
  readonly bootstrap: Address[] = DHT_NODES.slice(0, 3)
  readonly #namespaces: Namespaces
  readonly #internet: string
  readonly #children = new Set<ChildProcess>()
  #homes = 0
  #relays = 0

  private constructor(namespaces: Namespaces) {
    this.#namespaces = namespaces
    this.#internet = namespaces.add('inet')
    const hosts = [...DHT_NODES, RELAYS].map(({ host }) => `address add ${host}/24 dev br0`)
    ip(this.#internet, ['link add br0 type bridge', ...hosts, 'link set br0 up'].join('\n'))
    inside(this.#internet, 'sh', '-c', 'echo 1 > /proc/sys/net/ipv4/ip_forward')
  }

  /** Resolves when the DHT can be reached. */
  static async create(): Promise<Lab> {
    const namespaces = new Namespaces()
    try {
      const lab = new Lab(namespaces)
      const nodes = lab.#spawn(lab.#internet, fixture('bootstrap.ts'), JSON.stringify(DHT_NODES))
      await beforeItEnds(nodes, once(nodes, 'message'))
      return lab
    } catch (error) {
      await namespaces[Symbol.asyncDispose]()
      throw error
    }
  }

  home(nat: Nat): Home {
    const number = ++this.#homes
    const host = this.#namespaces.add(`host${number}`)
    const router = this.#namespaces.add(`router${number}`)
    return new Home({ nat, number, host, router, internet: this.#internet })
  }

  /** Opens a database in a home, in a process of its own. */
  async peer(home: Home, options: PeerOptions): Promise<Peer> {
    const child = this.#spawn(home.host, fixture('peer.ts'), JSON.stringify(options))
    return beforeItEnds(child, Peer.start(child))
  }

  /** A relay of its own for whoever asks. */
  async relay(): Promise<Relay> {
    const cli = path.join(REPOSITORY, 'relay-server/dist/cli.js')
    const { host } = RELAYS
    const port = RELAYS.port + this.#relays++
    const args = ['--host', host, '--port', String(port), '--log-level', 'silent']
    const ask = `exec 3<> /dev/tcp/${host}/${port}; printf 'GET /healthz HTTP/1.0\\r\\n\\r\\n' >&3; tail -n 1 <&3`
    const relay = new Relay(`ws://${host}:${port}`, {
      spawn: () => this.#spawn(this.#internet, [cli], ...args),
      health: () => inside(this.#internet, 'bash', '-c', ask),
    })
    await relay.start()
    return relay
  }

  #spawn(namespace: string, script: string[], ...args: string[]): ChildProcess {
    const command = ['netns', 'exec', namespace, process.execPath, ...script, ...args]
    const child = spawn('ip', command, { stdio: ['ignore', 'pipe', 'inherit', 'ipc'], cwd: REPOSITORY })
    this.#children.add(child)
    child.on('exit', () => this.#children.delete(child))
    return child
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#children].map(end))
    await this.#namespaces[Symbol.asyncDispose]()
  }
}

export class Relay {
  readonly url: string
  readonly #commands: { spawn(): ChildProcess; health(): string }
  #child: ChildProcess | null = null

  constructor(url: string, commands: { spawn(): ChildProcess; health(): string }) {
    this.url = url
    this.#commands = commands
  }

  /** How many pairs of peers it forwards between. */
  channels(): number {
    return (JSON.parse(this.#commands.health()) as { channels: number }).channels
  }

  /** Resolves when it listens. */
  async start(): Promise<void> {
    const child = this.#commands.spawn()
    this.#child = child
    // It prints its URL when it listens.
    await beforeItEnds(child, once(child.stdout as Readable, 'data'))
  }

  /** Ends it without a word. */
  async kill(): Promise<void> {
    if (this.#child !== null) await end(this.#child)
    this.#child = null
  }
}

/** How Node runs a fixture. Its types are blanked here: loading what does it takes longer than starting the peer. */
function fixture(name: string): string[] {
  const source = readFileSync(path.join(import.meta.dirname, 'fixtures', name), 'utf8')
  return ['--input-type=module', '--eval', blankTypes(source)]
}

/** What is awaited of a process; rejects when it ends without. */
async function beforeItEnds<T>(child: ChildProcess, event: Promise<T>): Promise<T> {
  const exit = once(child, 'exit').then(([code]) => {
    throw new Error(`a process of the lab ended with ${code}`)
  })
  return Promise.race([event, exit])
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exited = once(child, 'exit')
  child.kill('SIGKILL')
  await exited
}

/** Network namespaces that go away with the process that made them, however it ends. */
import type { ChildProcess } from 'node:child_process'
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'

/**
 * Waits for the end of its input, which the end of its parent brings about, then ends whatever still runs in the
 * namespaces and removes them.
 */
const JANITOR = `
  trap '' INT TERM HUP
  cat > /dev/null
  for ns in $(ip netns list | cut -d ' ' -f 1 | grep "^$0"); do
    for pid in $(ip netns pids "$ns"); do kill -9 "$pid"; done
    ip netns delete "$ns"
  done`

/** Runs a command to its end, with the input given. */
function run(command: string, args: string[], input = ''): string {
  const { status, stdout, stderr, error } = spawnSync(command, args, { input, encoding: 'utf8' })
  if (error !== undefined) throw error
  if (status !== 0) throw new Error(`${command} ${args.join(' ')} ended with ${status}: ${stderr.trim()}\n${input}`)
  return stdout
}

export class Namespaces implements AsyncDisposable {
  readonly #prefix: string
  readonly #janitor: ChildProcess
  readonly #swept: Promise<unknown>

  constructor() {
    this.#prefix = `pl${process.pid}-`
    // In a session of its own: Ctrl-C is for us.
    this.#janitor = spawn('sh', ['-c', JANITOR, this.#prefix], { stdio: ['pipe', 'ignore', 'inherit'], detached: true })
    this.#swept = once(this.#janitor, 'exit')
  }

  /** Why there can be none here, or null. */
  static obstacle(): string | null {
    if (process.platform !== 'linux') return 'network namespaces are a thing of Linux'
    if (process.getuid?.() !== 0) return 'network namespaces need root'
    for (const [tool, debianPackage] of Object.entries({ ip: 'iproute2', nft: 'nftables' })) {
      if (spawnSync(tool, ['-V']).error !== undefined) return `there is no ${tool} (Debian package ${debianPackage})`
    }
    const name = `pl${process.pid}-probe`
    try {
      run('ip', ['netns', 'add', name])
      nft(name, 'add table ip probe\nadd chain ip probe c { type nat hook postrouting priority 100; }')
      return null
    } catch (error) {
      return `network namespaces are not allowed: ${(error as Error).message}`
    } finally {
      spawnSync('ip', ['netns', 'delete', name])
    }
  }

  /** Makes a namespace whose loopback is up, and returns its full name. */
  add(name: string): string {
    const full = this.#prefix + name
    run('ip', ['netns', 'add', full])
    run('ip', ['-n', full, 'link', 'set', 'lo', 'up'])
    return full
  }

  remove(...names: string[]): void {
    for (const name of names) run('ip', ['netns', 'delete', name])
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#janitor.stdin?.end()
    await this.#swept
  }
}

/** Lines of `ip` commands, in a namespace or, without one, where we are. */
export function ip(namespace: string | null, lines: string): void {
  run('ip', [...(namespace === null ? [] : ['-n', namespace]), '-batch', '-'], lines)
}

/** nft commands in a namespace; returns what they print, as JSON if that is asked for. */
export function nft(namespace: string, commands: string, ...flags: string[]): string {
  return run('ip', ['netns', 'exec', namespace, 'nft', ...flags, commands])
}

/** A command in a namespace, to its end. */
export function inside(namespace: string, ...command: string[]): string {
  return run('ip', ['netns', 'exec', namespace, ...command])
}

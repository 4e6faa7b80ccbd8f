import { styleText } from 'node:util'
import type { PeerProcess } from './peer-process.ts'

type Style = Parameters<typeof styleText>[0]

const BAR_CELLS = 30
const LINES_EVERY_MS = 1000
const REDRAW_MS = 50

const isTerminal = process.stdout.isTTY && process.env['TERM'] !== 'dumb'
const hasColor = isTerminal && (process.env['NO_COLOR'] ?? '') === ''

export function style(format: Style, text: string): string {
  return hasColor ? styleText(format, text) : text
}

export function secondsOf(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`
}

/** Shows how far the peers are: redrawn in place on a terminal, a line now and then elsewhere. */
export class Screen {
  readonly #peers: readonly PeerProcess[]
  readonly #total: number
  readonly #since = performance.now()
  #drawnAt = -Infinity
  #drawnLines = 0

  constructor(peers: readonly PeerProcess[], total: number) {
    this.#peers = peers
    this.#total = total
  }

  get elapsedMs(): number {
    return performance.now() - this.#since
  }

  /** Something worth telling, above the bars. */
  note(text: string): void {
    this.#erase()
    console.log(`${style('dim', secondsOf(this.elapsedMs).padStart(7))}  ${text}`)
    if (isTerminal) this.draw(true)
  }

  draw(now = false): void {
    const at = performance.now()
    if (!now && at - this.#drawnAt < (isTerminal ? REDRAW_MS : LINES_EVERY_MS)) return
    this.#drawnAt = at
    if (!isTerminal) {
      const counts = this.#peers.map(({ name, running, state }) => `${name} ${running ? (state?.events ?? 0) : 'off'}`)
      console.log(`${secondsOf(this.elapsedMs).padStart(7)}  ${counts.join('  ')}  of ${this.#total}`)
      return
    }
    this.#erase()
    for (const peer of this.#peers) console.log(this.#line(peer))
    this.#drawnLines = this.#peers.length
  }

  /** Leaves the last state of the bars where it is. */
  end(): void {
    this.draw(true)
    this.#drawnLines = 0
  }

  #erase(): void {
    if (this.#drawnLines > 0) process.stdout.write(`\u001b[${this.#drawnLines}A\u001b[J`)
    this.#drawnLines = 0
  }

  #line({ name, state, running, transports }: PeerProcess): string {
    const events = state?.events ?? 0
    const cells = Math.floor((events / this.#total) * BAR_CELLS)
    const bar = `${'█'.repeat(cells)}${'░'.repeat(BAR_CELLS - cells)}`
    const peers = state?.peers ?? []
    const doing = running ? `${peers.length} peer${peers.length === 1 ? '' : 's'}, over ${transports}` : 'killed'
    const count = `${events} of ${this.#total}`.padStart(12)
    const color = events === this.#total ? 'green' : running ? 'cyan' : 'red'
    return `${name.padEnd(5)} ${style(color, bar)} ${count}  ${style('dim', doing)}`
  }
}

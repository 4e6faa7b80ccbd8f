/** Starts and kills the processes of `fixtures/child.ts`. */
import type { ChildProcess } from 'node:child_process'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import path from 'node:path'
import { afterEach } from 'vitest'

const running = new Set<ChildProcess>()

afterEach(() => {
  for (const child of running) child.kill('SIGKILL')
  running.clear()
})

export interface Child {
  /** Whole lines that it has printed. */
  lines(): string[]
  /** Resolves when the condition holds of its lines, or it has ended. */
  until(condition: (lines: string[]) => boolean): Promise<void>
  /** Kills it with SIGKILL, and resolves when it is gone and all it printed has been read. */
  kill(): Promise<void>
  errors(): string
}

export function startChild(task: string, ...args: string[]): Child {
  const script = path.join(import.meta.dirname, 'fixtures', 'child.ts')
  const register = import.meta.resolve('ts-blank-space/register')
  const child = spawn(process.execPath, ['--import', register, script, task, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  running.add(child)
  let output = ''
  let errors = ''
  let wake = (): void => undefined
  const state = { ended: false }
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text
    wake()
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => (errors += text))
  const closed = once(child, 'close').then(() => {
    state.ended = true
    running.delete(child)
    wake()
  })
  const lines = (): string[] => output.split('\n').slice(0, -1)
  return {
    lines,
    errors: () => errors,
    async until(condition) {
      while (!state.ended && !condition(lines())) await new Promise<void>((resolve) => (wake = resolve))
    },
    async kill() {
      child.kill('SIGKILL')
      await closed
    },
  }
}

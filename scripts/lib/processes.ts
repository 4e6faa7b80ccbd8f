import { spawn } from 'node:child_process'

export interface Finished {
  /** Exit code; null if a signal ended it. */
  code: number | null
  stdout: string
  /** stdout and stderr as they came. */
  output: string
  timedOut: boolean
}

/** Runs a program to its end, with all it started, and returns what it said. Never throws for a failing program. */
export function run(
  command: string,
  args: readonly string[],
  options: { cwd: string; env?: NodeJS.ProcessEnv; limitMs?: number; echo?: boolean },
): Promise<Finished> {
  return new Promise((resolve) => {
    // Its own process group, so that a timeout ends its children too.
    const child = spawn(command, args, {
      cwd: options.cwd,
      env: options.env ?? process.env,
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
    })
    let stdout = ''
    let output = ''
    let timedOut = false
    const killAll = () => {
      try {
        if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL')
      } catch {
        // It was gone already.
      }
    }
    const timer =
      options.limitMs === undefined
        ? undefined
        : setTimeout(() => {
            timedOut = true
            killAll()
          }, options.limitMs)
    const onInterrupt = () => {
      killAll()
      process.exit(130)
    }
    process.once('SIGINT', onInterrupt)
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text
      output += text
      if (options.echo === true) process.stdout.write(text)
    })
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      output += text
      if (options.echo === true) process.stderr.write(text)
    })
    const end = (code: number | null, more: string) => {
      clearTimeout(timer)
      process.off('SIGINT', onInterrupt)
      resolve({ code, stdout, output: output + more, timedOut })
    }
    child.once('error', (error) => end(null, `${error.message}\n`))
    child.once('close', (code) => end(code, ''))
  })
}

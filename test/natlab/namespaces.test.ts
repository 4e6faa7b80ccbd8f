import { fork, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { expect, test } from 'vitest'
import { Namespaces } from './namespaces.ts'

const FIXTURE = path.join(import.meta.dirname, 'fixtures/victim.ts')
const listed = (): string => spawnSync('ip', ['netns', 'list'], { encoding: 'utf8' }).stdout

/** False for one that is gone, or ended and only not yet reaped. */
function runs(pid: number): boolean {
  try {
    return readFileSync(`/proc/${pid}/cmdline`).length > 0
  } catch {
    return false
  }
}

test.for(['SIGKILL', 'SIGINT'] as const)(
  'whoever ends by %s leaves no namespace and no process',
  async (signal, context) => {
    const obstacle = Namespaces.obstacle()
    if (obstacle !== null) return context.skip(obstacle)
    const victim = fork(FIXTURE, { execArgv: ['--import', 'ts-blank-space/register'], silent: true, detached: true })
    const [{ names, inmate }] = (await once(victim, 'message')) as [{ names: string[]; inmate: number }]
    for (const name of names) expect(listed()).toContain(name)
    expect(runs(inmate)).toBe(true)
    // Ctrl-C is sent to the whole process group.
    const target = victim.pid as number
    process.kill(signal === 'SIGINT' ? -target : target, signal)
    // What it left behind to tidy up holds its stderr.
    await once(victim, 'close')
    for (const name of names) expect(listed()).not.toContain(name)
    expect(runs(inmate)).toBe(false)
  },
)

import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, it } from 'vitest'

const TRACES = fileURLToPath(new URL('fixtures/traces.ts', import.meta.url))
// With seals and without, with liars and clocks that jump.
const SEEDS = ['5', '14']

async function records(env: NodeJS.ProcessEnv, flags: string[] = []): Promise<string> {
  const args = [...flags, '--import', 'ts-blank-space/register', TRACES, ...SEEDS]
  const { stdout } = await promisify(execFile)(process.execPath, args, {
    env: { ...process.env, ...env },
    maxBuffer: 1 << 28,
  })
  return stdout
}

it('runs the same, byte for byte, in another process, time zone and language, and however it is compiled', async () => {
  const [here, there] = await Promise.all([
    records({ TZ: 'UTC', LANG: 'C', LC_ALL: 'C' }),
    records({ TZ: 'Asia/Kathmandu', LANG: 'tr_TR.UTF-8', LC_ALL: 'tr_TR.UTF-8' }, ['--max-lazy', '--no-opt']),
  ])
  expect(here.trim().split('\n')).toHaveLength(SEEDS.length * 3)
  expect(there === here).toBe(true)
})

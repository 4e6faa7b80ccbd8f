import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { expect, test } from 'vitest'
import { ROOT, Terminal } from '../cli/processes.ts'

const terminal = new Terminal()
const demo = () => terminal.node(['--import', 'ts-blank-space/register', path.join(ROOT, 'examples/demo/main.ts')])
const leftovers = () => fs.readdirSync(os.tmpdir()).filter((name) => name.startsWith('peerlog-demo-'))

test('five processes end with the same book, one of them killed on the way', { timeout: 120_000 }, async () => {
  const before = leftovers()
  const { code, stdout, stderr } = await demo().ended
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  expect(stdout).toMatch(/bob is killed[^]*bob is back[^]*All five files hold the same 3715 events/)
  const roots = [...stdout.matchAll(/^(?:ada|bob|kim|eve|dan) .*?3715 {2}([0-9a-f]{16})/gm)].map(([, root]) => root)
  expect(roots).toHaveLength(5)
  expect(new Set(roots).size).toBe(1)
  expect(leftovers()).toEqual(before)
})

test('Ctrl-C ends the demo and all it started', async () => {
  const before = leftovers()
  const running = demo()
  await running.prints(/ada \d/)
  expect((await running.interrupt()).code).toBe(130)
  expect(leftovers()).toEqual(before)
})

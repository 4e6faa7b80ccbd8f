import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { createRelay } from 'peerlog-relay'
import createTestnet from 'hyperdht/testnet.js'
import { expect, test } from 'vitest'

const FIXTURE = fileURLToPath(new URL('fixtures/exits.ts', import.meta.url))

/** Fails if the process is still there after 8 s. */
async function runToItsEnd(mode: string, where = ''): Promise<string> {
  const run = promisify(execFile)
  const { stdout } = await run(process.execPath, ['--import', 'ts-blank-space/register', FIXTURE, mode, where], {
    timeout: 8000,
    killSignal: 'SIGKILL',
  })
  return stdout
}

test.each(['memory', 'disabled'])('a process that used %s ends by itself', async (mode) => {
  expect(await runToItsEnd(mode)).toBe(mode === 'disabled' ? 'done\n' : 'ping\ndone\n')
})

test('a process that used hyperswarm ends by itself', async () => {
  const testnet = await createTestnet(5)
  expect(await runToItsEnd('hyperswarm', JSON.stringify(testnet.bootstrap))).toBe('ping\ndone\n')
  await testnet.destroy()
})

test('a process that used a relay ends by itself', async () => {
  const relay = await createRelay({ port: 0, host: '127.0.0.1' })
  expect(await runToItsEnd('relay', relay.url)).toBe('ping\ndone\n')
  await relay.close()
})

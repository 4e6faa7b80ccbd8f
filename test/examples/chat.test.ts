import path from 'node:path'
import { createRelay, type Relay } from 'peerlog-relay'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Process, ROOT, Terminal } from '../cli/processes.ts'

const terminal = new Terminal()
let relay: Relay
beforeAll(async () => {
  relay = await createRelay({ port: 0, host: '127.0.0.1' })
})
afterAll(() => relay.close())

function chat(name: string, ...args: string[]): Process {
  const file = path.join(ROOT, 'examples/chat/chat.ts')
  const flags = ['--name', name, '--db', terminal.file(`${name}.db`), '--relay', relay.url, ...args]
  return terminal.node(['--import', 'ts-blank-space/register', file, ...flags])
}

test('two people talk in a room, one leaves and finds what was said meanwhile', async () => {
  const [ada, bob] = [chat('ada'), chat('bob')]
  await Promise.all([ada.prints(/is here, over relay/), bob.prints(/is here, over relay/)])
  ada.type('hello bob\n')
  await bob.prints(/\d\d:\d\d ada: hello bob\n/)
  bob.type('/who\n/help\n//hello\u001b[2J ada\n')
  await ada.prints(/bob: \/hello\u{fffd}\[2J ada\n/u)
  await bob.prints(/over relay\n[^]*\/quit: leave/)
  bob.type('/quit\n')
  expect((await bob.ended).code).toBe(0)
  await ada.prints(/has left/)
  ada.type('where are you?\n')
  const again = chat('bob')
  const said = await again.prints(/ada: where are you\?\n/)
  expect(said).toMatch(/ada: hello bob\n[^]*bob: \/hello[^]*you are bob[^]*where are you/)
  expect((await ada.interrupt()).code).toBe(0)
  again.child.stdin.end()
  expect(await again.ended).toMatchObject({ code: 0, stderr: '' })
})

test('rooms do not hear each other, and a secret keeps others out', async () => {
  const ada = chat('ada', '--secret', 'between us', '--room', 'kitchen')
  const bob = chat('bob', '--secret', 'between us', '--room', 'garden')
  const eve = chat('eve', '--room', 'kitchen')
  await Promise.all([ada.prints(/is here/), bob.prints(/is here/), eve.prints(/you are eve/)])
  ada.type('in the kitchen\n')
  bob.type('in the garden\n/quit\n')
  ada.type('/quit\n')
  eve.type('/who\n/quit\n')
  expect((await ada.ended).stdout).not.toContain('garden')
  expect((await bob.ended).stdout).not.toContain('in the kitchen')
  expect((await eve.ended).stdout).toMatch(/nobody else is connected/)
})

import createTestnet from 'hyperdht/testnet.js'
import { createRelay, type Relay } from 'peerlog-relay'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { jsonLines, type Process, Terminal } from './processes.ts'

const terminal = new Terminal()
let relay: Relay
beforeAll(async () => {
  relay = await createRelay({ port: 0, host: '127.0.0.1' })
})
afterAll(() => relay.close())

function start(command: string, db: string, ...args: string[]): Process {
  return terminal.start([command, '-k', 'room', '-d', db, '--relay', relay.url, ...args])
}

/** Runs to its end, with nothing on standard input. */
function run(command: string, db: string, ...args: string[]): Process['ended'] {
  const started = start(command, db, ...args)
  started.child.stdin.end()
  return started.ended
}

test('what one process sends another receives', async () => {
  const receiver = start('recv', 'b.db', '--json')
  await receiver.says(/waiting for others over relay/)
  const sent = await run('send', 'a.db', '--subject', 'chat/x', '--type', 'greeting', 'hello', 'there')
  expect(sent.code).toBe(0)
  expect(sent.stderr).toMatch(/1 event delivered to [0-9a-f]{8}\n/)
  await receiver.prints(/\n/)
  const ended = await receiver.interrupt()
  expect(ended).toMatchObject({ code: 0, signal: null })
  expect(ended.stderr).toMatch(/is here, over relay/)
  expect(jsonLines(ended.stdout)).toEqual([
    expect.objectContaining({
      id: sent.stdout.trim(),
      subject: 'chat/x',
      type: 'greeting',
      payload: 'hello there',
      local: false,
    }),
  ])
})

test('what was written before anybody was there arrives later, once, and is not received again', async () => {
  await run('send', 'a.db', '--wait', '0', 'early')
  const receiver = start('recv', 'b.db')
  expect((await run('send', 'a.db', 'late')).code).toBe(0)
  await receiver.prints(/early\n[^]*late\n/)
  const { stdout } = await receiver.interrupt()
  expect(stdout.match(/early|late/g)).toEqual(['early', 'late'])
  const again = start('recv', 'b.db')
  await again.says(/waiting/)
  await run('send', 'a.db', 'later')
  await again.prints(/later/)
  expect((await again.interrupt()).stdout).not.toMatch(/early|late\n/)
})

test('our own events are not received; --all shows them, and what was here before', async () => {
  await run('send', 'b.db', '--wait', '0', 'mine')
  const own = start('recv', 'b.db', '--after', '0', '--limit', '1')
  await own.says(/waiting/)
  await run('send', 'a.db', 'theirs')
  const { code, stdout } = await own.ended
  expect(code).toBe(0)
  expect(stdout).toMatch(/^\S+ \S+ {2}[0-9a-f]{8} {2}events {2}theirs\n$/)
  const all = await run('recv', 'b.db', '--all', '--limit', '2', '--json')
  expect(jsonLines(all.stdout).map(({ payload, local }) => [payload, local])).toEqual([
    ['mine', true],
    ['theirs', false],
  ])
})

test('with --since only the end of a log is taken, and said to be', async () => {
  for (const text of ['one', 'two', 'three', 'four']) await run('send', 'a.db', '--wait', '0', text)
  const waiting = start('recv', 'b.db', '--since', '2', '--limit', '2')
  const sender = start('recv', 'a.db')
  expect((await waiting.ended).stdout.match(/three|four|one|two/g)).toEqual(['three', 'four'])
  await sender.interrupt()
  const log = await terminal.start(['log', '-k', 'room', '-d', 'b.db']).ended
  expect(log.stdout).toMatch(/three\n[^]*four\n$/)
  expect(log.stderr).toMatch(/1 author not whole: 2 earlier events left out here/)
  const refused = await run('recv', 'b.db', '--since', 'yesterday')
  expect(refused.stderr).toMatch(/a day, a time such as/)
})

test('recv shows the subjects asked for', async () => {
  const receiver = start('recv', 'b.db', '--subject', 'notes/**', '--limit', '2')
  await receiver.says(/waiting/)
  for (const subject of ['notes/a', 'other', 'notes/b/c'])
    await run('send', 'a.db', '--subject', subject, `on ${subject}`)
  const { stdout } = await receiver.ended
  expect(stdout.match(/on \S+/g)).toEqual(['on notes/a', 'on notes/b/c'])
})

test('send says so when nobody is there', async () => {
  const { code, stderr } = await run('send', 'a.db', '--wait', '0.2', 'hello?')
  expect(code).toBe(0)
  expect(stderr).toMatch(/1 event stored; nobody else is there/)
})

test('send streams: a line is received before the input ends', async () => {
  const receiver = start('recv', 'b.db')
  const sender = start('send', 'a.db')
  sender.type('one\n')
  await receiver.prints(/one\n/)
  sender.type('two\n')
  await receiver.prints(/two\n/)
  sender.child.stdin.end()
  expect((await sender.ended).stderr).toMatch(/2 events delivered/)
})

test('twenty thousand lines arrive in order', async () => {
  const lines = Array.from({ length: 20_000 }, (_, i) => `line ${i}`)
  const receiver = start('recv', 'b.db', '--limit', '20000', '--json')
  await receiver.says(/waiting/)
  const sender = start('send', 'a.db', '--quiet')
  sender.child.stdin.end(lines.join('\n'))
  expect((await sender.ended).code).toBe(0)
  expect(jsonLines((await receiver.ended).stdout).map(({ payload }) => payload)).toEqual(lines)
})

test('interactive: each line is an event, both see what the other writes, quit leaves', async () => {
  const [ada, bob] = [start('interactive', 'a.db'), start('interactive', 'b.db')]
  await Promise.all([ada.says(/in sync/), bob.says(/in sync/)])
  ada.type('hello bob\n')
  await bob.prints(/hello bob/)
  bob.type('//hello ada\n/peers\n/nonsense\n')
  await ada.prints(/ \/hello ada/)
  await bob.says(/[0-9a-f]{8} {2}relay {2}\w[^]*no such command: \/nonsense/)
  ada.type('bye\nquit\n')
  const left = await ada.ended
  expect(left.code).toBe(0)
  expect(left.stdout).not.toMatch(/hello bob|bye/)
  await bob.prints(/bye/)
  bob.child.stdin.end()
  expect((await bob.ended).code).toBe(0)
})

test('interactive hands over what it read from a pipe before it ends', async () => {
  const receiver = start('recv', 'b.db')
  await receiver.says(/waiting/)
  const writer = start('interactive', 'a.db')
  writer.child.stdin.end('one\ntwo\n')
  expect((await writer.ended).code).toBe(0)
  await receiver.prints(/one\n[^]*two\n/)
})

test('peers tells who comes and goes, and --once who is there', async () => {
  const watcher = start('peers', ':memory:', '--json')
  await watcher.says(/looking/)
  const member = start('recv', 'a.db')
  await watcher.prints(/PeerConnected/)
  const once = await run('peers', ':memory:', '--once')
  expect(once.code).toBe(0)
  expect(once.stdout.trim().split('\n')).toHaveLength(2)
  await member.interrupt()
  await watcher.prints(/PeerDisconnected[^]*PeerDisconnected/)
  const { code, stdout } = await watcher.interrupt()
  expect(code).toBe(0)
  const [first] = jsonLines(stdout)
  expect(first).toMatchObject({
    type: 'PeerConnected',
    transport: 'relay',
    peerId: expect.stringMatching(/^[0-9a-f]{64}$/),
  })
})

test('peers --for ends by itself', async () => {
  expect(await run('peers', ':memory:', '--for', '0.2')).toMatchObject({ code: 0, stdout: '' })
  const nobody = await run('peers', ':memory:', '--once', '--for', '0.2')
  expect(nobody).toMatchObject({ code: 0, stdout: '' })
  expect(nobody.stderr).toMatch(/nobody found/)
})

test.each(['recv', 'interactive', 'peers'])('SIGINT ends %s with 0 and closes its file', async (command) => {
  const running = start(command, 'a.db')
  await running.says(/waiting|each line|looking/)
  expect(await running.interrupt()).toMatchObject({ code: 0, signal: null })
  expect((await run('send', 'a.db', '--wait', '0', 'at once')).code).toBe(0)
})

test('a relay that cannot be reached is told, and waited for no longer than asked', async () => {
  const receiver = terminal.start(['recv', '-k', 'room', '--relay', 'ws://127.0.0.1:1'])
  await receiver.says(/! relay: .*127\.0\.0\.1:1/)
  expect((await receiver.interrupt()).code).toBe(0)
})

test('a pipe that is closed early ends recv quietly', async () => {
  const receiver = start('recv', 'b.db', '--quiet')
  const sender = start('send', 'a.db')
  sender.type('one\n')
  await receiver.prints(/one/)
  receiver.child.stdout.destroy()
  sender.type('two\nthree\n')
  expect(await receiver.ended).toMatchObject({ code: 0, stderr: '' })
})

test('the same over Hyperswarm', async () => {
  const testnet = await createTestnet(5)
  const bootstrap = testnet.bootstrap.map(({ host, port }) => `${host}:${port}`).join(',')
  const flags = ['-k', 'room', '--bootstrap', bootstrap]
  const receiver = terminal.start(['recv', ...flags, '-d', 'b.db'])
  const sender = terminal.start(['send', ...flags, '-d', 'a.db', 'directly'])
  sender.child.stdin.end()
  expect((await sender.ended).stderr).toMatch(/is here, over hyperswarm\n[^]*delivered to [0-9a-f]{8}/)
  await receiver.prints(/directly/)
  expect((await receiver.interrupt()).code).toBe(0)
  await testnet.destroy()
})

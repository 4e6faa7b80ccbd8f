import fs from 'node:fs'
import { expect, test } from 'vitest'
import { jsonLines, Terminal } from './processes.ts'

const terminal = new Terminal()
const send = (args: string[], input?: string) =>
  terminal.run(['send', '-k', 'x', '--wait', '0', ...args], input === undefined ? {} : { input })
const log = (...args: string[]) => terminal.run(['log', '-k', 'x', ...args])
const logged = async (...args: string[]) => jsonLines((await log('--json', ...args)).stdout)
const payloads = async (...args: string[]) => (await logged(...args)).map(({ payload }) => payload)

test('send stores its words as one event and prints the id; log prints it', async () => {
  const sent = await send(['hello', 'world'])
  expect(sent.code).toBe(0)
  expect(sent.stdout).toMatch(/^[0-9a-f]{64}\n$/)
  expect(sent.stderr).toMatch(/1 event stored/)
  const printed = await log()
  expect(printed).toMatchObject({ code: 0, stderr: '' })
  expect(printed.stdout).toMatch(/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d {2}you {7}events {2}hello world\n$/)
  const [event] = await logged()
  expect(event).toEqual({
    id: sent.stdout.trim(),
    author: expect.stringMatching(/^[0-9a-f]{64}$/),
    source: event?.['author'],
    seq: 0,
    position: 1,
    ts: expect.any(Number),
    subject: 'events',
    payload: 'hello world',
    local: true,
  })
})

test('the file is named after the key, whatever is in it', async () => {
  await terminal.run(['send', '-k', '../team/notes 1', '--wait', '0', 'hi'])
  expect(fs.readdirSync(terminal.folder)).toContain('team_notes_1.db')
})

test('send takes every line of standard input, the last one with or without a line break', async () => {
  await send([], 'one\r\ntwo\n\nthree')
  expect(await payloads()).toEqual(['one', 'two', '', 'three'])
  expect((await send([], '')).stderr).toContain('nothing to send')
})

test('send --data-json takes values from arguments and from lines', async () => {
  await send(['--data-json', '{"text":"milk"}', '--subject', 'notes/shopping', '--type', 'item'])
  await send(['--data-json'], '1\n\n[true,null]\n')
  const events = await logged()
  expect(events.map(({ payload }) => payload)).toEqual([{ text: 'milk' }, 1, [true, null]])
  expect(events[0]).toMatchObject({ subject: 'notes/shopping', type: 'item' })
  expect(events[1]).not.toHaveProperty('type')
})

test('a line that is no JSON is named; those before it are kept', async () => {
  const { code, stderr } = await send(['--data-json'], '1\n2\noops\n4\n')
  expect(code).toBe(2)
  expect(stderr).toMatch(/2 events stored before that\npeerlog: line 3 is not JSON/)
  expect(await payloads()).toEqual([1, 2])
})

test('log filters, limits, turns round and sorts by clock', async () => {
  await send(['--subject', 'a/b', '1'])
  await send(['--subject', 'a/c/d', '2'])
  await send(['--subject', 'e', '3'])
  expect(await payloads('--subject', 'a/**')).toEqual(['1', '2'])
  expect(await payloads('--subject', 'a/*')).toEqual(['1'])
  expect(await payloads('--limit', '2')).toEqual(['1', '2'])
  expect(await payloads('--reverse', '--limit', '2')).toEqual(['3', '2'])
  expect(await payloads('--after', '2')).toEqual(['3'])
  for (const order of ['causal', 'clock']) {
    expect(await payloads('--order', order)).toEqual(['1', '2', '3'])
    expect(await payloads('--order', order, '--reverse', '--after', '3')).toEqual(['2', '1'])
  }
})

test('a secret may come from a flag, a file or the environment', async () => {
  fs.writeFileSync(terminal.file('secret'), 'correct horse\n')
  await send(['--secret', 'correct horse', 'sealed'])
  expect(await payloads('--secret-file', 'secret')).toEqual(['sealed'])
  const env = { PEERLOG_SECRET: 'correct horse' }
  expect((await terminal.run(['log', '-k', 'x'], { env })).stdout).toContain('sealed')
  expect(fs.readFileSync(terminal.file('x.db')).includes('sealed')).toBe(false)
})

test("nobody's text reaches the terminal as a command", async () => {
  const nasty = 'a\u001b[31mred\u001b]0;title\u0007\rb\u009b2Jc\u202edrowssap\u007f\nd'
  await send(['--type', 'x\u001b[2J', nasty])
  const { stdout } = await log()
  expect(stdout.trimEnd()).not.toMatch(/[\p{Cc}\u202e]/u)
  expect(stdout).toContain('a\\x1b[31mred\\x1b]0;title\\x07\\rb\\x9b2Jc\\u{202e}drowssap\\x7f\\nd')
  const json = await log('--json')
  expect(json.stdout.trimEnd()).not.toMatch(/[\p{Cc}\u202e]/u)
  expect(jsonLines(json.stdout)[0]?.['payload']).toBe(nasty)
})

test('colours are for terminals and for those who insist', async () => {
  await send(['hi'])
  const colored = async (env: NodeJS.ProcessEnv, ...args: string[]) =>
    (await terminal.run(['log', '-k', 'x', ...args], { env })).stdout.includes('\u001b[')
  expect(await colored({})).toBe(false)
  expect(await colored({ CI: 'true' })).toBe(false)
  expect(await colored({ FORCE_COLOR: '1' })).toBe(true)
  expect(await colored({ FORCE_COLOR: '0' })).toBe(false)
  expect(await colored({ FORCE_COLOR: '1', NO_COLOR: '1' })).toBe(false)
  expect(await colored({ FORCE_COLOR: '1' }, '--no-color')).toBe(false)
})

test('a log of twenty thousand events is printed whole, and a pipe that is closed early ends it quietly', async () => {
  await send([], Array.from({ length: 20_000 }, (_, i) => `line ${i}\n`).join(''))
  const whole = await log('--json')
  expect(whole).toMatchObject({ code: 0, stderr: '' })
  expect(jsonLines(whole.stdout)).toHaveLength(20_000)
  const reader = terminal.start(['log', '-k', 'x'])
  await reader.prints(/line 0\n/)
  reader.child.stdout.destroy()
  expect(await reader.ended).toMatchObject({ code: 0, signal: null, stderr: '' })
})

test('log reads while another process writes', async () => {
  const writer = terminal.start(['interactive', '-k', 'x', '--transport', 'disabled'])
  writer.type('first\n/log\n')
  await writer.prints(/first/)
  expect(await payloads()).toEqual(['first'])
  writer.type('quit\n')
  expect(await writer.ended).toMatchObject({ code: 0 })
})

test('--quiet leaves the results only', async () => {
  expect((await send(['--quiet', 'hi'])).stderr).toBe('')
})

import fs from 'node:fs'
import { createRelay } from 'peerlog-relay'
import { expect, test } from 'vitest'
import { jsonLines, Terminal } from './processes.ts'

const terminal = new Terminal()
const run = (command: string, db: string, ...args: string[]) => terminal.run([command, '-k', 'x', '-d', db, ...args])
const logged = async (db: string) => jsonLines((await run('log', db, '--json')).stdout)

test('new-author keeps the old key and all events, which are then of another author', async () => {
  await run('send', 'a.db', '--wait', '0', 'old')
  const old = (await logged('a.db'))[0]?.['author'] as string
  const key = fs.readFileSync(terminal.file('a.db.key'))
  const { code, stdout, stderr } = await run('new-author', 'a.db')
  expect(code).toBe(0)
  expect(stdout).toMatch(/^[0-9a-f]{64}\n$/)
  expect(stderr).toBe(`instead of ${old}, whose key is kept as a.db.key.${old.slice(0, 8)}\n`)
  expect(fs.readFileSync(terminal.file(`a.db.key.${old.slice(0, 8)}`))).toEqual(key)
  await run('send', 'a.db', '--wait', '0', 'new')
  expect((await logged('a.db')).map(({ author, seq, payload, local }) => [author, seq, payload, local])).toEqual([
    [old, 0, 'old', false],
    [stdout.trim(), 0, 'new', true],
  ])
  const [again] = jsonLines((await run('new-author', 'a.db', '--json')).stdout)
  expect(again).toEqual({
    author: expect.stringMatching(/^[0-9a-f]{64}$/),
    old: { author: stdout.trim(), key: `a.db.key.${stdout.slice(0, 8)}` },
  })
})

test('new-author leaves alone what it can not change: no file, memory, a file in use', async () => {
  expect(await run('new-author', 'none.db')).toMatchObject({ code: 1, stdout: '' })
  expect(fs.existsSync(terminal.file('none.db'))).toBe(false)
  expect(await run('new-author', ':memory:')).toMatchObject({ code: 2, stdout: '' })
  const holder = terminal.start(['interactive', '-k', 'x', '-d', 'a.db', '--transport', 'disabled'])
  await holder.says(/each line is an event/)
  const key = fs.readFileSync(terminal.file('a.db.key'))
  const refused = await run('new-author', 'a.db')
  expect(refused).toMatchObject({ code: 1, stdout: '' })
  expect(refused.stderr).toMatch(/open elsewhere/)
  expect(fs.readFileSync(terminal.file('a.db.key'))).toEqual(key)
  await holder.interrupt()
})

test('after a fork: send says what to do, and that works', async () => {
  const relay = await createRelay({ port: 0, host: '127.0.0.1' })
  try {
    await run('send', 'a.db', '--wait', '0', 'both')
    for (const name of ['', '.key']) fs.copyFileSync(terminal.file(`a.db${name}`), terminal.file(`copy.db${name}`))
    await run('send', 'a.db', '--wait', '0', 'here')
    await run('send', 'copy.db', '--wait', '0', 'there')
    const peer = terminal.start(['recv', '-k', 'x', '-d', 'peer.db', '--relay', relay.url])
    await peer.says(/waiting/)
    const watch = (db: string) => terminal.start(['recv', '-k', 'x', '-d', db, '--relay', relay.url])
    const first = watch('a.db')
    await peer.prints(/here/)
    await first.interrupt()
    const second = watch('copy.db')
    await Promise.all([peer, second].map((process) => process.says(/has signed two contradicting histories/)))
    await second.interrupt()
    const refused = await run('send', 'copy.db', '--wait', '0', 'more')
    expect(refused).toMatchObject({ code: 1, stdout: '' })
    expect(refused.stderr).toMatch(/can append no more\n {2}Run 'peerlog new-author' with the same -k and -d/)
    expect((await run('new-author', 'copy.db')).code).toBe(0)
    const sent = await run('send', 'copy.db', '--relay', relay.url, 'again')
    expect(sent.code).toBe(0)
    await peer.prints(/again/)
    expect((await logged('copy.db')).map(({ payload, local }) => [payload, local])).toEqual([
      ['both', false],
      ['there', false],
      ['again', true],
    ])
    await peer.interrupt()
  } finally {
    await relay.close()
  }
})

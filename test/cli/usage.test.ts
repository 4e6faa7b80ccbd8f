import fs from 'node:fs'
import Sqlite from 'better-sqlite3'
import { describe, expect, test } from 'vitest'
import { ROOT, Terminal } from './processes.ts'

const terminal = new Terminal()

test('help is no error for whoever reads only its beginning', async () => {
  const started = terminal.start(['--help'])
  started.child.stdout.destroy()
  expect(await started.ended).toMatchObject({ code: 0, stderr: '' })
})

test('--help shows the commands and examples, and so does every command', async () => {
  const { code, stdout, stderr } = await terminal.run(['--help'])
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  for (const word of ['send', 'recv', 'interactive', 'log', 'peers', 'doctor', 'new-author', 'Examples'])
    expect(stdout).toContain(word)
  const helps = await Promise.all(
    ['send', 'recv', 'interactive', 'log', 'peers', 'doctor', 'new-author'].map((name) =>
      terminal.run([name, '--help']),
    ),
  )
  for (const help of helps) {
    expect(help.code).toBe(0)
    expect(help.stdout).toMatch(/Examples:\n {2}\$ /)
    expect(help.stdout).toContain('--discovery-key')
  }
})

test('--version is that of the package', async () => {
  const { version } = JSON.parse(fs.readFileSync(`${ROOT}/package.json`, 'utf8')) as { version: string }
  expect(await terminal.run(['--version'])).toMatchObject({ code: 0, stdout: `${version}\n` })
})

describe('wrong usage ends with 2 and says what was meant', () => {
  test.each<[string, string[], RegExp]>([
    ['no command', [], /Usage: peerlog/],
    ['a misspelt command', ['sned'], /Did you mean send\?/],
    ['a misspelt flag', ['send', '-k', 'x', '--subjct', 'y', 'hi'], /Did you mean --subject\?/],
    ['no key', ['recv'], /--discovery-key <key>' not specified/],
    ['an empty key', ['recv', '-k', ''], /databaseId is empty/],
    ['an unknown transport', ['recv', '-k', 'x', '--transport', 'tcp'], /hyperswarm, relay, udp, disabled/],
    ['a UDP peer that is not used', ['recv', '-k', 'x', '--udp-peer', '127.0.0.1:1'], /Add '--transport udp'/],
    ['a UDP port that is none', ['recv', '-k', 'x', '--transport', 'udp', '--udp-port', '0'], /1 to 65535/],
    ['a relay that is not named', ['recv', '-k', 'x', '--transport', 'relay'], /--relay wss:\/\//],
    [
      'a relay that is not used',
      ['recv', '-k', 'x', '--relay', 'ws://a', '--transport', 'hyperswarm'],
      /--transport relay/,
    ],
    [
      'a token for no relay',
      ['recv', '-k', 'x', '--relay-token', 't'],
      /--relay-token is given, but no relay\n {2}Say which: --relay/,
    ],
    [
      'a token that is none',
      ['recv', '-k', 'x', '--relay', 'ws://127.0.0.1:1', '--relay-token', 'two words'],
      /relayToken is no token\n {2}Write the token as whoever runs the relay gave it/,
    ],
    ['an http relay', ['recv', '-k', 'x', '--relay', 'http://127.0.0.1:1'], /Write 'ws:\/\/127\.0\.0\.1:1'/],
    ['no network, and a relay', ['recv', '-k', 'x', '--transport', 'disabled', '--relay', 'ws://a'], /Leave out/],
    ['a bootstrap without port', ['recv', '-k', 'x', '--bootstrap', 'localhost'], /host:port/],
    ['a limit that is no number', ['log', '-k', 'x', '--limit', 'ten'], /whole number/],
    ['a wait that is no number', ['send', '-k', 'x', '--wait', 'long', 'hi'], /number of seconds/],
    ['two secrets', ['recv', '-k', 'x', '--secret', 'a', '--secret-file', 'b'], /Leave one of them out/],
    ['a secret file that is not there', ['recv', '-k', 'x', '--secret-file', 'nowhere'], /can't read the secret/],
    [
      'a subject with a star',
      ['send', '-k', 'x', '--wait', '0', '--subject', 'a/*', 'hi'],
      /levels separated by single/,
    ],
    ['data that is no JSON', ['send', '-k', 'x', '--wait', '0', '--data-json', '{a}'], /not JSON/],
    ['an unknown order', ['log', '-k', 'x', '--order', 'size'], /arrival, causal, clock/],
  ])('%s', async (_, args, expected) => {
    const { code, stdout, stderr } = await terminal.run(args)
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
    expect(stderr).toMatch(expected)
    expect(stderr).not.toMatch(/\n\s+at /)
  })
})

describe('what goes wrong ends with 1, a message and a hint', () => {
  const send = (...args: string[]) => terminal.run(['send', '-k', 'x', '--wait', '0', ...args, 'hi'])

  async function expectFailure(ended: ReturnType<typeof send>, message: RegExp, hint: RegExp): Promise<void> {
    const { code, stdout, stderr } = await ended
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
    expect(stderr).toMatch(message)
    expect(stderr).toMatch(hint)
    expect(stderr).not.toMatch(/\n\s+at /)
  }

  test('a folder that does not exist', async () => {
    await expectFailure(send('-d', 'nowhere/x.db'), /nowhere .*does not exist/, /\n {2}Create it first/)
  })

  test('a file that is not SQLite, which stays as it is', async () => {
    fs.writeFileSync(terminal.file('text.db'), 'dear diary\n')
    await expectFailure(send('-d', 'text.db'), /not a SQLite database/, /\n {2}Choose another path/)
    expect(fs.readFileSync(terminal.file('text.db'), 'utf8')).toBe('dear diary\n')
  })

  test("another program's database", async () => {
    const db = new Sqlite(terminal.file('other.db'))
    db.exec('CREATE TABLE recipes (name TEXT)')
    db.close()
    await expectFailure(send('-d', 'other.db'), /not one of peerlog/, /\n {2}Choose another path/)
  })

  test('the file of another key', async () => {
    await send('-d', 'x.db')
    await expectFailure(
      terminal.run(['log', '-k', 'y', '-d', 'x.db']),
      /holds the database 'x'/,
      /\n {2}Give its own key/,
    )
  })

  test('another secret', async () => {
    await send('-d', 'x.db', '--secret', 'one')
    await expectFailure(terminal.run(['log', '-k', 'x', '-d', 'x.db']), /another secret/, /PEERLOG_SECRET/)
  })

  test('a log that is not there', async () => {
    await expectFailure(terminal.run(['log', '-k', 'x']), /no database at x\.db/, /\n {2}Check the path/)
  })

  test('a file that another process has open', async () => {
    const holder = terminal.start(['interactive', '-k', 'x', '--transport', 'disabled'])
    await holder.says(/each line is an event/)
    await expectFailure(send('-d', 'x.db'), /open elsewhere/, /a file of its own with -d/)
  })

  test('DEBUG adds where it happened', async () => {
    const { stderr } = await terminal.run(['log', '-k', 'x'], { env: { DEBUG: '1' } })
    expect(stderr).toMatch(/\n\s+at /)
  })
})

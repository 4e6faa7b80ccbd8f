import { execFileSync } from 'node:child_process'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import fs from 'node:fs'
import createTestnet from 'hyperdht/testnet.js'
import { createRelay, type Relay } from 'peerlog-relay'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startTamperingProxy } from '../transport/tampering-relay.ts'
import { type Ended, jsonLines, type Process, Terminal } from './processes.ts'

interface Check {
  section: string
  name: string
  verdict: 'ok' | 'warn' | 'fail' | 'skipped'
  seen: string
  advice?: string
  data?: Record<string, unknown>
}

const terminal = new Terminal()
let testnet: Awaited<ReturnType<typeof createTestnet>>
let bootstrap: string
let relay: Relay
beforeAll(async () => {
  testnet = await createTestnet(5)
  bootstrap = testnet.bootstrap.map(({ host, port }) => `${host}:${port}`).join(',')
  relay = await createRelay({ port: 0, host: '127.0.0.1' })
})
afterAll(async () => {
  await testnet.destroy()
  await relay.close()
})

function doctor(...args: string[]): Promise<Ended> {
  return terminal.run(['doctor', ...args])
}

async function report(args: string[], env = {}): Promise<{ code: number | null; healthy: boolean; checks: Check[] }> {
  const { code, stdout, stderr } = await terminal.run(['doctor', '--json', ...args], { env })
  expect(stderr).not.toMatch(/\n\s+at /)
  const [line, ...more] = jsonLines(stdout)
  expect(more).toEqual([])
  return { code, ...(line as { healthy: boolean; checks: Check[] }) }
}

function find(checks: Check[], section: string, name: string | RegExp): Check {
  const found = checks.find((check) => check.section === section && check.name.match(name) !== null)
  if (found === undefined) throw new Error(`no ${section} ${name} in ${JSON.stringify(checks)}`)
  return found
}

async function send(db: string, ...texts: string[]): Promise<void> {
  const sender = terminal.start(['send', '-k', 'room', '-d', db, '--transport', 'disabled', '--quiet'])
  sender.child.stdin.end(texts.join('\n'))
  expect((await sender.ended).code).toBe(0)
}

async function member(db: string): Promise<Process> {
  const started = terminal.start(['recv', '-k', 'room', '-d', db, '--relay', relay.url])
  await started.says(/waiting/)
  return started
}

describe('the network', () => {
  test('that is well, with every line in its section, ends with 0', async () => {
    const flags = ['--transport', 'relay', '--transport', 'hyperswarm', '--relay', relay.url, '--bootstrap', bootstrap]
    const { code, stdout, stderr } = await doctor(...flags)
    expect(code).toBe(0)
    expect(stdout).toMatch(/^This machine\n {2}ok {4}node: [\d.]+\n {2}ok {4}platform: \w+/)
    expect(stdout).toMatch(
      /UDP and NAT\n {2}ok {4}nodes: \d of \d DHT nodes answered, in \d+ ms\n {2}ok {4}nat: open: /,
    )
    expect(stdout).toMatch(/Relays\n[^]* tcp: connected in [^]* websocket: answers pings in [\d.]+ ms/)
    expect(stdout).toMatch(/Clock\n {2}ok {4}ws:\S+: this clock and that of the relay agree/)
    expect(stderr).not.toMatch(/failed/)
  })

  test('UDP that is blocked fails, and says what to do', async () => {
    const socket = createSocket('udp4').bind(0, '127.0.0.1')
    await once(socket, 'listening')
    const { code, healthy, checks } = await report(['--bootstrap', `127.0.0.1:${socket.address().port}`])
    socket.close()
    expect({ code, healthy }).toEqual({ code: 1, healthy: false })
    const nodes = find(checks, 'udp', 'nodes')
    expect(nodes).toMatchObject({
      verdict: 'fail',
      seen: 'none of 1 DHT node answers',
      data: { answered: 0, asked: 1 },
    })
    expect(nodes.advice).toMatch(/Let UDP out.*--relay/)
    expect(find(checks, 'udp', 'nat').verdict).toBe('skipped')
  })

  test('a relay that is down, and one whose name is wrong', async () => {
    const down = await createRelay({ port: 0, host: '127.0.0.1' })
    await down.close()
    const { code, checks } = await report(['--relay', down.url, '--relay', 'wss://relay.invalid'])
    expect(code).toBe(1)
    expect(find(checks, 'relay', /^ws:.* tcp$/)).toMatchObject({
      verdict: 'fail',
      seen: expect.stringMatching(/ECONNREFUSED/),
      advice: expect.stringMatching(/relay is running/),
    })
    expect(find(checks, 'relay', /^wss:.* name$/)).toMatchObject({
      verdict: 'fail',
      advice: expect.stringMatching(/spelt/),
    })
    expect(find(checks, 'names', 'relay.invalid').verdict).toBe('fail')
    expect(find(checks, 'clock', /^ws:/).verdict).toBe('skipped')
  })

  test('a certificate that nobody vouches for, and the same one made known', async () => {
    const [key, cert] = [terminal.file('key.pem'), terminal.file('cert.pem')]
    const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1']
    const made = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '5']
    execFileSync('openssl', [...made, '-keyout', key, '-out', cert, ...subject], { stdio: 'ignore' })
    const tls = { key: fs.readFileSync(key), cert: fs.readFileSync(cert) }
    await using secure = await createRelay({ port: 0, host: '127.0.0.1', tls })
    const refused = await report(['--relay', secure.url])
    expect(refused.code).toBe(1)
    expect(find(refused.checks, 'relay', / tls$/)).toMatchObject({
      verdict: 'fail',
      seen: expect.stringMatching(/SELF_SIGNED/),
      advice: expect.stringMatching(/NODE_EXTRA_CA_CERTS/),
    })
    const known = await report(['--relay', secure.url], { NODE_EXTRA_CA_CERTS: cert })
    expect(known.code).toBe(0)
    // It ends soon.
    expect(find(known.checks, 'relay', / tls$/)).toMatchObject({
      verdict: 'warn',
      data: { protocol: 'TLSv1.3', daysLeft: 4 },
    })
    expect(find(known.checks, 'relay', / websocket$/).verdict).toBe('ok')
  })

  test('a relay that wants a token', async () => {
    const admit = (shown: string | undefined): number | null => (shown === 'Bearer good' ? null : 401)
    await using guarded = await startTamperingProxy(relay.url, (_direction, frame) => [frame], admit)
    const refused = await report(['--relay', guarded.url, '--relay-token', 'stale'])
    expect(find(refused.checks, 'relay', / websocket$/)).toMatchObject({
      verdict: 'fail',
      seen: expect.stringMatching(/does not accept the token \(401\)/),
    })
    const admitted = await report(['--relay', guarded.url], { PEERLOG_RELAY_TOKEN: 'good' })
    expect(find(admitted.checks, 'relay', / websocket$/).verdict).toBe('ok')
  })
})

describe('a database', () => {
  test('with another secret has other fingerprints, and the secret is not told', async () => {
    const flags = ['-k', 'room', '-d', ':memory:', '--relay', relay.url, '--wait', '0']
    const secrets = ['correct horse', 'correct horse', 'battery staple']
    const runs = await Promise.all(secrets.map((secret) => report([...flags, '--secret', secret])))
    const told = runs.map(({ code, checks }) => {
      expect(code).toBe(0)
      expect(JSON.stringify(checks)).not.toMatch(/horse|staple/)
      const names = ['topic', 'admission', 'rendezvous']
      return names.map(
        (name) =>
          find(checks, 'fingerprints', name).data?.['fingerprint'] ??
          find(checks, 'fingerprints', name).data?.['rendezvous'],
      )
    })
    const [first, same, other] = told as [unknown[], unknown[], unknown[]]
    expect(first).toEqual(same)
    for (const [i, value] of first.entries()) expect(value).not.toBe(other[i])
    expect(first[0]).toMatch(/^([0-9a-f]{4} ){3}[0-9a-f]{4}$/)
    expect(first[2]).toMatch(/^[0-9a-f]{64}$/)
    expect(find((runs[0] as (typeof runs)[0]).checks, 'peers', 'peers')).toMatchObject({
      verdict: 'warn',
      advice: expect.stringMatching(/compare the fingerprints/),
    })
  })

  test('that is behind a peer, and ahead of it, is told by how much and in whose logs', async () => {
    await send('a.db', 'one', 'two')
    await send('b.db', '1', '2', '3', '4', '5')
    const peer = await member('b.db')
    const flags = ['-k', 'room', '-d', 'a.db', '--relay', relay.url]
    const { code, checks } = await report(flags)
    expect(code).toBe(0)
    const ours = find(checks, 'file', 'author').data?.['author']
    expect(find(checks, 'file', 'events').data).toEqual({ events: 2, authors: 1, missing: 0 })
    expect(find(checks, 'file', 'integrity').verdict).toBe('ok')
    const met = checks.find(({ section }) => section === 'peers') as Check
    expect(met).toMatchObject({
      verdict: 'ok',
      data: {
        transport: 'relay',
        inSync: false,
        logs: 2,
        weLack: 5,
        theyLack: 2,
        peerId: expect.stringMatching(/^[0-9a-f]{64}$/),
      },
    })
    expect(met.seen).toMatch(/we lacked 5 events and it 2, of 2 authors: \w{8} 0 here, 5 there; \w{8} 2 here, 0 there/)
    expect(met.data?.['authors']).toEqual([
      { author: expect.not.stringMatching(String(ours)), ours: 0, theirs: 5 },
      { author: ours, ours: 2, theirs: 0 },
    ])
    const again = await report(flags)
    expect(again.checks.find(({ section }) => section === 'peers')).toMatchObject({ data: { inSync: true, weLack: 0 } })
    await peer.interrupt()
  })

  test('that another process has open is looked at, and not compared', async () => {
    const holder = await member('a.db')
    const { code, stdout } = await doctor('-k', 'room', '-d', 'a.db', '--relay', relay.url)
    expect(code).toBe(0)
    expect(stdout).toMatch(/warn {2}lock: another process has it open\n +Peers are not compared/)
    expect(stdout).toMatch(/ok {4}author: \w{8}\n {2}ok {4}events: 0 events of 0 authors/)
    expect(stdout).toMatch(/Peers\n {2}- {5}peers: not without the file/)
    await holder.interrupt()
  })

  test('that is damaged or not ours fails, and the rest is told all the same', async () => {
    fs.writeFileSync(terminal.file('x.db'), 'dear diary\n')
    const { code, stdout, stderr } = await doctor('-k', 'room', '-d', 'x.db', '--relay', relay.url)
    expect(code).toBe(1)
    expect(stdout).toMatch(/FAIL {2}open: .*not a SQLite database\n {8}Choose another path/)
    expect(stdout).toMatch(/websocket: answers pings/)
    expect(stderr).toMatch(/1 failed/)
  })

  test('is left in peace by Ctrl-C', async () => {
    const started = terminal.start(['doctor', '-k', 'room', '-d', ':memory:', '--relay', relay.url, '--wait', '600'])
    await started.prints(/Fingerprints\n[^]*File\n/)
    const { signal, stderr } = await started.interrupt()
    expect(signal).toBeNull()
    expect(stderr).not.toMatch(/\n\s+at /)
  })

  test.each([
    [['--relay', 'http://a'], /Write 'ws:\/\/a/],
    [['-k', ''], /databaseId is empty/],
    [['--relay-token', 't'], /--relay-token is given, but no relay/],
    [['--wait', 'long'], /number of seconds/],
  ])('wrong usage %j ends with 2', async (args, message) => {
    const { code, stdout, stderr } = await doctor(...args)
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
    expect(stderr).toMatch(message)
  })
})

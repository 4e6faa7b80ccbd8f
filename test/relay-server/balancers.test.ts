import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { type AddressInfo, connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type Relay, createRelay } from '../../relay-server/src/index.ts'
import { RawClient } from './raw-client.ts'
import { LogBook, makeCertificate, refusedWith } from './support.ts'

const DEPLOY = new URL('../../deploy/', import.meta.url)
const HOST = '127.0.0.1'
const PATHS = ['/team-a', '/team-b']

let folder: string
let cert: Buffer
let port: number
let relays: Relay[]
let logs: LogBook[]
let child: ChildProcess | undefined

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'peerlog-balancer-'))
  const made = makeCertificate(folder, 'balancer')
  cert = made.cert
  writeFileSync(join(folder, 'both.pem'), Buffer.concat([made.cert, made.key]))
  // A worker of nginx is not the user that started it.
  chmodSync(folder, 0o755)
  port = await freePort()
  logs = [new LogBook(), new LogBook()]
  relays = await Promise.all(
    logs.map((logger) => createRelay({ port: 0, host: HOST, logger, trustProxy: [HOST], maxClientsPerAddress: 200 })),
  )
})

afterEach(async () => {
  await Promise.all(relays.map((relay) => relay.close()))
  if (child !== undefined && child.exitCode === null) {
    child.kill('SIGTERM')
    await once(child, 'exit')
  }
  child = undefined
  rmSync(folder, { recursive: true })
})

async function freePort(): Promise<number> {
  const server = createServer().listen(0, HOST)
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

/** The example with this test's ports and files in place of those of an installation, each of which it must have. */
function derive(name: string, replacements: [what: string, by: string][]): string {
  let text = readFileSync(new URL(name, DEPLOY), 'utf8')
  const ours: [string, string][] = relays.map((relay, i) => [`relay-${i + 1}:8443`, `${HOST}:${relay.port}`])
  for (const [what, by] of [...ours, ...replacements]) {
    expect(text).toContain(what)
    text = text.replaceAll(what, by)
  }
  const file = join(folder, name)
  writeFileSync(file, text)
  return file
}

async function start(command: string, args: string[]): Promise<void> {
  const started = spawn(command, args, { stdio: ['ignore', 'ignore', 'pipe'] })
  child = started
  let said = ''
  started.stderr.on('data', (bytes: Buffer) => (said += bytes.toString()))
  while (!(await accepts())) {
    if (started.exitCode !== null) throw new Error(`${command} ended with ${started.exitCode}: ${said}`)
  }
}

async function accepts(): Promise<boolean> {
  const socket = connect(port, HOST)
  try {
    await once(socket, 'connect')
    return true
  } catch {
    return false
  } finally {
    socket.destroy()
  }
}

const BALANCERS = {
  nginx: async () => {
    const file = derive('nginx.conf', [
      ['listen 443 ssl', `listen ${HOST}:${port} ssl`],
      ['/etc/peerlog/tls/fullchain.pem', join(folder, 'balancer.pem')],
      ['/etc/peerlog/tls/privkey.pem', join(folder, 'balancer.key')],
      ['worker_processes auto', 'worker_processes 1'],
      [
        'http {',
        `http {\n${['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((of) => `${of}_temp_path ${of};`).join('')}`,
      ],
    ])
    await start('nginx', ['-p', folder, '-c', file, '-g', 'daemon off; pid nginx.pid; error_log stderr;'])
  },
  haproxy: async () => {
    const file = derive('haproxy.cfg', [
      ['maxconn 20000', 'maxconn 1000'],
      ['bind :443', `bind ${HOST}:${port}`],
      ['/etc/peerlog/tls/both.pem', join(folder, 'both.pem')],
    ])
    await start('haproxy', ['-db', '-f', file])
  },
}

/** Two clients on a path; resolves once they have met. */
async function meet(path: string): Promise<[RawClient, RawClient]> {
  const topic = randomBytes(32)
  const open = () => RawClient.open(`wss://${HOST}:${port}${path}`, { ca: cert })
  const [a, b] = [await open(), await open()]
  a.join(topic, 'announce')
  await a.take('joined')
  b.join(topic, 'connect')
  const { channel } = await b.take('peer')
  b.send({ kind: 'data', channel, payload: Buffer.from(path) })
  expect(Buffer.from((await a.take('data')).payload).toString()).toBe(path)
  return [a, b]
}

describe.each(['nginx', 'haproxy'] as const)('%s in front of two relays that are not joined', (name) => {
  test('brings clients of one path to one relay, tells their address, and goes on when a relay leaves', async (context) => {
    if (spawnSync(name, ['-v']).error !== undefined) {
      console.log(`${name} is not installed: its example configuration is not tried`)
      return context.skip(`${name} is not installed`)
    }
    await BALANCERS[name]()
    const pairs = await Promise.all(PATHS.map(meet))
    expect(relays[0]!.stats().channels + relays[1]!.stats().channels).toBe(PATHS.length)
    // So many paths do not all have the same hash.
    await Promise.all(Array.from({ length: 24 }, (_, i) => meet(`/many/${i}`)))
    for (const relay of relays) expect(relay.stats().channels).toBeGreaterThan(0)

    // Not the address that the relays trust.
    const localAddress = '127.0.0.2'
    const spoofed = { ca: cert, localAddress, headers: { 'x-forwarded-for': '198.51.100.1' }, protocols: ['other'] }
    expect((await refusedWith(`wss://${HOST}:${port}/`, spoofed)).status).toBe(400)
    const refused = logs.flatMap((log) => log.about('subprotocol'))
    expect(refused).toMatchObject([{ address: localAddress }])
    expect((await refusedWith(`wss://${HOST}:${port}/metrics`, { ca: cert })).status).toBe(404)

    await relays[0]!.drain()
    const before = relays[1]!.stats().channels
    await Promise.all(PATHS.map(meet))
    expect(relays[1]!.stats().channels).toBe(before + PATHS.length)
    for (const client of pairs.flat()) client.socket.terminate()
  })
})

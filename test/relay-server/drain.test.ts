import { type ChildProcess, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { text } from 'node:stream/consumers'
import { connect as connectTls } from 'node:tls'
import { fileURLToPath } from 'node:url'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { MAX_PAYLOAD_BYTES, SUBPROTOCOL, WINDOW_BYTES, dataCost } from '../../relay-server/src/frames.ts'
import { createRelay } from '../../relay-server/src/index.ts'
import { MIN_DRAIN_STEP_CLIENTS } from '../../relay-server/src/limits.ts'
import { RawClient } from './raw-client.ts'
import { makeCertificate, until } from './support.ts'

const CLI = fileURLToPath(new URL('../../relay-server/dist/cli.js', import.meta.url))
const HOST = '127.0.0.1'
const DRAINED = { code: 1012, reason: 'the relay is draining' }

/** Connects now and asks later, once. */
async function ask(port: number): Promise<(path: string, headers?: string) => Promise<string>> {
  const socket = connect(port, HOST)
  await once(socket, 'connect')
  return (path, headers = 'Connection: close\r\n') => {
    socket.write(`GET ${path} HTTP/1.1\r\nHost: x\r\n${headers}\r\n`)
    return text(socket)
  }
}

describe('drain', () => {
  test('few clients are sent elsewhere at once, and nobody new comes in', async () => {
    const relay = await createRelay({ port: 0, host: HOST, drainTimeoutMs: 60_000 })
    const clients = await Promise.all(Array.from({ length: 5 }, () => RawClient.open(relay.url)))
    const since = performance.now()
    await Promise.all([relay.drain(), relay.drain()])
    expect(performance.now() - since).toBeLessThan(10_000)
    for (const client of clients) expect(await client.closed).toEqual(DRAINED)
    expect(relay.stats()).toMatchObject({ clients: 0, closes: { draining: 5 } })
    await using again = await createRelay({ port: relay.port, host: HOST })
    expect(again.port).toBe(relay.port)
  })

  test('many go in groups; meanwhile /readyz says 503, upgrades get 503, and those who stay are served', async () => {
    const relay = await createRelay({ port: 0, host: HOST, drainTimeoutMs: 2000 })
    const clients = await Promise.all(
      Array.from({ length: 5 * MIN_DRAIN_STEP_CLIENTS }, () => RawClient.open(relay.url)),
    )
    const last = clients.at(-1) as RawClient
    // Connections from before, so that the answers need no more than one turn of the event loop.
    const [ready, alive, late] = await Promise.all([ask(relay.port), ask(relay.port), ask(relay.port)])
    const drained = relay.drain()
    expect(relay.stats().clients).toBe(4 * MIN_DRAIN_STEP_CLIENTS)
    const upgrade = `Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Protocol: ${SUBPROTOCOL}\r\n`
    const [notReady, healthy, refused] = await Promise.all([
      ready('/readyz'),
      alive('/healthz'),
      late('/', upgrade),
      last.settled(),
    ])
    expect(notReady).toMatch(/^HTTP\/1\.1 503 [^]*{"status":"draining"}/)
    expect(healthy).toMatch(/^HTTP\/1\.1 200 /)
    expect(refused).toMatch(/^HTTP\/1\.1 503 [^]*Retry-After: 5\r\n[^]*draining/)
    await drained
    for (const client of clients) expect(await client.closed).toEqual(DRAINED)
    expect(relay.stats().refusals.draining).toBe(1)
  })

  test('ends in time whatever clients do', async () => {
    const relay = await createRelay({
      port: 0,
      host: HOST,
      drainTimeoutMs: 1500,
      maxBytesPerSecond: 16_384,
      burstBytes: 65_536,
    })
    const topic = randomBytes(32)
    // One that does not read and for which much waits, one that is not read from, one with half a frame, one that has
    // not said anything, one that has not finished its request, one that is half closed.
    const [slow, sender] = [await RawClient.open(relay.url), await RawClient.open(relay.url)]
    slow.join(topic, 'announce')
    await slow.take('joined')
    sender.join(topic, 'connect')
    const { channel } = await sender.take('peer')
    await slow.take('peer')
    slow.pause()
    const payload = Buffer.alloc(MAX_PAYLOAD_BYTES)
    for (let i = 0; i < Math.floor(WINDOW_BYTES / dataCost(payload.length)); i++) {
      sender.send({ kind: 'data', channel, payload })
    }
    await until(() => relay.stats().pausedClients === 1)
    const silent = await RawClient.open(relay.url)
    const torn = await RawClient.open(relay.url)
    const raw = (torn.socket as unknown as { _socket: { write(bytes: Buffer): void } })._socket
    raw.write(Buffer.from([0x82, 0xfe, 0x10]))
    const half = connect(relay.port, HOST)
    half.on('error', () => {})
    half.write('GET / HTTP/1.1\r\nHost: x\r\n')
    const ended = connect({ port: relay.port, host: HOST, allowHalfOpen: true })
    ended.on('error', () => {})
    ended.end()
    await Promise.all([once(half, 'connect'), once(ended, 'connect')])
    const since = performance.now()
    await relay.drain()
    // Cut at 1500 ms; the rest is for slow machines.
    expect(performance.now() - since).toBeLessThan(6000)
    expect(await silent.closed).toEqual(DRAINED)
    for (const client of [slow, sender, torn]) client.socket.terminate()
    half.destroy()
    ended.destroy()
  })
})

describe('signals', () => {
  let folder: string
  let child: ChildProcess | undefined
  beforeAll(() => (folder = mkdtempSync(join(tmpdir(), 'peerlog-drain-'))))
  afterAll(() => rmSync(folder, { recursive: true }))
  afterEach(async () => {
    if (child?.exitCode === null && child.signalCode === null) {
      child.kill('SIGKILL')
      await once(child, 'exit')
    }
  })

  /** The relay as a process, and its log as it comes. */
  async function startProcess(...flags: string[]) {
    const started = spawn(process.execPath, [CLI, '--port', '0', '--host', HOST, ...flags])
    child = started
    const lines = createInterface(started.stdout)[Symbol.asyncIterator]()
    const next = async (message: string): Promise<Record<string, unknown>> => {
      for (;;) {
        const { value, done } = await lines.next()
        if (done === true) throw new Error(`ended without "${message}"`)
        const line = JSON.parse(value) as Record<string, unknown>
        if (line.msg === message) return line
      }
    }
    const { url } = (await next('relay is listening')) as { url: string }
    return { process: started, url, next }
  }

  test('SIGTERM drains and ends with 0; the second one ends at once', async () => {
    const { process: relay, url, next } = await startProcess('--drain-timeout', '1h')
    const clients = await Promise.all(Array.from({ length: 2 * MIN_DRAIN_STEP_CLIENTS }, () => RawClient.open(url)))
    // It does not read, so that the drain waits for it.
    clients.at(-1)?.pause()
    relay.kill('SIGTERM')
    await next('relay is draining')
    expect(await clients[0]?.closed).toEqual(DRAINED)
    relay.kill('SIGTERM')
    expect(await once(relay, 'exit')).toEqual([0, null])
    clients.at(-1)?.socket.terminate()
  })

  test('SIGHUP: a new certificate for new connections, old ones go on; a bad one changes nothing', async () => {
    const [first, second] = [makeCertificate(folder, 'first'), makeCertificate(folder, 'second')]
    const [key, cert] = [join(folder, 'tls.key'), join(folder, 'tls.pem')]
    const install = (from: { key: Buffer; cert: Buffer }): void => {
      writeFileSync(key, from.key)
      writeFileSync(cert, from.cert)
    }
    const config = join(folder, 'relay.json')
    const configure = (level: string, more: object = {}): void =>
      writeFileSync(
        config,
        JSON.stringify({ 'log-level': level, 'tls-key': 'tls.key', 'tls-cert': 'tls.pem', ...more }),
      )
    install(first)
    configure('info')
    const { process: relay, url, next } = await startProcess('--config', config)
    const { port } = new URL(url)
    const subject = async (): Promise<unknown> => {
      const socket = connectTls({ port: Number(port), host: HOST, ca: [first.cert, second.cert] })
      await once(socket, 'secureConnect')
      const { CN } = socket.getPeerCertificate().subject
      socket.destroy()
      return CN
    }
    const old = await RawClient.open(url, { ca: first.cert })
    await old.settled()
    expect(await subject()).toBe('first')

    install(second)
    relay.kill('SIGHUP')
    await next('configuration was read again')
    expect(await subject()).toBe('second')
    await old.settled()
    await (await RawClient.open(url, { ca: second.cert })).settled()

    install({ key: first.key, cert: second.cert })
    relay.kill('SIGHUP')
    expect((await next('configuration was not read again: the old one stays')).error).toMatch(
      'not that of the certificate',
    )
    writeFileSync(cert, 'no certificate')
    relay.kill('SIGHUP')
    expect((await next('configuration was not read again: the old one stays')).error).toMatch('Give PEM files')
    expect(await subject()).toBe('second')
    await old.settled()

    install(second)
    configure('debug', { 'max-clients': 7 })
    relay.kill('SIGHUP')
    expect((await next('options have changed that need a restart')).options).toBe('max-clients')
    await next('configuration was read again')
    await subject()
    await RawClient.open(url, { ca: second.cert })
    await next('client connected')
    relay.kill('SIGTERM')
    expect(await once(relay, 'exit')).toEqual([0, null])
  })
})

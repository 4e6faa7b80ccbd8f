import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { type IncomingMessage, get } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type RelayLogger, createRelay } from '../../relay-server/src/index.ts'
import { RawClient } from './raw-client.ts'

const HOST = '127.0.0.1'
const CLI = fileURLToPath(new URL('../../relay-server/dist/cli.js', import.meta.url))

async function fetchText(url: string): Promise<{ status: number | undefined; body: string }> {
  const [response] = (await once(get(url), 'response')) as [IncomingMessage]
  return { status: response.statusCode, body: await text(response) }
}

describe('createRelay', () => {
  test('serves /healthz beside the sockets, and 426 elsewhere', async () => {
    await using relay = await createRelay({ port: 0, host: HOST })
    const client = await RawClient.open(relay.url)
    client.join(new Uint8Array(32), 'both')
    await client.settled()
    const base = relay.url.replace('ws:', 'http:')
    const { status, body } = await fetchText(`${base}/healthz`)
    expect(status).toBe(200)
    expect(JSON.parse(body)).toEqual({ status: 'ok', clients: 1, topics: 1, channels: 0, uptimeSeconds: 0 })
    const other = await fetchText(`${base}/`)
    expect(other.status).toBe(426)
    expect(other.body).toContain('WebSocket')
  })

  test('a wildcard host gives a URL that works, on any path', async () => {
    await using relay = await createRelay({ port: 0 })
    expect(relay.url).toBe(`ws://127.0.0.1:${relay.port}`)
    await (await RawClient.open(`${relay.url}/some/path`)).settled()
  })

  test('closing says goodbye to clients, frees the port, and may be called twice', async () => {
    const relay = await createRelay({ port: 0, host: HOST })
    const client = await RawClient.open(relay.url)
    await client.settled()
    await Promise.all([relay.close(), relay.close()])
    expect(await client.closed).toEqual({ code: 1001, reason: 'the relay is closing' })
    await using again = await createRelay({ port: relay.port, host: HOST })
    expect(again.port).toBe(relay.port)
  })

  test('closing does not wait for clients that do not answer', async () => {
    const relay = await createRelay({ port: 0, host: HOST })
    const client = await RawClient.open(relay.url)
    await client.settled()
    client.pause()
    await relay.close()
    client.socket.terminate()
  })

  test('a port in use, and options that make no sense, are explained', async () => {
    await using relay = await createRelay({ port: 0, host: HOST })
    const taken = createRelay({ port: relay.port, host: HOST })
    await expect(taken).rejects.toThrow(/port \d+ is already in use\. Stop the process .* or choose another port/)
    await expect(taken).rejects.toMatchObject({ code: 'EADDRINUSE' })
    await expect(createRelay({ port: 65_536 })).rejects.toThrow('port must be a whole number from 0 to 65535')
    await expect(createRelay({ port: 0, maxClients: 0 })).rejects.toThrow(RangeError)
    await expect(createRelay({ port: 0, host: '192.0.2.1' })).rejects.toThrow('not an address of this machine')
  })

  test('the log holds neither topics nor cards', async () => {
    const lines: string[] = []
    const keep = (fields: object, message: string): void => void lines.push(JSON.stringify(fields) + message)
    const logger: RelayLogger = { debug: keep, info: keep, warn: keep }
    const relay = await createRelay({ port: 0, host: HOST, logger })
    const client = await RawClient.open(relay.url)
    client.join(Buffer.alloc(32, 'T'), 'both', Buffer.from('CARDCARD'))
    await client.settled()
    client.socket.send(Buffer.from('TTTTTTTTCARDCARD'))
    await client.closed
    await relay.close()
    const log = lines.join('\n')
    expect(log).toContain('client connected')
    expect(log).toContain('malformed frame')
    for (const secret of ['TTTT', 'CARD', Buffer.from('TTTT').toString('hex'), Buffer.from('CARD').toString('hex')]) {
      expect(log).not.toContain(secret)
    }
  })
})

describe('TLS and the command line', () => {
  let folder: string
  let key: string
  let cert: string

  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'peerlog-relay-'))
    key = join(folder, 'key.pem')
    cert = join(folder, 'cert.pem')
    const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=IP:127.0.0.1']
    const make = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2']
    execFileSync('openssl', [...make, '-keyout', key, '-out', cert, ...subject], { stdio: 'ignore' })
  })

  afterAll(() => rmSync(folder, { recursive: true }))

  function run(
    ...flags: string[]
  ): ChildProcess & { output: Promise<string>; errors: Promise<string>; exit: Promise<unknown[]> } {
    const child = spawn(process.execPath, [CLI, ...flags], { stdio: ['ignore', 'pipe', 'pipe'] })
    const exit = once(child, 'exit')
    return Object.assign(child, { output: text(child.stdout), errors: text(child.stderr), exit })
  }

  test('wss:// works', async () => {
    const tls = { key: readFileSync(key), cert: readFileSync(cert) }
    await using relay = await createRelay({ port: 0, host: HOST, tls })
    expect(relay.url).toMatch(/^wss:/)
    const client = await RawClient.open(relay.url, { ca: tls.cert })
    await client.settled()
    expect(relay.stats().clients).toBe(1)
  })

  test.each(['SIGTERM', 'SIGINT'] as const)('the command prints its URL and ends with 0 on %s', async (signal) => {
    const child = spawn(process.execPath, [CLI, '--port', '0', '--host', HOST, '--tls-key', key, '--tls-cert', cert])
    const [line] = (await once(child.stdout, 'data')) as [Buffer]
    const { url } = JSON.parse(line.toString()) as { url: string }
    const client = await RawClient.open(url, { ca: readFileSync(cert) })
    await client.settled()
    child.kill(signal)
    expect(await once(child, 'exit')).toEqual([0, null])
    expect(await client.closed).toEqual({ code: 1012, reason: 'the relay is draining' })
  })

  test('a port in use ends with 1 and says what to do', async () => {
    await using relay = await createRelay({ port: 0, host: HOST })
    const child = run('--port', String(relay.port), '--host', HOST)
    expect(await child.exit).toEqual([1, null])
    expect(await child.errors).toMatch(/already in use\. Stop the process that has it, or choose another port/)
  })

  test.each([
    [['--prot', '0'], 'Did you mean --port?'],
    [['--port', 'many'], '--port is "many": write a whole number from 0 to 65535'],
    [['--port', '70000'], 'from 0 to 65535'],
    [['--log-level', 'loud'], '--log-level is "loud": write one of debug, info, warn, silent'],
    [['--tls-key', 'key.pem'], 'belong together'],
    [['--tls-key', '/nowhere', '--tls-cert', '/nowhere'], 'Give the path of a PEM file'],
    [['extra'], 'too many arguments'],
  ])('%j ends with 2 and a suggestion', async (flags, suggestion) => {
    const child = run(...flags)
    expect(await child.exit).toEqual([2, null])
    expect(await child.errors).toContain(suggestion)
    expect(await child.output).toBe('')
  })
})

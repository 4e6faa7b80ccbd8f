import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { type AddressInfo, type Socket, connect, createServer } from 'node:net'
import { afterEach, describe, expect, test } from 'vitest'
import { DROPS } from '../../relay-server/src/cluster/drops.ts'
import { MAX_FRAME_BYTES, SUBPROTOCOL } from '../../relay-server/src/frames.ts'
import { type Relay, type RelayOptions, createRelay } from '../../relay-server/src/index.ts'
import { MAX_OTHER_CONNECTIONS_PER_ADDRESS, MAX_REFUSAL_LOGS_PER_SECOND } from '../../relay-server/src/limits.ts'
import { CLOSE_REASONS, REFUSAL_REASONS } from '../../relay-server/src/tally.ts'
import { RawClient } from './raw-client.ts'
import { LogBook, fetchText, refusedWith, scrape, sendRaw, until } from './support.ts'

let relay: Relay
let log: LogBook

async function start(options: RelayOptions = {}): Promise<string> {
  log = new LogBook()
  relay = await createRelay({ port: 0, host: '127.0.0.1', logger: log, ...options })
  return relay.url.replace('ws:', 'http:')
}
afterEach(() => relay.close())

const HEAD = 'GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n'
const upgrade = (): string =>
  `${HEAD}Sec-WebSocket-Key: ${randomBytes(16).toString('base64')}\r\nSec-WebSocket-Protocol: ${SUBPROTOCOL}\r\n\r\n`

describe('health, readiness and metrics', () => {
  test('/readyz follows the hook; /healthz only says that the process lives', async () => {
    let ready = false
    const base = await start({ ready: () => ready })
    expect(await fetchText(`${base}/readyz`)).toEqual({ status: 503, body: '{"status":"not ready"}\n' })
    expect(await fetchText(`${base}/healthz`)).toMatchObject({ status: 200 })
    ready = true
    expect(await fetchText(`${base}/readyz`)).toEqual({ status: 200, body: '{"status":"ready"}\n' })
  })

  test('metrics are served where they were asked for, and nowhere else', async () => {
    const base = await start()
    expect((await fetchText(`${base}/metrics`)).status).toBe(426)
    await relay.close()
    const own = await start({ metrics: true })
    expect((await scrape(`${own}/metrics`)).get('peerlog_relay_ready')).toBe(1)
    await relay.close()
    const apart = await start({ metrics: { port: 0 } })
    expect((await fetchText(`${apart}/metrics`)).status).toBe(426)
    expect(relay.metricsUrl).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/metrics$/)
    const metricsUrl = relay.metricsUrl as string
    expect((await scrape(metricsUrl)).get('peerlog_relay_clients')).toBe(0)
    expect((await fetchText(metricsUrl.replace('metrics', 'readyz'))).status).toBe(200)
    expect(await refusedWith(metricsUrl.replace('http', 'ws')).catch(String)).not.toMatchObject({ status: 101 })
  })

  test('a relay whose metrics port is taken does not start, and leaves its own port free', async () => {
    await start()
    const { port } = relay
    const second = createServer().listen(0, '127.0.0.1')
    await once(second, 'listening')
    const own = (second.address() as AddressInfo).port
    second.close()
    await once(second, 'close')
    const options = { port: own, host: '127.0.0.1', metrics: { port } }
    await expect(createRelay(options)).rejects.toThrow(`port ${port} is already in use`)
    await using again = await createRelay({ port: own, host: '127.0.0.1' })
    expect(again.port).toBe(own)
  })

  test('they count what happened', async () => {
    const base = await start({ metrics: true })
    const topic = randomBytes(32)
    const [a, b] = [await RawClient.open(relay.url), await RawClient.open(relay.url)]
    a.join(topic, 'announce')
    await a.take('joined')
    b.join(topic, 'connect')
    const { channel } = await b.take('peer')
    b.send({ kind: 'data', channel, payload: Buffer.alloc(1000) })
    await a.take('data')
    const samples = await scrape(`${base}/metrics`)
    const at = (name: string) => samples.get(`peerlog_relay_${name}`)
    expect([at('clients'), at('topics'), at('channels')]).toEqual([2, 1, 1])
    // JOIN 34 bytes each, DATA with 5 bytes before its payload; JOINED 33, PEER 38 each.
    expect([at('received_frames_total'), at('received_bytes_total')]).toEqual([3, 34 * 2 + 1005])
    expect([at('sent_frames_total'), at('sent_bytes_total')]).toEqual([4, 33 + 38 * 2 + 1005])
    expect(at('forwarded_bytes_total')).toBe(1000)
    expect(at('resident_memory_bytes')).toBeGreaterThan(1e7)
    for (const quantile of ['0.5', '0.99', '1']) {
      expect(at(`event_loop_lag_seconds{quantile="${quantile}"}`)).toBeGreaterThanOrEqual(0)
    }
    for (const reason of REFUSAL_REASONS) expect(at(`refusals_total{reason="${reason}"}`)).toBe(0)
    for (const reason of CLOSE_REASONS) expect(at(`closes_total{reason="${reason}"}`)).toBe(0)
    a.socket.close()
    b.socket.terminate()
    await until(() => relay.stats().clients === 0)
    const after = await scrape(`${base}/metrics`)
    expect(after.get('peerlog_relay_closes_total{reason="left"}')).toBe(1)
    expect(after.get('peerlog_relay_closes_total{reason="lost"}')).toBe(1)
  })
})

describe('what is turned away is counted, logged with a reason, and harms nobody', () => {
  test.each([
    ['plain HTTP', 'GET /index.html HTTP/1.1\r\nHost: x\r\n\r\n', 'plain-http', 426],
    ['what is no HTTP', '\0\0garbage\r\n\r\n', 'bad-request', undefined],
    ['an upgrade to something else', HEAD.replace('websocket', 'h2c') + '\r\n', 'subprotocol', 400],
    ['an upgrade without a key', `${HEAD}Sec-WebSocket-Protocol: ${SUBPROTOCOL}\r\n\r\n`, 'bad-request', 400],
    ['an upgrade of another version', upgrade().replace('Version: 13', 'Version: 1'), 'bad-request', 400],
    ['a head that is too large', `${HEAD}X: ${'x'.repeat(20_000)}\r\n\r\n`, 'bad-request', undefined],
    ['a TCP connection that says nothing', '', 'slow-handshake', undefined],
    ['half a request', HEAD, 'slow-handshake', undefined],
  ] as const)('%s', async (_name, bytes, reason, status) => {
    const base = await start({ metrics: true, handshakeTimeoutMs: 400 })
    const client = await RawClient.open(relay.url)
    await client.settled()
    const answer = await sendRaw(relay.port, bytes)
    if (status !== undefined) expect(answer).toMatch(`HTTP/1.1 ${status} `)
    if (status === 426) expect(answer).toMatch('connect with a WebSocket')
    const samples = await scrape(`${base}/metrics`)
    expect(samples.get(`peerlog_relay_refusals_total{reason="${reason}"}`)).toBe(1)
    expect(log.about(reason)).toMatchObject([{ message: 'refused', address: expect.stringContaining('127.0.0.1') }])
    await client.settled()
  })

  test.each([
    ['an oversized frame', Buffer.alloc(MAX_FRAME_BYTES + 1, 0x21), 'oversize', 1009],
    ['a frame larger than this relay takes', Buffer.alloc(2000, 0x21), 'oversize', 1009],
    ['a malformed frame', Buffer.from('garbage'), 'protocol-error', 1002],
    ['text', 'hello', 'protocol-error', 1003],
  ] as const)('%s', async (_name, message, reason, code) => {
    const base = await start({ metrics: true, maxFrameBytes: 1024 })
    const [bad, client] = [await RawClient.open(relay.url), await RawClient.open(relay.url)]
    bad.socket.send(message)
    expect((await bad.closed).code).toBe(code)
    const samples = await scrape(`${base}/metrics`)
    expect(samples.get(`peerlog_relay_closes_total{reason="${reason}"}`)).toBe(1)
    expect(log.about(reason)).toMatchObject([{ message: 'client closed', text: expect.any(String) }])
    await client.settled()
  })

  test('somebody who knocks all day gets a few lines a second, and a count of the rest', async () => {
    await start()
    const knocks = 40
    await Promise.all(Array.from({ length: knocks }, () => refusedWith(relay.url, { protocols: ['other'] })))
    await relay.close()
    const lines = log.about('subprotocol')
    const leftOut = lines.reduce((sum, line) => sum + ((line.leftOut as number | undefined) ?? 0), 0)
    const listed = lines.filter((line) => line.message === 'refused').length
    expect(listed + leftOut).toBe(knocks)
    expect(listed).toBeGreaterThanOrEqual(MAX_REFUSAL_LOGS_PER_SECOND)
    expect(leftOut).toBeGreaterThan(0)
    expect(relay.stats().refusals.subprotocol).toBe(knocks)
  })

  test('one address can hold only so many connections that are no clients', async () => {
    await start({ handshakeTimeoutMs: 30_000 })
    const client = await RawClient.open(relay.url)
    const hold = async (): Promise<Socket> => {
      const socket = connect(relay.port, '127.0.0.1')
      socket.on('error', () => {})
      await once(socket, 'connect')
      return socket
    }
    const held = await Promise.all(Array.from({ length: MAX_OTHER_CONNECTIONS_PER_ADDRESS }, hold))
    await once((await hold()).resume(), 'close')
    expect(relay.stats().refusals['address-connections']).toBe(1)
    await client.settled()
    for (const socket of held) socket.destroy()
    // The relay hears of it a little later.
    const health = () => fetchText(`${relay.url.replace('ws', 'http')}/healthz`).catch(() => undefined)
    let answer = await health()
    while (answer === undefined) answer = await health()
    expect(answer.status).toBe(200)
  })
})

test('a client that sends nothing for the idle time is closed; one that does is not', async () => {
  await start({ idleTimeoutMs: 300 })
  const [idle, busy] = [await RawClient.open(relay.url), await RawClient.open(relay.url)]
  await idle.settled()
  do {
    await busy.settled()
    await Promise.race([idle.closed, new Promise((resolve) => setTimeout(resolve, 20))])
  } while (idle.socket.readyState === idle.socket.OPEN)
  expect(await idle.closed).toEqual({ code: 4408, reason: 'idle' })
  expect(relay.stats()).toMatchObject({ clients: 1, closes: { idle: 1 } })
})

test('every metric and every reason is in docs/RELAY.md, and no other', async () => {
  // Nobody is there; the metrics are.
  const base = await start({ metrics: true, nats: { servers: ['nats://127.0.0.1:1'] } })
  const text = readFileSync(new URL('../../docs/RELAY.md', import.meta.url), 'utf8')
  const table = (heading: string): string[] => {
    const rows =
      text
        .slice(text.indexOf(`| ${heading} `))
        .split('\n\n')[0]
        ?.split('\n')
        .slice(2) ?? []
    return rows.map((row) => row.split('`')[1] as string).sort()
  }
  const samples = [...(await scrape(`${base}/metrics`)).keys()]
  const names = samples.map((name) => name.replace(/="[^}]*/, ''))
  expect(table('metric')).toEqual([...new Set(names)].sort())
  expect(table('reason of a refusal')).toEqual([...REFUSAL_REASONS].sort())
  expect(table('reason of a close')).toEqual([...CLOSE_REASONS].sort())
  expect(table('reason of a drop')).toEqual([...DROPS].sort())
})

import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { connect } from 'node:net'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { type ClientOptions, WebSocket } from 'ws'
import { type Relay, type RelayOptions, createRelay } from '../../relay-server/src/index.ts'
import {
  MAX_CARDS,
  MAX_CARD_BYTES,
  MAX_FRAME_BYTES,
  MAX_PAYLOAD_BYTES,
  SUBPROTOCOL,
  WINDOW_BYTES,
  dataCost,
} from '../../relay-server/src/frames.ts'
import {
  CONTROL_BACKLOG_BYTES,
  MAX_MISSED_PONGS,
  PING_INTERVAL_MS,
  PING_TURNS,
  REQUESTS_PER_SECOND,
  REQUEST_BURST,
} from '../../relay-server/src/limits.ts'
import { RawClient } from './raw-client.ts'

let relay: Relay
let topic: Buffer

beforeEach(() => {
  topic = randomBytes(32)
})

afterEach(async () => {
  vi.useRealTimers()
  await relay.close()
})

const start = async (options: RelayOptions = {}): Promise<void> => {
  relay = await createRelay({ port: 0, host: '127.0.0.1', ...options })
}
const open = (options?: ClientOptions): Promise<RawClient> => RawClient.open(relay.url, options)

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve))
}

describe('one bad socket is closed and disturbs no other', () => {
  test.each([
    ['garbage', Buffer.from('garbage'), 1002, 'malformed frame'],
    ['an empty message', Buffer.alloc(0), 1002, 'malformed frame'],
    ['text', 'hello', 1003, 'binary messages only'],
    [
      'a frame that only a relay sends',
      Buffer.concat([Buffer.from([0x11]), Buffer.alloc(32)]),
      1002,
      'not a frame for a relay',
    ],
    ['a channel that it never had', Buffer.from('21ffffffffff', 'hex'), 1002, 'no such channel'],
    ['an oversize frame', Buffer.alloc(MAX_FRAME_BYTES + 1, 0x21), 1009, ''],
  ])('%s', async (_name, message, code, reason) => {
    await start()
    const [bad, a, b] = [await open(), await open(), await open()]
    for (const client of [bad, a, b]) client.join(topic, 'both')
    await Promise.all([bad.settled(), a.settled(), b.settled()])
    expect(relay.stats().channels).toBe(3)
    bad.socket.send(message)
    expect(await bad.closed).toEqual({ code, reason })
    await Promise.all([a.take('close'), b.take('close')])
    expect(relay.stats()).toMatchObject({ clients: 2, channels: 1 })
  })

  test('bytes that are no WebSocket, and sockets that are torn off', async () => {
    await start()
    const good = await open()
    const key = randomBytes(16).toString('base64')
    const head = `GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n`
    const upgrade = `${head}Sec-WebSocket-Key: ${key}\r\nSec-WebSocket-Protocol: ${SUBPROTOCOL}\r\n\r\n`
    for (const bytes of ['\0\0\0garbage\r\n\r\n', `${head}\r\n`, `${upgrade}\xff\xff\xff\xff\xff\xff`]) {
      const socket = connect(relay.port, '127.0.0.1')
      socket.on('error', () => {})
      socket.write(bytes, 'latin1')
      socket.resume()
      await once(socket, 'close')
    }
    const torn = connect(relay.port, '127.0.0.1')
    torn.on('error', () => {})
    torn.write(upgrade, () => torn.resetAndDestroy())
    await once(torn, 'close')
    await good.settled()
    await until(() => relay.stats().clients === 1)
  })

  test('a client with another subprotocol, or none, is turned away', async () => {
    await start()
    for (const protocols of [[], ['peerlog-relay.0']]) {
      const socket = new WebSocket(relay.url, protocols)
      socket.on('error', () => {})
      const [, response] = (await once(socket, 'unexpected-response')) as [
        unknown,
        { statusCode: number; destroy(): void },
      ]
      expect(response.statusCode).toBe(400)
      response.destroy()
    }
  })
})

describe('memory', () => {
  test('a client that does not read costs its windows and no more', async () => {
    await start()
    const senders = 32
    const slow = await open()
    slow.join(topic, 'announce')
    await slow.take('joined')
    const clients = await Promise.all(Array.from({ length: senders }, () => open()))
    for (const client of clients) client.join(topic, 'connect')
    for (let i = 0; i < senders; i++) await slow.take('peer')
    slow.pause()
    const payload = Buffer.alloc(MAX_PAYLOAD_BYTES)
    const perWindow = Math.floor(WINDOW_BYTES / dataCost(payload.length))
    await Promise.all(
      clients.map(async (client) => {
        const { channel } = await client.take('peer')
        for (let i = 0; i < perWindow; i++) client.send({ kind: 'data', channel, payload })
        await client.settled()
      }),
    )
    const { bufferedBytes, forwardedBytes } = relay.stats()
    expect(forwardedBytes).toBe(senders * perWindow * payload.length)
    expect(bufferedBytes).toBeGreaterThan(WINDOW_BYTES)
    expect(bufferedBytes).toBeLessThan(senders * WINDOW_BYTES + CONTROL_BACKLOG_BYTES)
    // Those who go and come again find the bytes they left still counted, and the slow one still served.
    for (const client of clients) client.socket.terminate()
    await until(() => relay.stats().clients === 1)
    slow.socket.resume()
    for (let i = 0; i < senders * perWindow; i++) await slow.take('data')
    await slow.settled()
    expect(relay.stats().bufferedBytes).toBe(0)
  })

  test('a client that asks and does not read the answers is dropped', async () => {
    await start()
    const members = await Promise.all(Array.from({ length: MAX_CARDS }, () => open()))
    for (const member of members) member.join(topic, 'announce', Buffer.alloc(MAX_CARD_BYTES))
    await Promise.all(members.map((member) => member.settled()))
    const slow = await open()
    slow.pause()
    const frame = { kind: 'lookup', request: 1, rendezvous: topic } as const
    let most = 0
    for (let i = 0; i < REQUEST_BURST && relay.stats().clients > MAX_CARDS; i++) {
      slow.send(frame)
      if (i % 16 === 0) await new Promise((resolve) => setImmediate(resolve))
      most = Math.max(most, relay.stats().bufferedBytes)
    }
    await until(() => relay.stats().clients === MAX_CARDS)
    expect(most).toBeGreaterThan(0)
    expect(most).toBeLessThan(CONTROL_BACKLOG_BYTES + MAX_FRAME_BYTES)
    await members[0]?.settled()
    slow.socket.terminate()
  })
})

describe('limits', () => {
  test('requests beyond the rate wait, and are answered', async () => {
    await start()
    const client = await open()
    const beyond = REQUESTS_PER_SECOND / 2
    const since = performance.now()
    for (let request = 0; request < REQUEST_BURST + beyond; request++) {
      client.send({ kind: 'lookup', request, rendezvous: topic })
    }
    for (let request = 0; request < REQUEST_BURST + beyond; request++) {
      expect((await client.take('peers')).request).toBe(request)
    }
    await client.settled()
    expect(performance.now() - since).toBeGreaterThan(300)
  })

  test('more topics than allowed are refused, the others stay', async () => {
    await start({ maxTopicsPerClient: 10 })
    const client = await open()
    const card = new Uint8Array(0)
    for (let i = 0; i <= 10; i++) {
      client.send({ kind: 'join', rendezvous: randomBytes(32), announce: false, connect: true, card })
    }
    expect(await client.take('refused')).toMatchObject({
      code: 1,
      text: 'a client may join 10 topics',
    })
    expect(relay.stats()).toMatchObject({ topics: 10, refusals: { 'topic-limit': 1 } })
  })

  test.each([{ maxClients: 2 }, { maxClientsPerAddress: 2 }])('%o: the third is answered 503', async (options) => {
    await start(options)
    const [first] = [await open(), await open()]
    const third = new WebSocket(relay.url, SUBPROTOCOL)
    third.on('error', () => {})
    const [, response] = (await once(third, 'unexpected-response')) as [
      unknown,
      { statusCode: number; destroy(): void },
    ]
    expect(response.statusCode).toBe(503)
    response.destroy()
    first.socket.close()
    await first.closed
    await until(() => relay.stats().clients === 1)
    await (await open()).settled()
  })

  test('a client that answers no pings is dropped', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
    await start()
    const [dead, alive] = [await open({ autoPong: false }), await open()]
    for (const client of [dead, alive]) client.join(topic, 'both')
    await alive.take('peer')
    for (let round = 0; round < MAX_MISSED_PONGS; round++) {
      const pinged = once(alive.socket, 'ping')
      vi.advanceTimersByTime(PING_INTERVAL_MS)
      await pinged
      await alive.settled()
    }
    expect(relay.stats().clients).toBe(2)
    vi.advanceTimersByTime(PING_INTERVAL_MS)
    expect(relay.stats().clients).toBe(1)
    await alive.take('close')
    expect((await dead.closed).code).toBe(1006)
  })

  test('a round of pings is spread over its interval', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
    await start()
    const clients = [await open(), await open(), await open()]
    const pinged: number[] = []
    for (const [n, client] of clients.entries()) client.socket.on('ping', () => pinged.push(n))
    for (let turn = 0; turn < PING_TURNS; turn++) {
      const before = pinged.length
      vi.advanceTimersByTime(PING_INTERVAL_MS / PING_TURNS)
      for (const client of clients) await client.settled()
      expect(pinged.length - before).toBeLessThan(2)
    }
    expect(pinged).toHaveLength(clients.length)
    expect(new Set(pinged).size).toBe(clients.length)
  })

  test('a client that never sends a frame is closed, one that has is not', async () => {
    await start({ handshakeTimeoutMs: 200 })
    const idle = await open()
    const other = await open()
    await other.settled()
    expect(await idle.closed).toEqual({ code: 1008, reason: 'never sent a frame' })
    await other.settled()
    expect(relay.stats()).toMatchObject({ clients: 1, closes: { 'slow-handshake': 1 } })
  })
})

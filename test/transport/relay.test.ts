import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { type Socket, createServer } from 'node:net'
import SecretStream from '@hyperswarm/secret-stream'
import { createRelay } from 'peerlog-relay'
import { MAX_PAYLOAD_BYTES, WINDOW_BYTES, dataCost, decodeFrame } from 'peerlog-relay/frames'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { toHex } from '../../src/base/bytes.ts'
import { MAX_MESSAGE_BYTES } from '../../src/base/limits.ts'
import { ChannelDuplex } from '../../src/transport/relay/channel-duplex.ts'
import { MAX_MISSED_PINGS, RELAY_PING_MS } from '../../src/transport/relay/limits.ts'
import { HandshakeSilence, establish } from '../../src/transport/relay/relay-connection.ts'
import { relayTransport } from '../../src/transport/relay/relay-transport.ts'
import { openCard, rendezvousOf, sealCard } from '../../src/transport/relay/rendezvous.ts'
import { RawClient } from '../relay-server/raw-client.ts'
import { RelayStage, utf8 } from './relay-stage.ts'
import { startTamperingProxy } from './tampering-relay.ts'

const topic = randomBytes(32)
const stage = new RelayStage(topic)

afterEach(() => {
  vi.useRealTimers()
})

describe('relays that come and go', () => {
  test('a relay that is started again on its port is found again, with every topic', async () => {
    const { a, b, nextA, nextB } = await stage.meet()
    const other = randomBytes(32)
    await b.announce(other)
    const [ofOtherA, ofOtherB] = [stage.arrivals(a, other), stage.arrivals(b, other)]
    const before = await Promise.all([nextA(), nextB(), ofOtherA(), ofOtherB()])
    const ends = before.map((connection) => connection.receive())
    await stage.relay.close()
    expect(await Promise.all(ends)).toEqual([null, null, null, null])
    await expect(before[0].send(Buffer.from('x'))).rejects.toMatchObject({ code: 'CLOSED' })
    stage.relay = await createRelay({ port: stage.relay.port, host: '127.0.0.1' })
    const after = await Promise.all([nextA(), nextB(), ofOtherA(), ofOtherB()])
    expect(after.map(({ peerId }) => peerId)).toEqual(before.map(({ peerId }) => peerId))
    await after[0].send(Buffer.from('back'))
    expect(utf8(await after[1].receive())).toBe('back')
    expect((await a.lookup(other)).map(({ id }) => id)).toEqual([toHex(b.publicKey)])
  })

  test('of several relays the first that answers is used', async () => {
    const down = await createRelay({ port: 0, host: '127.0.0.1' })
    await down.close()
    const transport = stage.peer({ urls: [down.url, stage.relay.url] })
    await transport.announce(topic)
    expect(stage.relay.stats().topics).toBe(1)
  })

  test('without a relay announce and lookup time out, with a hint, and an announcement is made up for', async () => {
    await stage.relay.close()
    const transport = stage.peer({ timeoutMs: 200 })
    const expected = {
      code: 'TIMEOUT',
      message: expect.stringMatching(/ECONNREFUSED.*Check that the relay is running/),
    }
    await expect(transport.announce(topic)).rejects.toMatchObject(expected)
    await expect(transport.lookup(topic)).rejects.toMatchObject(expected)
    stage.relay = await createRelay({ port: stage.relay.port, host: '127.0.0.1' })
    const other = stage.peer()
    const next = stage.arrivals(other)
    void stage.arrivals(transport)
    expect((await next()).peerId).toBe(toHex(transport.publicKey))
  })

  test('a relay that hangs is noticed', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
    await using proxy = await startTamperingProxy(stage.relay.url, (_direction, frame) => [frame])
    const { nextA, nextB } = await stage.meet(proxy.url)
    const [a, b] = await Promise.all([nextA(), nextB()])
    proxy.freeze()
    vi.advanceTimersByTime(RELAY_PING_MS * (MAX_MISSED_PINGS + 1))
    expect(await Promise.all([a.receive(), b.receive()])).toEqual([null, null])
    const again = await Promise.all([nextA(), nextB()])
    expect(again.map(({ peerId }) => peerId)).toEqual([a.peerId, b.peerId])
    expect(proxy.connections).toBe(4)
  })

  test('a relay that accepts and says nothing is given up, and disconnect does not wait for it', async () => {
    const sockets = new Set<Socket>()
    const mute = createServer((socket) => sockets.add(socket.on('error', () => {})))
    await once(mute.listen(0, '127.0.0.1'), 'listening')
    const { port } = mute.address() as { port: number }
    const transport = stage.peer({ urls: [`ws://127.0.0.1:${port}`], timeoutMs: 200 })
    await expect(transport.announce(topic)).rejects.toMatchObject({ code: 'TIMEOUT' })
    await transport.disconnect()
    for (const socket of sockets) socket.destroy()
    mute.close()
  })

  test.each([[[]], [['http://relay.example.org']], [['relay.example.org:80']]])('%j is refused', (urls) => {
    expect(() => relayTransport({ urls })).toThrow(expect.objectContaining({ code: 'INVALID_CONFIG' }))
  })
})

describe('peers', () => {
  test('a silent peer times out and keeps nobody from the next', async () => {
    const silent = await RawClient.open(stage.relay.url)
    silent.join(rendezvousOf(topic), 'both')
    await silent.take('joined')
    const [a, b] = [stage.peer({ timeoutMs: 300 }), stage.peer({ timeoutMs: 300 })]
    const next = stage.arrivals(a)
    const { channel } = await silent.take('peer')
    expect((await silent.take('close')).channel).toBe(channel)
    await b.announce(topic)
    void stage.arrivals(b)
    expect((await next()).peerId).toBe(toHex(b.publicKey))
    silent.socket.terminate()
  })

  test.each([1, 3])('a handshake of which frame %i is lost is made again long before it times out', async (lost) => {
    let seen = 0
    await using proxy = await startTamperingProxy(stage.relay.url, (direction, frame) => {
      if (direction === 'to-client' || decodeFrame(Buffer.from(frame))?.kind !== 'data') return [frame]
      return ++seen === lost ? [] : [frame]
    })
    // So long that the test would end before.
    const patient = { urls: [proxy.url], timeoutMs: 600_000 }
    const [a, b] = [stage.peer(patient), stage.peer(patient)]
    await a.announce(topic)
    const [nextA, nextB] = [stage.arrivals(a), stage.arrivals(b)]
    const met = await Promise.all([nextA(), nextB()])
    expect(met.map(({ peerId }) => peerId)).toEqual([b, a].map(({ publicKey }) => toHex(publicKey)))
    expect(seen).toBeGreaterThan(lost)
  })

  test('a handshake ends when the peer falls silent, at whichever end', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] })
    for (const initiator of [true, false]) {
      const channel = new ChannelDuplex({ send: () => {}, congested: false, onceWritable: () => {} }, 1)
      const keyPair = SecretStream.keyPair()
      const outcome = establish({ channel, initiator, topic, keyPair, timeoutMs: 60_000, silenceMs: 1000 }).catch(
        (error: unknown) => error,
      )
      await vi.advanceTimersByTimeAsync(1000)
      expect(await outcome).toBeInstanceOf(HandshakeSilence)
      expect(channel.destroyed).toBe(true)
    }
  })

  test('a peer that means another topic is refused', async () => {
    const keys = [SecretStream.keyPair(), SecretStream.keyPair()]
    const ends: ChannelDuplex[] = []
    const link = (to: number) => ({
      congested: false,
      onceWritable: () => {},
      send: (bytes: Buffer) => {
        const frame = decodeFrame(bytes)
        setImmediate(() => {
          if (frame?.kind === 'data') ends[to]?.receive(Buffer.from(frame.payload))
          else if (frame?.kind === 'close') ends[to]?.endRemotely()
        })
      },
    })
    ends.push(new ChannelDuplex(link(1), 1), new ChannelDuplex(link(0), 1))
    const outcomes = await Promise.allSettled(
      ends.map((channel, i) =>
        establish({
          channel,
          initiator: i === 0,
          topic: i === 0 ? topic : randomBytes(32),
          keyPair: keys[i] as (typeof keys)[number],
          timeoutMs: 5000,
          silenceMs: 5000,
        }),
      ),
    )
    expect(outcomes.map(({ status }) => status)).toEqual(['rejected', 'rejected'])
    expect(String((outcomes.find((o) => o.status === 'rejected') as PromiseRejectedResult).reason)).toMatch(
      /another topic|closed during/,
    )
  })

  test('a peer that comes back at once takes the place of its former self, which nobody has missed yet', async () => {
    const keyPair = SecretStream.keyPair()
    const hub = stage.peer()
    await hub.announce(topic)
    const next = stage.arrivals(hub)
    // What it was paired with stays open, as on an instance that was killed a moment ago.
    const former = await RawClient.open(stage.relay.url)
    former.join(rendezvousOf(topic), 'connect')
    const { channel: number } = await former.take('peer')
    const channel = new ChannelDuplex(
      { congested: false, onceWritable: () => {}, send: (bytes) => former.socket.send(bytes) },
      number,
    )
    former.onFrame = (frame) => {
      if (frame.kind === 'data') channel.receive(Buffer.from(frame.payload))
    }
    await establish({ channel, initiator: true, topic, keyPair, timeoutMs: 5000, silenceMs: 5000 })
    former.onFrame = undefined
    const before = await next()
    expect(before.peerId).toBe(toHex(keyPair.publicKey))
    const toHub = await stage.arrivals(stage.peer({ keyPair }))()
    const after = await next()
    expect(after.peerId).toBe(before.peerId)
    expect(await before.receive()).toBeNull()
    await toHub.send(Buffer.from('back'))
    expect(utf8(await after.receive())).toBe('back')
    channel.destroy()
    former.socket.terminate()
  })

  test('of two sockets with the same key the second replaces the first once, and they do not take turns', async () => {
    const keyPair = SecretStream.keyPair()
    const hub = stage.peer()
    await hub.announce(topic)
    const next = stage.arrivals(hub)
    const nextOfFirst = stage.arrivals(stage.peer({ keyPair }))
    const firstToHub = await nextOfFirst()
    await next()
    const second = stage.peer({ keyPair })
    const toHub = await stage.arrivals(second)()
    const atHub = await next()
    expect(await firstToHub.receive()).toBeNull()
    // It comes back, and is refused.
    expect(await (await nextOfFirst()).receive()).toBeNull()
    await toHub.send(Buffer.from('still the second'))
    expect(utf8(await atHub.receive())).toBe('still the second')
    await second.disconnect()
    const greeting = next().then((connection) => connection.send(Buffer.from('now the first')))
    let got: Uint8Array | null = null
    while (got === null) got = await (await nextOfFirst()).receive()
    expect(utf8(got)).toBe('now the first')
    await greeting
  })

  test('a peer that does not take messages gets a window of them, and the rest when it does', async () => {
    const { a, nextA, nextB } = await stage.meet()
    const [atA, atB] = await Promise.all([nextA(), nextB()])
    const message = randomBytes(10_000)
    const count = Math.ceil((3 * WINDOW_BYTES) / message.length)
    const sending = Promise.all(Array.from({ length: count }, () => atA.send(message)))
    await vi.waitFor(() => expect(stage.relay.stats().forwardedBytes).toBeGreaterThan(WINDOW_BYTES * 0.9), 10_000)
    for (let i = 0; i < 20; i++) await a.lookup(topic)
    expect(stage.relay.stats().forwardedBytes).toBeLessThan(WINDOW_BYTES)
    // toEqual takes long enough over so many bytes for the peers to give each other up.
    for (let i = 0; i < count; i++) expect(message.equals((await atB.receive()) ?? Buffer.of())).toBe(true)
    await sending
  })

  test('a channel says when the other side has too little credit to be heard, and when it has enough again', async () => {
    const sent: unknown[] = []
    const send = (bytes: Buffer): void => void sent.push(decodeFrame(bytes))
    const channel = new ChannelDuplex({ send, congested: false, onceWritable: () => {} }, 5)
    const stalled: boolean[] = []
    channel.onStalled = (now) => stalled.push(now)
    const settled = (): Promise<void> => new Promise((resolve) => setImmediate(() => setImmediate(resolve)))
    channel.hold(WINDOW_BYTES)
    const frames = Math.ceil((0.75 * WINDOW_BYTES) / MAX_PAYLOAD_BYTES)
    for (let i = 0; i < frames; i++) channel.receive(Buffer.alloc(MAX_PAYLOAD_BYTES))
    await settled()
    expect([stalled, sent]).toEqual([[true], []])
    channel.hold(0)
    await settled()
    expect(stalled).toEqual([true, false])
    expect(sent).toEqual([{ kind: 'credit', channel: 5, bytes: frames * dataCost(MAX_PAYLOAD_BYTES) }])
    channel.destroy()
  })

  test('messages that are too large, empty or no bytes are refused and harm nothing', async () => {
    const { nextA, nextB } = await stage.meet()
    const [a, b] = await Promise.all([nextA(), nextB()])
    await expect(a.send(Buffer.alloc(MAX_MESSAGE_BYTES + 1))).rejects.toMatchObject({ code: 'MESSAGE_TOO_LARGE' })
    await expect(a.send(Buffer.alloc(0))).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
    await expect(a.send('text' as never)).rejects.toThrow(TypeError)
    const large = randomBytes(MAX_MESSAGE_BYTES)
    const sent = a.send(large)
    expect(Buffer.compare((await b.receive()) as Uint8Array, large)).toBe(0)
    await sent
  })

  test('a card can be read with the topic only', () => {
    const key = randomBytes(32)
    const card = sealCard(topic, key)
    expect(openCard(topic, card)).toEqual(key)
    expect(openCard(randomBytes(32), card)).toBeNull()
    expect(openCard(topic, card.subarray(1))).toBeNull()
    expect(card.includes(key)).toBe(false)
    expect(sealCard(topic, key)).not.toEqual(card)
  })
})

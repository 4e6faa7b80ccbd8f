import { randomBytes } from 'node:crypto'
import { createRelay } from 'peerlog-relay'
import { decodeFrame } from 'peerlog-relay/frames'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { toHex } from '../../src/base/bytes.ts'
import { CHECK_MS, LONELY_REJOIN_MS, QUIET_MS, REFRESH_MS } from '../../src/transport/relay/limits.ts'
import { SUPERSEDED } from '../../src/transport/transport.ts'
import { RelayStage } from './relay-stage.ts'
import { type TamperingProxy, startTamperingProxy } from './tampering-relay.ts'

const topic = randomBytes(32)
const stage = new RelayStage(topic)
const FAKED: Parameters<typeof vi.useFakeTimers>[0] = { toFake: ['setTimeout', 'clearTimeout', 'performance'] }

let joins = 0
/** What clients have shown as their authorization. */
let shown: (string | undefined)[] = []
let refusal: (authorization: string | undefined) => number | null
let proxies: TamperingProxy[] = []

beforeEach(() => {
  joins = 0
  shown = []
  refusal = () => null
})

afterEach(async () => {
  vi.useRealTimers()
  for (const proxy of proxies.splice(0)) await proxy.close()
})

/** A way to the relay that counts JOINs and looks at tokens. */
async function proxy(): Promise<TamperingProxy> {
  const started = await startTamperingProxy(
    stage.relay.url,
    (direction, frame) => {
      if (direction === 'to-relay' && decodeFrame(Buffer.from(frame))?.kind === 'join') joins++
      return [frame]
    },
    (authorization) => {
      shown.push(authorization)
      return refusal(authorization)
    },
  )
  proxies.push(started)
  return started
}

describe('refresh', () => {
  test('connects at once instead of waiting for the next attempt', async () => {
    const { a, b, nextA, nextB } = await stage.meet()
    const ends = (await Promise.all([nextA(), nextB()])).map((connection) => connection.receive())
    // From here on no timer of theirs fires.
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    await stage.relay.close()
    expect(await Promise.all(ends)).toEqual([null, null])
    stage.relay = await createRelay({ port: stage.relay.port, host: '127.0.0.1' })
    while (stage.relay.stats().clients < 2) {
      for (const peer of [a, b]) peer.refresh?.(topic)
      await new Promise(setImmediate)
    }
    const again = await Promise.all([nextA(), nextB()])
    expect(again.map(({ peerId }) => peerId)).toEqual([toHex(b.publicKey), toHex(a.publicKey)])
  })

  test('asks the relay again, at most so often', async () => {
    vi.useFakeTimers(FAKED)
    const { url } = await proxy()
    const { b, nextA, nextB } = await stage.meet(url)
    await Promise.all([nextA(), nextB()])
    vi.advanceTimersByTime(REFRESH_MS)
    const before = joins
    for (let i = 0; i < 100; i++) b.refresh?.(topic)
    await b.lookup(topic)
    expect(joins - before).toBe(1)
    vi.advanceTimersByTime(REFRESH_MS)
    await b.lookup(topic)
    expect(joins - before).toBe(2)
    vi.advanceTimersByTime(10 * REFRESH_MS)
    await b.lookup(topic)
    expect(joins - before).toBe(2)
  })

  test('gives a relay up that has been silent and does not answer', async () => {
    vi.useFakeTimers(FAKED)
    const way = await proxy()
    const { a, b, nextA, nextB } = await stage.meet(way.url)
    const [atA, atB] = await Promise.all([nextA(), nextB()])
    way.freeze()
    const ends = [atA.receive(), atB.receive()]
    vi.advanceTimersByTime(QUIET_MS)
    for (const peer of [a, b]) peer.refresh?.(topic)
    vi.advanceTimersByTime(CHECK_MS)
    expect(await Promise.all(ends)).toEqual([null, null])
    for (const peer of [a, b]) peer.refresh?.(topic)
    await Promise.all([nextA(), nextB()])
    expect(way.connections).toBe(4)
  })

  test('leaves a relay alone that answers', async () => {
    vi.useFakeTimers(FAKED)
    const way = await proxy()
    const { b, nextA, nextB } = await stage.meet(way.url)
    const [atA, atB] = await Promise.all([nextA(), nextB()])
    vi.advanceTimersByTime(QUIET_MS)
    b.refresh?.(topic)
    await b.lookup(topic)
    vi.advanceTimersByTime(CHECK_MS)
    await new Promise((resolve) => setImmediate(() => setImmediate(resolve)))
    await atB.send(Buffer.from('still here'))
    expect(await atA.receive()).toEqual(Buffer.from('still here'))
    expect(way.connections).toBe(2)
  })

  test('does nothing for a topic that nobody wants, or after the end', async () => {
    const transport = stage.peer()
    transport.refresh?.(topic)
    await transport.disconnect()
    transport.refresh?.(topic)
    expect(stage.relay.stats().clients).toBe(0)
  })
})

describe('suspend', () => {
  test('ends every connection and leaves the relay; resume brings all of it back', async () => {
    const { a, b, nextA, nextB } = await stage.meet()
    const [atA, atB] = await Promise.all([nextA(), nextB()])
    await Promise.all([a.suspend?.(), a.suspend?.()])
    expect(await Promise.all([atA.receive(), atB.receive()])).toEqual([null, null])
    await vi.waitFor(() => expect(stage.relay.stats().clients).toBe(1))
    a.refresh?.(topic)
    await expect(a.lookup(topic)).rejects.toMatchObject({ code: 'TIMEOUT', message: /suspended.*resume/ })
    expect(await b.lookup(topic)).toEqual([])
    expect(stage.relay.stats().clients).toBe(1)
    await Promise.all([a.resume?.(), a.resume?.()])
    const again = await Promise.all([nextA(), nextB()])
    expect(again.map(({ peerId }) => peerId)).toEqual([toHex(b.publicKey), toHex(a.publicKey)])
    expect((await b.lookup(topic)).map(({ id }) => id)).toEqual([toHex(a.publicKey)])
  })

  test('keeps what is asked for meanwhile until resume', async () => {
    const [a, b] = [stage.peer(), stage.peer()]
    await a.suspend?.()
    const announced = a.announce(topic)
    const [nextA, nextB] = [stage.arrivals(a), stage.arrivals(b)]
    await b.lookup(topic)
    expect(stage.relay.stats().clients).toBe(1)
    await a.resume?.()
    await announced
    await Promise.all([nextA(), nextB()])
  })

  test('and disconnect end in peace', async () => {
    const { a, nextA, nextB } = await stage.meet()
    await Promise.all([nextA(), nextB()])
    const suspended = a.suspend?.()
    await Promise.all([a.disconnect(), suspended, a.resume?.()])
    await vi.waitFor(() => expect(stage.relay.stats().clients).toBe(1))
  })
})

test('a connection that is superseded is not made anew, by either side, until somebody asks for it', async () => {
  vi.useFakeTimers(FAKED)
  const { url } = await proxy()
  const { a, b, nextA, nextB } = await stage.meet(url)
  const [atA, atB] = await Promise.all([nextA(), nextB()])
  const before = joins
  await atA.close(SUPERSEDED)
  expect(await atB.receive()).toBeNull()
  vi.advanceTimersByTime(2 * LONELY_REJOIN_MS)
  await Promise.all([a.lookup(topic), b.lookup(topic)])
  expect(joins).toBe(before)
  expect(stage.relay.stats().channels).toBe(0)
  b.refresh?.(topic)
  await Promise.all([nextA(), nextB()])
})

describe('several relays', () => {
  test('clients of one that drains go to the next', async () => {
    const [first, second] = [await proxy(), await proxy()]
    const urls = [first.url, second.url]
    const [a, b] = [stage.peer({ urls }), stage.peer({ urls })]
    await a.announce(topic)
    const [nextA, nextB] = [stage.arrivals(a), stage.arrivals(b)]
    await Promise.all([nextA(), nextB()])
    first.sendAway(1012)
    await Promise.all([nextA(), nextB()])
    expect([first.connections, second.connections]).toEqual([2, 2])
  })
})

describe('tokens', () => {
  test('are shown to the relay; a function is asked before every connection', async () => {
    const way = await proxy()
    refusal = (authorization) => (authorization === `Bearer t${shown.length}` ? null : 401)
    let asked = 0
    const peer = stage.peer({ urls: [way.url], token: async () => `t${++asked}` })
    await peer.announce(topic)
    way.sendAway(4401)
    await vi.waitFor(() => expect(way.connections).toBe(2), 5000)
    expect(shown).toEqual(['Bearer t1', 'Bearer t2'])
    expect(await peer.lookup(topic)).toEqual([])
  })

  test.each([
    [401, undefined, /wants a token \(401\): get one .* relayToken/],
    [401, 'stale', /does not accept the token \(401\): get a new one/],
    [403, undefined, /does not let us in \(403\): ask whoever runs it/],
    [403, 'stale', /token is not good for this \(403\)/],
    [404, undefined, /answers HTTP 404 .* check that the URL/],
  ])('a relay that answers %i to the token %s is told of, with what to do', async (status, token, message) => {
    const { url } = await proxy()
    refusal = () => status
    const peer = stage.peer({ urls: [url], timeoutMs: 300, ...(token === undefined ? {} : { token }) })
    await expect(peer.announce(topic)).rejects.toMatchObject({ code: 'TIMEOUT', message })
    expect(shown[0]).toBe(token === undefined ? undefined : `Bearer ${token}`)
  })

  test.each([
    ['throws', () => Promise.reject(new Error('not logged in')), /relayToken failed: not logged in/],
    ['gives none', () => undefined as never, /relayToken gave no token/],
    ['gives two lines', () => 'a\r\nHost: elsewhere', /relayToken gave no token/],
    ['does not answer', () => new Promise<string>(() => {}), /relayToken did not answer in time/],
  ])('a function that %s is told of', async (_, token, message) => {
    const peer = stage.peer({ token, timeoutMs: 300 })
    await expect(peer.announce(topic)).rejects.toMatchObject({ code: 'TIMEOUT', message })
    expect(stage.relay.stats().clients).toBe(0)
  })

  test('that are none are refused', () => {
    expect(() => stage.peer({ token: 'two words' })).toThrow(expect.objectContaining({ code: 'INVALID_CONFIG' }))
  })
})

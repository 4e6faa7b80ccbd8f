import { randomBytes } from 'node:crypto'
import { MAX_PAYLOAD_BYTES, WINDOW_BYTES, decodeFrame, encodeFrame } from 'peerlog-relay/frames'
import { describe, expect, test, vi } from 'vitest'
import { asBuffer } from '../../src/base/bytes.ts'
import { ChannelDuplex } from '../../src/transport/relay/channel-duplex.ts'
import { rendezvousOf } from '../../src/transport/relay/rendezvous.ts'
import type { Connection } from '../../src/transport/transport.ts'
import { RelayStage, utf8 } from './relay-stage.ts'
import { type TamperHook, startTamperingProxy } from './tampering-relay.ts'

const topic = randomBytes(32)
const stage = new RelayStage(topic)

describe('a hostile relay', () => {
  /** Applies `change` to the n-th DATA frame towards a client from when it is armed, once. */
  function tamperOnce(change: (frame: Uint8Array, next: Uint8Array | null) => Uint8Array[] | null): {
    hook: TamperHook
    arm: () => void
  } {
    let armed = false
    let kept: Uint8Array | null = null
    const hook: TamperHook = (direction, frame) => {
      if (!armed || direction !== 'to-client' || decodeFrame(frame)?.kind !== 'data') return [frame]
      const result = change(kept ?? frame, kept === null ? null : frame)
      if (result === null) {
        kept = Buffer.from(frame)
        return []
      }
      armed = false
      return result
    }
    return { hook, arm: () => (armed = true) }
  }

  const flip = (at: (length: number) => number) => (frame: Uint8Array) => {
    const copy = Buffer.from(frame)
    const index = at(copy.length)
    copy[index] = (copy[index] as number) ^ 1
    return [copy]
  }

  test.each([
    ['flips the last bit of', flip((length) => length - 1)],
    ['flips a bit in the middle of', flip((length) => Math.floor(length / 2))],
    ['makes a message longer in', flip(() => 5)],
    ['drops', () => []],
    ['repeats', (frame: Uint8Array) => [frame, frame]],
    ['reorders', (frame: Uint8Array, next: Uint8Array | null) => (next === null ? null : [next, frame])],
    ['shortens', (frame: Uint8Array) => [frame.subarray(0, frame.length - 1)]],
  ])('that %s a DATA frame causes a new connection and never a wrong message', async (_name, change) => {
    const { hook, arm } = tamperOnce(change)
    await using proxy = await startTamperingProxy(stage.relay.url, hook)
    const { nextA, nextB } = await stage.meet(proxy.url)
    const [a, b] = await Promise.all([nextA(), nextB()])
    const message = (number: number): Buffer => Buffer.from(`message ${number} `.repeat(20))
    await a.send(message(0))
    expect(utf8(await b.receive())).toBe(message(0).toString())
    arm()
    let sent = 1
    const sending = (async () => {
      while (true) {
        await a.send(message(sent++))
        await new Promise((resolve) => setImmediate(resolve))
      }
    })()
    let expected = 1
    for (let got; (got = await b.receive()) !== null; expected++) expect(utf8(got)).toBe(message(expected).toString())
    await expect(sending).rejects.toMatchObject({ code: 'CLOSED' })
    const [again, back] = await Promise.all([nextA(), nextB()])
    expect(again.handshakeHash).not.toEqual(a.handshakeHash)
    await again.send(Buffer.from('once more'))
    expect(utf8(await back.receive())).toBe('once more')
  })

  test('sees neither plaintext, nor topic, nor peer id', async () => {
    const seen: Uint8Array[] = []
    await using proxy = await startTamperingProxy(stage.relay.url, (_direction, frame) => {
      seen.push(Buffer.from(frame))
      return [frame]
    })
    const { a, b, nextA, nextB } = await stage.meet(proxy.url)
    const [atA, atB] = await Promise.all([nextA(), nextB()])
    await atA.send(Buffer.from('a very secret message'))
    await atB.receive()
    await b.lookup(topic)
    const all = Buffer.concat(seen)
    expect(all.includes(rendezvousOf(topic))).toBe(true)
    // The initiator's Noise key is encrypted, and so is the responder's.
    for (const secret of [Buffer.from('secret'), topic, asBuffer(a.publicKey), asBuffer(b.publicKey)]) {
      expect(all.includes(secret)).toBe(false)
    }
  })

  test('cannot pair us with ourselves', async () => {
    const sent: number[] = []
    await using proxy = await startTamperingProxy(stage.relay.url, (direction, frame) => {
      if (direction === 'to-client') return [frame]
      const decoded = decodeFrame(frame)
      if (decoded?.kind !== 'data' && decoded?.kind !== 'close') return [frame]
      sent.push(decoded.channel)
      // Channels 101 and 102 are mirrored into each other.
      const other = decoded.channel === 101 ? 102 : 101
      proxy.inject(encodeFrame({ ...decoded, channel: other }))
      return []
    })
    const transport = stage.peer({ urls: [proxy.url] })
    await transport.announce(topic)
    const seen: Connection[] = []
    const iterating = (async () => {
      for await (const connection of transport.connect(topic)) seen.push(connection)
    })()
    const rendezvous = rendezvousOf(topic)
    await vi.waitFor(async () => expect((await transport.lookup(topic)).length).toBe(0))
    proxy.inject(encodeFrame({ kind: 'peer', channel: 101, initiator: true, rendezvous }))
    proxy.inject(encodeFrame({ kind: 'peer', channel: 102, initiator: false, rendezvous }))
    await vi.waitFor(() => expect(sent.filter((channel) => channel === 101).length).toBeGreaterThanOrEqual(2))
    await transport.lookup(topic)
    await transport.disconnect()
    await iterating
    expect(seen).toEqual([])
  })

  test('that breaks the protocol loses us, and we come back', async () => {
    let broken = false
    await using proxy = await startTamperingProxy(stage.relay.url, (_direction, frame) => {
      if (broken) return [frame]
      broken = true
      return [frame.subarray(0, 1), frame]
    })
    const { nextA, nextB } = await stage.meet(proxy.url)
    await Promise.all([nextA(), nextB()])
    expect(proxy.connections).toBeGreaterThan(2)
  })

  test('that credits too much, sends too much or announces too much ends the channel', () => {
    const cases: ((channel: ChannelDuplex) => void)[] = [
      (channel) => channel.addCredit(1),
      (channel) => {
        for (let i = 0; i < 2 + WINDOW_BYTES / MAX_PAYLOAD_BYTES; i++) channel.receive(Buffer.alloc(MAX_PAYLOAD_BYTES))
      },
      (channel) => channel.receive(Buffer.from('ffffff', 'hex')),
    ]
    for (const abuse of cases) {
      const channel = new ChannelDuplex({ send: () => {}, congested: false, onceWritable: () => {} }, 1)
      abuse(channel)
      expect(channel.destroyed).toBe(true)
    }
  })
})

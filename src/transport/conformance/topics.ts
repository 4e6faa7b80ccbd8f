import assert from 'node:assert/strict'
import type { Connection } from '../transport.ts'
import type { ConformanceCase } from './conformance.ts'
import { meet, newTopic, numbered, numberOf, orElse, sendUntilStalled, talk } from './stage.ts'
import type { Arrivals, Stage } from './stage.ts'

const CHUNK_BYTES: number = 64 * 1024

export function topicCases(): ConformanceCase[] {
  return [
    {
      name: 'two topics of the same peers are two connections with the same peer id',
      run: async (stage) => {
        const [first, second] = await twoTopics(stage)
        assert.equal(first.ab.peerId, second.ab.peerId)
        assert.equal(first.ba.peerId, second.ba.peerId)
        assert.notDeepEqual(first.ab.handshakeHash, second.ab.handshakeHash)
        await first.ab.send(numbered(1))
        await second.ab.send(numbered(2))
        assert.equal(numberOf(await second.ba.receive()), 2)
        assert.equal(numberOf(await first.ba.receive()), 1)
      },
    },
    {
      name: 'a reader that sleeps on one topic does not stall the other',
      run: async (stage) => {
        const [first, second] = await twoTopics(stage)
        const stalled = await sendUntilStalled(first.ab, { messageBytes: CHUNK_BYTES, maxBytes: 16 * 1024 * 1024 })
        const sending = (async () => {
          for (let i = 0; i < 100; i++) await second.ab.send(numbered(i, CHUNK_BYTES))
        })()
        for (let i = 0; i < 100; i++) assert.equal(numberOf(await second.ba.receive()), i)
        await sending
        await talk(second.ab, second.ba)
        for (let i = 0; i < stalled.sent; i++) assert.equal(numberOf(await first.ba.receive()), i)
        await stalled.last
      },
    },
    {
      name: 'ending one topic closes its connections and leaves the other topic alone',
      run: async (stage) => {
        const [first, second] = await twoTopics(stage)
        await first.toA.break()
        assert.equal(await first.ab.receive(), null)
        assert.equal(await first.ba.receive(), null)
        await talk(second.ab, second.ba)
      },
    },
    {
      name: 'an abort ends the iteration without an error and closes its connections; the topic can be taken up again',
      run: async (stage) => {
        const topic = newTopic()
        const [a, b] = [await stage.peer(), await stage.peer()]
        const stop = new AbortController()
        await a.transport.announce(topic)
        const [toB, toA] = [a.connect(topic), b.connect(topic, stop.signal)]
        const { ab, ba } = await meet(toB, toA)
        stop.abort()
        await toA.ended()
        assert.deepEqual(await Promise.all([ab.receive(), ba.receive()]), [null, null])
        const again = await meet(toB, b.connect(topic))
        await talk(again.ab, again.ba)
      },
    },
    {
      name: 'a topic can be taken up again in the very moment it is left',
      run: async (stage) => {
        const topic = newTopic()
        const [a, b] = [await stage.peer(), await stage.peer()]
        const stop = new AbortController()
        await a.transport.announce(topic)
        const [toB, left] = [a.connect(topic), b.connect(topic, stop.signal)]
        const { ab, ba } = await meet(toB, left)
        stop.abort()
        const toA = b.connect(topic)
        await left.ended()
        assert.deepEqual(await Promise.all([ab.receive(), ba.receive()]), [null, null])
        const again = await meet(toB, toA)
        await talk(again.ab, again.ba)
      },
    },
    {
      name: 'without a peer the iteration stays open until it is aborted',
      alone: true,
      run: async (stage) => {
        const peer = await stage.peer()
        const stop = new AbortController()
        const arrivals = peer.connect(newTopic(), stop.signal)
        const ended = arrivals.ended().then(() => 'ended')
        assert.equal(await orElse(ended, 300, 'open'), 'open')
        stop.abort()
        assert.equal(await ended, 'ended')
      },
    },
    {
      name: 'an aborted signal gives an iteration that has ended',
      alone: true,
      run: async (stage) => {
        const peer = await stage.peer()
        await peer.connect(newTopic(), AbortSignal.abort()).ended()
      },
    },
  ]
}

interface Topical {
  toB: Arrivals
  toA: Arrivals
  ab: Connection
  ba: Connection
}

async function twoTopics(stage: Stage): Promise<[Topical, Topical]> {
  const [a, b] = [await stage.peer(), await stage.peer()]
  const connected = [newTopic(), newTopic()].map(async (topic) => {
    await a.transport.announce(topic)
    const [toB, toA] = [a.connect(topic), b.connect(topic)]
    return { toB, toA, ...(await meet(toB, toA)) }
  })
  return (await Promise.all(connected)) as [Topical, Topical]
}

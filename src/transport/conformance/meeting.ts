import assert from 'node:assert/strict'
import type { Connection } from '../transport.ts'
import type { ConformanceCase } from './conformance.ts'
import { bytes, drain, meet, newTopic, same, talk } from './stage.ts'
import type { Arrivals, Peer } from './stage.ts'

/** Milliseconds in which nobody must come where nobody should. */
const QUIET_MS = 1000

export function meetingCases(hubPeers: number): ConformanceCase[] {
  return [
    {
      name: 'lookup finds nobody under a topic that nobody announced',
      alone: true,
      run: async (stage) => {
        const peer = await stage.peer()
        assert.deepEqual(await peer.transport.lookup(newTopic()), [])
      },
    },
    {
      name: 'lookup finds the announced, but not oneself, and says who is connected',
      run: async (stage) => {
        const topic = newTopic()
        const [a, b] = [await stage.peer(), await stage.peer()]
        await Promise.all([a.transport.announce(topic), b.transport.announce(topic)])
        const [ofA, ofB] = [await a.transport.lookup(topic), await b.transport.lookup(topic)]
        assert.equal(ofA.length, 1, 'A finds B alone')
        assert.equal(ofB.length, 1, 'B finds A alone')
        assert.notEqual(ofA[0]?.id, ofB[0]?.id)
        assert.equal(ofA[0]?.connected, false)
        const { ab, ba } = await meet(a.connect(topic), b.connect(topic))
        assert.equal(ab.peerId, ofA[0]?.id)
        assert.equal(ba.peerId, ofB[0]?.id)
        assert.equal((await a.transport.lookup(topic))[0]?.connected, true)
      },
    },
    {
      name: 'both ends agree on who they are, on the handshake and on who began',
      run: async (stage) => {
        const { ab, ba } = await stage.pair()
        assert.match(ab.peerId, /^[0-9a-f]{64}$/)
        assert.match(ba.peerId, /^[0-9a-f]{64}$/)
        assert.notEqual(ab.peerId, ba.peerId)
        assert.equal(ab.handshakeHash.length, 64)
        same(ab.handshakeHash, ba.handshakeHash, 'the handshake hash')
        assert.notEqual(ab.initiator, ba.initiator, 'exactly one side is the initiator')
        await talk(ab, ba)
      },
    },
    {
      name: 'a peer that connects first is found by one that announces later',
      run: async (stage) => {
        const topic = newTopic()
        const [a, b] = [await stage.peer(), await stage.peer()]
        const toA = b.connect(topic)
        const toB = a.connect(topic)
        await a.transport.announce(topic)
        const { ab, ba } = await meet(toB, toA)
        await talk(ab, ba)
      },
    },
    {
      name: 'peers of different topics do not meet',
      run: async (stage) => {
        const stranger = await stage.peer()
        const other = newTopic()
        await stranger.transport.announce(other)
        const arrivals = stranger.connect(other)
        await stage.pair()
        assert.equal(await arrivals.within(QUIET_MS), null)
      },
    },
    {
      name: 'peers that only connect meet the announced one, not each other',
      run: async (stage) => {
        const topic = newTopic()
        const [hub, b, c] = [await stage.peer(), await stage.peer(), await stage.peer()]
        await hub.transport.announce(topic)
        const arrivals = hub.connect(topic)
        const [fromB, fromC] = [b.connect(topic), c.connect(topic)]
        const [bHub, cHub] = [await fromB.next(), await fromC.next()]
        const atHub = [(await arrivals.next()).peerId, (await arrivals.next()).peerId]
        assert.equal(bHub.peerId, cHub.peerId)
        assert.ok(!atHub.includes(bHub.peerId))
        assert.deepEqual(await Promise.all([fromB.within(QUIET_MS), fromC.within(QUIET_MS)]), [null, null])
      },
    },
    hubCase(hubPeers),
  ]
}

function hubCase(hubPeers: number): ConformanceCase {
  const name = `${hubPeers} peers connect to an announced one, and each gets its echo`
  return {
    name,
    ...(hubPeers === 0 ? { skip: 'declared to be too many' } : {}),
    run: async (stage) => {
      const topic = newTopic()
      const hub = await stage.peer()
      await hub.transport.announce(topic)
      void echoAll(hub.connect(topic))
      const peers = await Promise.all(Array.from({ length: hubPeers }, () => stage.peer()))
      const hubs = await Promise.all(peers.map((peer) => echoed(peer, topic)))
      assert.equal(new Set(hubs).size, 1, 'all of them are connected to the same peer')
    },
  }
}

async function echoAll(arrivals: Arrivals): Promise<void> {
  for (let next; (next = await arrivals.next().catch(() => null)) !== null;) void echo(next)
}

async function echo(connection: Connection): Promise<void> {
  for (let message; (message = await connection.receive()) !== null;) {
    await connection.send(message).catch(() => drain(connection))
  }
}

async function echoed(peer: Peer, topic: Uint8Array): Promise<string> {
  const connection = await peer.connect(topic).next()
  const message = bytes(1000)
  await connection.send(message)
  same(await connection.receive(), message, 'the echo')
  return connection.peerId
}

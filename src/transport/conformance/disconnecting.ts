import assert from 'node:assert/strict'
import type { ConformanceCase } from './conformance.ts'
import { bytes, newTopic, numbered, numberOf, orElse, talk } from './stage.ts'

/** Milliseconds for a disconnect, and for what it releases to be gone. */
const DISCONNECT_MS = 8000
/** What comes and goes by itself. */
const FLEETING: ReadonlySet<string> = new Set(['Immediate', 'TickObject', 'Timeout', 'CloseReq'])

export function disconnectCases(): ConformanceCase[] {
  return [
    {
      name: 'disconnecting ends every iteration and is idempotent',
      alone: true,
      run: async (stage) => {
        const peer = await stage.peer()
        const topics = [newTopic(), newTopic()]
        const ended = topics.map((topic) => peer.connect(topic).ended())
        await Promise.all([peer.transport.disconnect(), peer.transport.disconnect(), ...ended])
        await peer.transport.disconnect()
        await peer.connect(newTopic()).ended()
      },
    },
    {
      name: 'disconnecting a transport that was never used is nothing',
      alone: true,
      run: async (stage) => {
        const peer = await stage.peer()
        await peer.transport.disconnect()
      },
    },
    {
      name: 'disconnecting works while announcing and connecting',
      alone: true,
      run: async (stage) => {
        const peer = await stage.peer()
        const topic = newTopic()
        const announced = peer.transport.announce(topic).catch(() => {})
        const ended = peer.connect(topic).ended()
        const done = Promise.all([announced, ended, peer.transport.disconnect()]).then(() => 'done')
        assert.equal(await orElse(done, DISCONNECT_MS, 'hangs'), 'done')
      },
    },
    {
      name: 'disconnecting delivers what was sent, closes the connections and is forgotten by lookup',
      run: async (stage) => {
        const { a, b, ab, ba, topic } = await stage.pair()
        await ab.send(numbered(5))
        await a.transport.disconnect()
        assert.equal(numberOf(await ba.receive()), 5)
        assert.equal(await ba.receive(), null)
        assert.equal(await ab.receive(), null)
        assert.deepEqual(await b.transport.lookup(topic), [])
      },
    },
    {
      name: 'disconnecting does not wait for a peer that does not read',
      run: async (stage) => {
        const { a, ab } = await stage.pair()
        for (let i = 0; i < 100; i++) ab.send(bytes(64 * 1024)).catch(() => {})
        assert.equal(
          await orElse(
            a.transport.disconnect().then(() => 'done'),
            DISCONNECT_MS,
            'hangs',
          ),
          'done',
        )
      },
    },
    {
      name: 'disconnecting releases every socket and timer of the process',
      run: async (stage) => {
        const before = resources()
        const { a, b, ab, ba } = await stage.pair()
        await talk(ab, ba)
        await Promise.all([a.transport.disconnect(), b.transport.disconnect()])
        const deadline = Date.now() + DISCONNECT_MS
        while (leaked(before).length > 0 && Date.now() < deadline)
          await new Promise((resolve) => setTimeout(resolve, 20))
        assert.deepEqual(leaked(before), [])
      },
    },
  ]
}

function resources(): Map<string, number> {
  const counts = new Map<string, number>()
  for (const type of process.getActiveResourcesInfo()) counts.set(type, (counts.get(type) ?? 0) + 1)
  return counts
}

/** Kinds of resources of which there are more now than before. */
function leaked(before: Map<string, number>): string[] {
  return [...resources()]
    .filter(([type, count]) => !FLEETING.has(type) && count > (before.get(type) ?? 0))
    .map(([type]) => type)
}

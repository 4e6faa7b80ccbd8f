import assert from 'node:assert/strict'
import type { Connection } from '../transport.ts'
import type { ConformanceCase } from './conformance.ts'
import { bytes, drain, meet, numberOf, numbered, rejectsWith, talk } from './stage.ts'

export function closingCases(): ConformanceCase[] {
  return [
    {
      name: 'closing by the initiator ends both sides',
      run: async (stage) => {
        const { ab, ba } = await stage.pair()
        await closes(ab.initiator ? ab : ba, ab.initiator ? ba : ab)
      },
    },
    {
      name: 'closing by the other side ends both sides',
      run: async (stage) => {
        const { ab, ba } = await stage.pair()
        await closes(ab.initiator ? ba : ab, ab.initiator ? ab : ba)
      },
    },
    {
      name: 'both sides may close at once, and again',
      run: async (stage) => {
        const { ab, ba } = await stage.pair()
        await Promise.all([ab.close('done'), ba.close('done too'), ab.close()])
        await Promise.all([ab.close(), ba.close(), ab[Symbol.asyncDispose]()])
        assert.deepEqual(await Promise.all([ab.receive(), ba.receive()]), [null, null])
        await Promise.all([rejectsWith('CLOSED', ab.send(bytes(1))), rejectsWith('CLOSED', ba.send(bytes(1)))])
      },
    },
    {
      name: 'what was sent before closing arrives, awaited or not',
      run: async (stage) => {
        const { ab, ba } = await stage.pair()
        const sending = Array.from({ length: 500 }, (_, i) => ab.send(numbered(i, 8000)))
        const reading = drain(ba)
        await ab.close('that was all')
        await Promise.all(sending)
        assert.deepEqual(
          (await reading).map(numberOf),
          Array.from({ length: 500 }, (_, i) => i),
        )
      },
    },
    {
      name: 'a farewell arrives that was sent right before the transport disconnects',
      run: async (stage) => {
        const { a, ab, ba } = await stage.pair()
        const farewell = ab.send(numbered(9))
        const closed = ab.close('going')
        await Promise.all([farewell, closed, a.transport.disconnect()])
        assert.equal(numberOf(await ba.receive()), 9)
        assert.equal(await ba.receive(), null)
      },
    },
    {
      name: 'after closing, what had arrived can still be read, then null for ever',
      run: async (stage) => {
        const { ab, ba } = await stage.pair()
        await ab.send(numbered(1))
        await ab.send(numbered(2))
        assert.equal(numberOf(await ba.receive()), 1)
        await ab.close()
        assert.equal(numberOf(await ba.receive()), 2)
        assert.equal(await ba.receive(), null)
        assert.equal(await ba.receive(), null)
      },
    },
    {
      name: 'a peer that is lost ends the connection and comes back through the same iteration',
      run: async (stage) => {
        const { a, b, toB, ab, topic } = await stage.pair()
        const pending = ab.receive()
        await b.transport.disconnect()
        assert.equal(await pending, null)
        await rejectsWith('CLOSED', ab.send(bytes(1)))
        const again = await stage.peer()
        const fromAgain = again.connect(topic)
        const [here, there] = [await toB.next(), await fromAgain.next()]
        assert.notDeepEqual(here.handshakeHash, ab.handshakeHash, 'another connection, another handshake')
        await here.send(numbered(7))
        assert.equal(numberOf(await there.receive()), 7)
        await a.transport.disconnect()
        assert.equal(await there.receive(), null)
      },
    },
    {
      name: 'a connection that was closed is made anew while both sides still want the topic',
      run: async (stage) => {
        const { toA, toB, ab } = await stage.pair()
        await ab.close('just this one')
        const [again, back] = [await toB.next(), await toA.next()]
        assert.notDeepEqual(again.handshakeHash, ab.handshakeHash)
        await again.send(numbered(3))
        assert.equal(numberOf(await back.receive()), 3)
      },
    },
    {
      name: 'a connection that both sides close at once is made anew',
      run: async (stage) => {
        const { toA, toB, ab, ba } = await stage.pair()
        await Promise.all([ab.close('enough'), ba.close('enough')])
        const { ab: again, ba: back } = await meet(toB, toA)
        assert.notDeepEqual(again.handshakeHash, ab.handshakeHash)
        await talk(again, back)
      },
    },
  ]
}

async function closes(closing: Connection, other: Connection): Promise<void> {
  const pending = [closing.receive(), other.receive()]
  await closing.close('enough')
  assert.deepEqual(await Promise.all(pending), [null, null], 'pending receives resolve to null')
  await Promise.all([rejectsWith('CLOSED', closing.send(bytes(1))), rejectsWith('CLOSED', other.send(bytes(1)))])
  await Promise.all([closing.close(), other.close()])
}

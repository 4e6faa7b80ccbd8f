import assert from 'node:assert/strict'
import { CONNECTION_WINDOW_BYTES, MAX_MESSAGE_BYTES } from '../../base/limits.ts'
import type { Connection } from '../transport.ts'
import type { ConformanceCase } from './conformance.ts'
import { bytes, meet, numbered, numberOf, newTopic, rejectsWith, same, sendUntilStalled, talk } from './stage.ts'

const MESSAGES = 10_000
const CHUNK_BYTES: number = 64 * 1024
/** What may be on the way to a receiver that does not read: the window, a message, and the buffers below. */
const CEILING_BYTES: number = 16 * 1024 * 1024

export function messageCases(): ConformanceCase[] {
  return [
    {
      name: `${MESSAGES} small messages each way arrive in order, awaited or not`,
      run: async (stage) => {
        const { ab, ba } = await stage.pair()
        const awaited = async (): Promise<void> => {
          for (let i = 0; i < MESSAGES; i++) await ab.send(numbered(i))
        }
        const unawaited = Array.from({ length: MESSAGES }, (_, i) => ba.send(numbered(i)))
        await Promise.all([awaited(), ...unawaited, expectNumbers(ba, 0, MESSAGES), expectNumbers(ab, 0, MESSAGES)])
      },
    },
    ...[1, 65_536, MAX_MESSAGE_BYTES].map((length) => ({
      name: `a message of ${length} bytes arrives whole, both ways`,
      run: async (stage: Parameters<ConformanceCase['run']>[0]) => {
        const { ab, ba } = await stage.pair()
        const [there, back] = [bytes(length), bytes(length)]
        const sending = [ab.send(there), ba.send(back)]
        same(await ba.receive(), there, 'there')
        same(await ab.receive(), back, 'back')
        await Promise.all(sending)
        await talk(ab, ba)
      },
    })),
    {
      name: 'an empty and an oversized message are refused, and the connection still works',
      run: async (stage) => {
        const { ab, ba } = await stage.pair()
        await rejectsWith('INVALID_ARGUMENT', ab.send(new Uint8Array(0)))
        await rejectsWith('MESSAGE_TOO_LARGE', ab.send(new Uint8Array(MAX_MESSAGE_BYTES + 1)))
        await talk(ab, ba)
      },
    },
    backpressure(),
    {
      name: 'a peer that never reads or sends does not hold up another',
      run: async (stage) => {
        const topic = newTopic()
        const [hub, silent, lively] = [await stage.peer(), await stage.peer(), await stage.peer()]
        await hub.transport.announce(topic)
        const arrivals = hub.connect(topic)
        const toSilent = (await meet(arrivals, silent.connect(topic))).ab
        const { last } = await sendUntilStalled(toSilent, { messageBytes: CHUNK_BYTES, maxBytes: CEILING_BYTES })
        last.catch(() => {})
        const { ab, ba } = await meet(arrivals, lively.connect(topic))
        const count = Math.ceil((4 * CONNECTION_WINDOW_BYTES) / CHUNK_BYTES)
        await Promise.all([sendNumbers(ab, 0, count), expectNumbers(ba, 0, count)])
        await talk(ab, ba)
      },
    },
  ]
}

function backpressure(): ConformanceCase {
  return {
    name: 'a sender stops while the receiver does not read, and nothing is lost',
    run: async (stage) => {
      const { ab, ba } = await stage.pair()
      const { sent, last } = await sendUntilStalled(ab, { messageBytes: CHUNK_BYTES, maxBytes: CEILING_BYTES })
      assert.ok(
        sent * CHUNK_BYTES >= CONNECTION_WINDOW_BYTES / 2,
        `${sent} messages of 64 KiB are less than the window`,
      )
      await expectNumbers(ba, 0, sent)
      await last
      await talk(ab, ba)
    },
  }
}

async function sendNumbers(connection: Connection, from: number, to: number): Promise<void> {
  for (let i = from; i < to; i++) await connection.send(numbered(i, CHUNK_BYTES))
}

async function expectNumbers(connection: Connection, from: number, to: number): Promise<void> {
  for (let i = from; i < to; i++) assert.equal(numberOf(await connection.receive()), i, 'out of order or lost')
}

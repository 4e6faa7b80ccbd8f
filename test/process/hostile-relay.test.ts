import { createRelay } from 'peerlog-relay'
import { decodeFrame } from 'peerlog-relay/frames'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { deriveDatabaseKeys } from '../../src/event/keys.ts'
import type { Database } from '../../src/index.ts'
import { createTransport, deriveTopic, open, SyncBroadcaster } from '../../src/index.ts'
import { EventStore } from '../../src/store/event-store.ts'
import { combineTransports } from '../../src/transport/paths/paths-transport.ts'
import type { TamperHook } from '../transport/tampering-relay.ts'
import { startTamperingProxy } from '../transport/tampering-relay.ts'
import { Folder } from './replica-process.ts'

// What somebody can do who runs the relay, or knows the topic: a man in the middle before a real relay.

let relay: Awaited<ReturnType<typeof createRelay>>
beforeAll(async () => {
  relay = await createRelay({ port: 0, host: '127.0.0.1' })
})
afterAll(() => relay.close())

const SECRET = new Uint8Array(32).fill(11)

async function untilHas(db: Database, events: number): Promise<void> {
  if (db.position >= events) return
  for await (const event of db.sync.subscribe({ capacity: 100_000 })) {
    if (event.type === 'NodeUpsert' && db.position >= events) return
  }
}

async function lines(db: Database): Promise<string[]> {
  const found: string[] = []
  for await (const event of db.read({ order: 'clock' })) found.push(JSON.stringify(event.data))
  return found
}

test('a relay operator who records everything finds no plaintext, subject or database id', async () => {
  using folder = new Folder()
  const recorded: Buffer[] = []
  await using proxy = await startTamperingProxy(relay.url, (_direction, frame) => {
    recorded.push(Buffer.from(frame))
    return [frame]
  })
  const databaseId = 'a-database-id-worth-hiding'
  const shared = { databaseId, secret: SECRET, transport: { mode: 'relay', relayUrl: proxy.url } } as const
  await using a = await open({ ...shared, path: folder.file('a.db') })
  await using b = await open({ ...shared, path: folder.file('b.db') })
  await a.append('very/private/subject', { note: 'attack at dawn, bring the umbrella' }, { type: 'order' })
  await b.appendMany(Array.from({ length: 500 }, (_, n) => ({ subject: 'very/private/other', data: `umbrella ${n}` })))
  await Promise.all([untilHas(a, 501), untilHas(b, 501)])

  const traffic = Buffer.concat(recorded)
  expect(traffic.length).toBeGreaterThan(20_000)
  const keys = await deriveDatabaseKeys(databaseId, SECRET)
  const topic = deriveTopic(databaseId, keys.topic as Buffer)
  const needles = {
    plaintext: 'umbrella',
    subject: 'private',
    type: 'order',
    databaseId,
    topic: Buffer.from(topic),
    plainTopic: Buffer.from(deriveTopic(databaseId)),
    author: Buffer.from(a.author, 'hex'),
    sealKey: keys.seal as Buffer,
    admissionKey: keys.admission,
  }
  for (const [name, needle] of Object.entries(needles)) {
    expect(traffic.includes(needle), `${name} in the traffic`).toBe(false)
    expect(traffic.includes(Buffer.from(needle).toString('hex')), `${name} in hex`).toBe(false)
  }
})

describe('a relay operator who tampers causes a reconnect, never a wrong or lost event', () => {
  /** Applies `alter` to every so many-th DATA frame, so many times in all. */
  function sometimes(
    times: number,
    alter: (frame: Uint8Array, held: Uint8Array[]) => Uint8Array[],
  ): { hook: TamperHook; count(): number } {
    let seen = 0
    let altered = 0
    const held: Uint8Array[] = []
    return {
      count: () => altered,
      hook: (_direction, frame) => {
        if (decodeFrame(Buffer.from(frame))?.kind !== 'data') return [frame]
        seen++
        if (held.length > 0) return [frame, ...held.splice(0)]
        if (altered >= times || seen % 13 !== 0) return [frame]
        altered++
        return alter(frame, held)
      },
    }
  }

  const flip = (frame: Uint8Array): Uint8Array[] => {
    const copy = Uint8Array.from(frame)
    copy[copy.length - 1] = (copy.at(-1) as number) ^ 0x10
    return [copy]
  }

  test.each([
    ['flips a bit', sometimes(6, flip)],
    ['drops a frame', sometimes(3, () => [])],
    ['repeats a frame', sometimes(6, (frame) => [frame, frame])],
    [
      'swaps two frames',
      sometimes(6, (frame, held) => {
        held.push(Uint8Array.from(frame))
        return []
      }),
    ],
  ])(
    '%s',
    async (_name, { hook, count }) => {
      using folder = new Folder()
      await using proxy = await startTamperingProxy(relay.url, hook)
      const shared = { databaseId: _name, secret: SECRET, transport: { mode: 'relay', relayUrl: proxy.url } } as const
      const a = await open({ ...shared, path: folder.file('a.db') })
      const b = await open({ ...shared, path: folder.file('b.db') })
      const written: string[] = []
      for (let n = 0; n < 60; n++) {
        if (n % 10 === 0) await Promise.all([untilHas(a, 2 * n), untilHas(b, 2 * n)])
        const [x, y] = [`a${n} ${'x'.repeat(20_000)}`, `b${n}`]
        written.push(JSON.stringify(x), JSON.stringify(y))
        await Promise.all([a.append('t', x), b.append('t', y)])
      }
      await Promise.all([untilHas(a, 120), untilHas(b, 120)])
      expect(count()).toBeGreaterThan(0)
      expect((await lines(a)).toSorted()).toEqual(written.toSorted())
      expect(await lines(b)).toEqual(await lines(a))
      expect(b.frontierRoot()).toBe(a.frontierRoot())
      await Promise.all([a.close(), b.close()])
      // Far below the minute after which peers are looked for anyway.
    },
    30_000,
  )
})

test.each([
  ['the wrong secret', new Uint8Array(32).fill(12)],
  ['no secret', undefined],
])(
  'a peer with the right topic and %s gets nothing but a refusal, and the honest side goes on',
  async (_name, wrong) => {
    using folder = new Folder()
    const databaseId = 'guarded'
    const shared = { databaseId, secret: SECRET, transport: { mode: 'relay', relayUrl: relay.url } } as const
    await using honest = await open({ ...shared, path: folder.file('honest.db') })
    await honest.append('t', 'only for members')
    const refused = new Promise((resolve) => honest.sync.once('PeerRefused', resolve))

    const topic = deriveTopic(databaseId, (await deriveDatabaseKeys(databaseId, SECRET)).topic as Buffer)
    const keys = await deriveDatabaseKeys(databaseId, wrong)
    const store = EventStore.open({ path: ':memory:', databaseId, keys })
    const way = createTransport({ mode: 'relay', relayUrl: relay.url })
    const transport = combineTransports([{ transport: way, owned: true }])
    const intruder = new SyncBroadcaster()
    const turnedAway = new Promise((resolve) => intruder.once('PeerRefused', resolve))
    intruder.replicate({ store, topic, admissionKey: keys.admission, transports: [transport] })
    expect(await refused).toMatchObject({ reason: 'not-admitted' })
    expect(await turnedAway).toMatchObject({ reason: 'not-admitted' })
    expect(store.position).toBe(0)
    expect(honest.sync.peers()).toEqual([])

    await using member = await open({ ...shared, path: folder.file('member.db') })
    await untilHas(member, 1)
    expect(await lines(member)).toEqual(['"only for members"'])
    await intruder.close()
    await transport.disconnect()
    store.close()
  },
)

/** What each fault does to the messages of two peers, exactly. */
import { randomBytes } from 'node:crypto'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { CONNECTION_WINDOW_BYTES, MAX_MESSAGE_BYTES } from '../../src/base/limits.ts'
import type { Faults, FaultyTransport } from '../../src/testing.ts'
import { faultyTransport, memoryNetwork } from '../../src/testing.ts'
import type { Connection, Transport } from '../../src/transport/transport.ts'

const TOPIC = randomBytes(32)

interface Side {
  transport: Transport
  next(): Promise<Connection>
}

let network: ReturnType<typeof memoryNetwork>
let ours: FaultyTransport
let theirs: Transport
let toThem: Side
let toUs: Side

function side(transport: Transport): Side {
  const iterator = transport.connect(TOPIC)[Symbol.asyncIterator]()
  return { transport, next: async () => (await iterator.next()).value as Connection }
}

/** The two ends of the next connection; ours is the faulty one. */
async function connected(): Promise<[here: Connection, there: Connection]> {
  const [here, there] = await Promise.all([toThem.next(), toUs.next()])
  expect(here.handshakeHash).toEqual(there.handshakeHash)
  return [here, there]
}

async function start(
  faults: Partial<Faults>,
  options: { seed?: number; datagrams?: boolean; inner?: Transport } = {},
): Promise<void> {
  const { inner = network.createTransport(), ...rest } = options
  ours = faultyTransport(inner, { seed: 1, faults, ...rest })
  theirs = network.createTransport()
  await ours.announce(TOPIC)
  toThem = side(ours)
  toUs = side(theirs)
}

beforeEach(() => {
  network = memoryNetwork()
})

afterEach(async () => {
  await Promise.all([ours.disconnect(), theirs.disconnect()])
})

function sendAll(connection: Connection, numbers: readonly number[]): Promise<PromiseSettledResult<void>[]> {
  return Promise.allSettled(numbers.map((number) => connection.send(Uint8Array.of(number))))
}

async function readAll(connection: Connection): Promise<number[]> {
  const all: number[] = []
  for (let message; (message = await connection.receive()) !== null;) all.push(message[0] as number)
  return all
}

/** What has arrived when everything that was under way has settled. */
async function readSome(connection: Connection, count: number): Promise<number[]> {
  const all: number[] = []
  while (all.length < count) all.push((await connection.receive())?.[0] as number)
  return all
}

/** True if the promise is still pending once all that is due has happened. */
async function pends(promise: Promise<unknown>): Promise<boolean> {
  let settled = false
  promise.then(
    () => (settled = true),
    () => (settled = true),
  )
  for (let i = 0; i < 20; i++) await new Promise((resolve) => setImmediate(resolve))
  return !settled
}

describe('a lost connection', () => {
  test.each(['send', 'receive'] as const)('ends at its message on both sides, on what we %s', async (direction) => {
    await start({ lose: [3], direction })
    const [here, there] = await connected()
    const [from, to] = direction === 'send' ? [here, there] : [there, here]
    const reading = readAll(to)
    const other = readAll(from)
    await sendAll(from, [0, 1, 2, 3, 4, 5])
    const read = await reading
    // What had arrived and was not read is gone, too; what came is the beginning.
    expect(read).toEqual([0, 1, 2].slice(0, read.length))
    expect(await other).toEqual([])
    await expect(here.send(Uint8Array.of(9))).rejects.toMatchObject({ code: 'CLOSED' })
    expect(ours.counts.lose).toBe(1)
    ours.heal()
    const [again, back] = await connected()
    await sendAll(again, [0, 1, 2, 3, 4])
    expect(await readSome(back, 5)).toEqual([0, 1, 2, 3, 4])
  })

  test('comes at the same message for the same seed', async () => {
    const seen: number[][] = []
    for (const seed of [7, 7, 8]) {
      await start({ lose: 0.02, direction: 'send' }, { seed })
      const [here, there] = await connected()
      await sendAll(
        here,
        Array.from({ length: 200 }, (_, i) => i),
      )
      seen.push(await readAll(there))
      await Promise.all([ours.disconnect(), theirs.disconnect()])
    }
    expect(seen[0]).toEqual(seen[1])
    expect(seen[0]).not.toEqual(seen[2])
  })

  test('can be cut by hand, for one peer or all', async () => {
    await start({})
    const [here, there] = await connected()
    ours.cut('another peer')
    await sendAll(here, [1])
    expect(await readSome(there, 1)).toEqual([1])
    ours.cut(here.peerId)
    expect(await Promise.all([here.receive(), there.receive()])).toEqual([null, null])
    expect(ours.counts.cut).toBe(1)
  })
})

describe('delay and bandwidth', () => {
  test('keep the order and take their time', async () => {
    await start({ delayMs: 30, jitterMs: 30, direction: 'send' })
    const [here, there] = await connected()
    const started = performance.now()
    await sendAll(here, [0, 1, 2, 3, 4, 5, 6, 7])
    expect(await readSome(there, 8)).toEqual([0, 1, 2, 3, 4, 5, 6, 7])
    expect(performance.now() - started).toBeGreaterThan(29)
  })

  test('a narrow line is filled as fast as it goes', async () => {
    await start({ bytesPerSecond: 1_000_000, direction: 'receive' })
    const [here, there] = await connected()
    const started = performance.now()
    const sending = Promise.all(Array.from({ length: 10 }, () => there.send(new Uint8Array(10_000))))
    for (let i = 0; i < 10; i++) await here.receive()
    expect(performance.now() - started).toBeGreaterThan(95)
    await sending
  })

  test('what is on the way is delivered before a close, and no timer outlives a disconnect', async () => {
    await start({ delayMs: 20 })
    const [here, there] = await connected()
    void sendAll(here, [1, 2])
    await here.close()
    expect(await readAll(there)).toEqual([1, 2])
    const [again] = await connected()
    const timers = (): number => process.getActiveResourcesInfo().filter((type) => type === 'Timeout').length
    ours.set({ delayMs: 1_000_000 })
    const before = timers()
    void sendAll(again, [1, 2])
    await expect.poll(timers).toBeGreaterThan(before)
    await ours.disconnect()
    await expect.poll(timers).toBeLessThanOrEqual(before)
  })
})

describe('single messages', () => {
  test.each(['drop', 'duplicate', 'reorder'] as const)(
    '%s is refused where messages are no datagrams',
    async (kind) => {
      await start({})
      expect(() => ours.set({ [kind]: 0.5 })).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }))
      expect(() => faultyTransport(network.createTransport(), { seed: 1, faults: { [kind]: [1] } })).toThrow(
        /datagrams/,
      )
    },
  )

  test.each([
    ['drop', [0, 2, 3]],
    ['duplicate', [0, 1, 1, 2, 3]],
    ['reorder', [0, 2, 1, 3]],
  ] as const)('%s does what it says with datagrams', async (kind, expected) => {
    await start({ [kind]: [1], direction: 'send' }, { datagrams: true })
    const [here, there] = await connected()
    await sendAll(here, [0, 1, 2, 3])
    await here.close()
    expect(await readAll(there)).toEqual(expected)
    expect(ours.counts[kind]).toBe(1)
  })
})

describe('a half-open connection', () => {
  test('on what we send: nobody hears us, not even our close, and we hear everything', async () => {
    await start({ vanish: [1], direction: 'send' })
    const [here, there] = await connected()
    await sendAll(here, [0, 1, 2])
    expect(await readSome(there, 1)).toEqual([0])
    const silence = there.receive()
    await sendAll(there, [7])
    expect(await readSome(here, 1)).toEqual([7])
    await here.close()
    expect(await pends(silence)).toBe(true)
    ours.cut()
    expect(await silence).toBeNull()
  })

  test('on what we receive: we hear nothing, not even a close, and are heard', async () => {
    await start({ vanish: [1], direction: 'receive' })
    const [here, there] = await connected()
    await sendAll(there, [0, 1, 2])
    expect(await readSome(here, 1)).toEqual([0])
    await sendAll(here, [7])
    expect(await readSome(there, 1)).toEqual([7])
    const silence = here.receive()
    await there.close()
    expect(await pends(silence)).toBe(true)
    await here.close()
    expect(await silence).toBeNull()
  })

  test('does not survive its healing: what is lost is not skipped in silence', async () => {
    await start({ vanish: [0], direction: 'send' })
    const [here, there] = await connected()
    await sendAll(here, [0])
    ours.heal()
    await sendAll(here, [1])
    expect(await Promise.all([readAll(here), readAll(there)])).toEqual([[], []])
  })
})

describe('stalls', () => {
  test('hold up a sender, then everything goes on', async () => {
    await start({ stall: [1], stallMs: 50, direction: 'send' })
    const [here, there] = await connected()
    await here.send(Uint8Array.of(0))
    const started = performance.now()
    await sendAll(here, [1])
    expect(performance.now() - started).toBeGreaterThan(45)
    expect(await readSome(there, 2)).toEqual([0, 1])
  })

  test('a reader that never reads stops its sender, and nothing is lost when it is healed', async () => {
    await start({ deaf: [1] })
    const [here, there] = await connected()
    const chunk = 64 * 1024
    const count = Math.ceil((4 * CONNECTION_WINDOW_BYTES) / chunk)
    const sending = Array.from({ length: count }, (_, i) => there.send(new Uint8Array(chunk).fill(i)))
    expect(await readSome(here, 1)).toEqual([0])
    expect(await pends(sending.at(-1) as Promise<void>)).toBe(true)
    expect(await pends(here.receive())).toBe(true)
    ours.heal()
    // The pending receive above took one.
    expect(await readSome(here, count - 2)).toEqual(Array.from({ length: count - 2 }, (_, i) => (i + 2) & 255))
    await Promise.all(sending)
  })
})

describe('what nobody sent', () => {
  test.each([
    ['byte', 1],
    ['largest', MAX_MESSAGE_BYTES],
  ] as const)('%s comes before the message whose turn it is', async (kind, length) => {
    await start({ inject: [1], injections: [kind], direction: 'send' })
    const [here, there] = await connected()
    const sending = sendAll(here, [10, 11])
    const lengths = [(await there.receive())?.length, (await there.receive())?.length]
    expect(lengths).toEqual([1, length])
    expect(await there.receive()).toEqual(Uint8Array.of(11))
    await sending
  })

  test('a flipped bit is one bit', async () => {
    await start({ inject: [0], injections: ['flip'], direction: 'receive' })
    const [here, there] = await connected()
    const message = randomBytes(1000)
    await there.send(message)
    const changed = (await here.receive()) as Uint8Array
    const bits = message.map((byte, i) => byte ^ (changed[i] as number)).filter((byte) => byte !== 0)
    expect(bits).toHaveLength(1)
    expect(Math.log2(bits[0] as number) % 1).toBe(0)
  })

  test('an empty and an oversized message are refused, and the connection is as good as before', async () => {
    await start({ inject: 1, injections: ['empty', 'oversize'], direction: 'send' })
    const [here, there] = await connected()
    const numbers = Array.from({ length: 20 }, (_, i) => i)
    await sendAll(here, numbers)
    expect(await readSome(there, 20)).toEqual(numbers)
    expect(ours.counts.inject).toBe(20)
    expect(ours.breaches).toEqual([])
    ours.heal()
    await sendAll(here, [1])
    expect(await readSome(there, 1)).toEqual([1])
  })

  test('a transport that takes what it must refuse is found out', async () => {
    const inner = network.createTransport()
    const careless: Transport = {
      name: 'careless',
      announce: (topic) => inner.announce(topic),
      lookup: (topic) => inner.lookup(topic),
      disconnect: () => inner.disconnect(),
      async *connect(topic, options) {
        for await (const connection of inner.connect(topic, options)) {
          const send = connection.send.bind(connection)
          connection.send = async (message) => {
            if (message.length <= MAX_MESSAGE_BYTES) await send(message)
          }
          yield connection
        }
      },
    }
    await start({ inject: 1, injections: ['oversize'], direction: 'send' }, { inner: careless })
    const [here] = await connected()
    await sendAll(here, [1])
    expect(ours.breaches).toEqual([expect.stringMatching(/MESSAGE_TOO_LARGE/)])
  })
})

describe('connections', () => {
  test('of a storm end as soon as they have come, so many of them', async () => {
    await start({ storm: 2 })
    for (let i = 0; i < 2; i++) {
      const [here, there] = await connected()
      expect(await Promise.all([here.receive(), there.receive()])).toEqual([null, null])
    }
    const [here, there] = await connected()
    await sendAll(here, [1])
    expect(await readSome(there, 1)).toEqual([1])
    expect(ours.counts.storm).toBe(2)
  })

  test('come twice, as the very same', async () => {
    await start({ twice: 1 })
    const [here] = await connected()
    expect(await toThem.next()).toBe(here)
  })
})

test.each([
  [{ lose: 2 }, /from 0 to 1/],
  [{ lose: [-1] }, /numbers of messages/],
  [{ stall: { chance: 0.5 } }, /chance, times/],
  [{ delayMs: -1 }, /milliseconds/],
  [{ delayMs: Infinity }, /milliseconds/],
  [{ bytesPerSecond: 0 }, /above 0/],
  [{ storm: 1.5 }, /number of connections/],
  [{ direction: 'up' }, /'both'/],
  [{ injections: ['bomb'] }, /oversize/],
  [{ earthquake: 1 }, /There are direction/],
])('%j is refused', async (faults, message) => {
  await start({})
  const set = (): void => ours.set(faults as Partial<Faults>)
  expect(set).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT', message: expect.stringMatching(message) }))
  expect(() => faultyTransport(theirs, { seed: 0.5 })).toThrow(/whole number/)
})

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { deriveDatabaseKeys } from '../../src/event/keys.ts'
import { encodeData } from '../../src/event/data.ts'
import { Chance } from '../../src/simulator/chance.ts'
import { Crash, Disk } from '../../src/simulator/disk.ts'
import type { DatagramPacket } from '../../src/simulator/network.ts'
import { Network } from '../../src/simulator/network.ts'
import { Scheduler } from '../../src/simulator/scheduler.ts'
import { GOOD_CONDITIONS } from '../../src/simulator/scenario.ts'
import type { StreamEnd, StreamPacket } from '../../src/simulator/stream.ts'
import { Streams } from '../../src/simulator/streams.ts'
import { linksOf, TOPOLOGIES } from '../../src/simulator/topology.ts'
import { Trace } from '../../src/simulator/trace.ts'
import { EventStore } from '../../src/store/event-store.ts'

describe('the scheduler', () => {
  it('does everything by time, and at the same time in the order in which it was asked for', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(50)), (times) => {
        const scheduler = new Scheduler()
        const done: [number, number][] = []
        for (const [i, at] of times.entries()) scheduler.at(at, () => done.push([scheduler.now, i]))
        while (scheduler.step());
        const expected = times.map((at, i): [number, number] => [at, i]).sort((a, b) => a[0] - b[0] || a[1] - b[1])
        expect(done).toEqual(expected)
      }),
    )
  })

  it('does nothing that was called off', () => {
    const scheduler = new Scheduler()
    scheduler.at(1, () => expect.unreachable()).cancel()
    expect(scheduler.next).toBe(Infinity)
    expect(scheduler.step()).toBe(false)
  })
})

describe('a stream', () => {
  it('delivers every message once and in order over a network that loses, doubles and reorders packets', () => {
    fc.assert(
      fc.property(fc.nat(), fc.array(fc.nat(9000), { maxLength: 40 }), (seed, sizes) => {
        const { scheduler, streams, accepted } = stage(seed, { loss: 0.3, duplication: 0.2, reordering: 0.3 })
        const sent = sizes.map((size, i) => Buffer.alloc(size, i))
        const got: Buffer[] = []
        let closed = 0
        const end = streams[0].dial(1)
        const handlers = { opened: () => {}, writable: () => {}, closed: () => void closed++ }
        accepted.push((other) => {
          other.handlers = { ...handlers, message: (bytes) => got.push(bytes) }
        })
        end.handlers = {
          ...handlers,
          message: () => {},
          opened: () => {
            for (const message of sent) end.send(message)
          },
        }
        while (scheduler.next <= 60_000 && (got.length < sent.length || scheduler.now < 5000) && scheduler.step());
        // Either all of it came, or the stream was given up, and then what came is a beginning of it.
        if (closed === 0) expect(got.length).toBe(sent.length)
        for (const [i, bytes] of got.entries()) expect(bytes.equals(sent[i] as Buffer)).toBe(true)
      }),
      { numRuns: 60 },
    )
  })

  it('is given up by both sides, each in its own time, when the network between them is gone', () => {
    const { scheduler, network, streams, accepted } = stage(1, {})
    const closed: [string, number][] = []
    const handlers = (name: string): NonNullable<StreamEnd['handlers']> => ({
      opened: () => {},
      writable: () => {},
      message: () => {},
      closed: () => closed.push([name, scheduler.now]),
    })
    const ends: StreamEnd[] = []
    accepted.push((other) => {
      other.handlers = handlers('b')
      ends.push(other)
    })
    const end = streams[0].dial(1)
    end.handlers = handlers('a')
    while (scheduler.step());
    network.partition([[0], [1]], 2)
    end.send(Buffer.from('lost'))
    scheduler.in(5000, () => ends[0]?.send(Buffer.from('lost too')))
    while (scheduler.step());
    expect(closed.map(([name]) => name)).toEqual(['a', 'b'])
    expect(closed[1]?.[1]).toBeGreaterThan(closed[0]?.[1] as number)
  })
})

function stage(
  seed: number,
  conditions: Partial<typeof GOOD_CONDITIONS>,
): {
  scheduler: Scheduler
  network: Network<StreamPacket | DatagramPacket>
  streams: [Streams, Streams]
  accepted: ((end: StreamEnd) => void)[]
} {
  const scheduler = new Scheduler()
  const network = new Network<StreamPacket | DatagramPacket>(scheduler, new Chance(seed, 'test'), new Trace(), {
    ...GOOD_CONDITIONS,
    ...conditions,
  })
  const accepted: ((end: StreamEnd) => void)[] = []
  let ids = 0
  const make = (device: number): Streams => {
    const accept = (end: StreamEnd): void => accepted[0]?.(end)
    const streams = new Streams({ device, time: scheduler, network, newId: () => ++ids, accept })
    network.attach(device, (from, packet) => {
      if (packet.kind !== 'datagram') streams.receive(from, packet)
    })
    return streams
  }
  return { scheduler, network, streams: [make(0), make(1)], accepted }
}

describe('a disk', async () => {
  const keys = await deriveDatabaseKeys('disk')
  const open = (disk: Disk): EventStore =>
    EventStore.open({
      path: ':memory:',
      databaseId: 'disk',
      keys,
      authorSeed: Buffer.alloc(32, 1),
      openFile: disk.open,
    })
  const item = { subject: 'a', type: '', data: 1, encoded: encodeData(1) }
  const append = async (store: EventStore): Promise<unknown> => {
    const appended = store.append([item, item])
    store.flush()
    return appended
  }

  it.each([
    ['write', 2],
    ['commit', 2],
    ['told', 4],
  ] as const)('keeps what was committed when the process dies at a %s', async (point, length) => {
    const disk = new Disk(':memory:')
    const store = open(disk)
    await append(store)
    disk.crashAt(point, 1)
    await expect(append(store)).rejects.toBeInstanceOf(Crash)
    // Nothing that is left of the process can change anything.
    await expect(append(store)).rejects.toBeInstanceOf(Crash)
    disk.crash()
    const after = open(disk)
    expect(after.log(after.author)?.mmr.length).toBe(length)
    await append(after)
    expect(after.log(after.author)?.mmr.length).toBe(length + 2)
    disk.end()
  })
})

describe('a topology', () => {
  it('leaves nobody alone, and has every link once', () => {
    for (const topology of TOPOLOGIES) {
      for (let count = 1; count < 12; count++) {
        const links = linksOf(topology, count, new Chance(count, 'links'))
        expect(new Set(links.map(String)).size).toBe(links.length)
        const reached = new Set([0])
        for (let i = 0; i < count; i++) {
          for (const [a, b] of links) if (reached.has(a) || reached.has(b)) reached.add(a).add(b)
        }
        expect(reached.size, `${topology} of ${count}`).toBe(count)
      }
    }
  })
})

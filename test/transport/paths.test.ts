/** Databases over a real DHT and a real relay, whose ways come and go. */
import { once } from 'node:events'
import { createSocket } from 'node:dgram'
import { keyPair as newKeyPair } from 'hypercore-crypto'
import createTestnet from 'hyperdht/testnet.js'
import { createRelay } from 'peerlog-relay'
import { afterEach, describe, expect, it } from 'vitest'
import type { SyncEvent, SyncEventOf } from '../../src/broadcast/sync-event.ts'
import type { Database } from '../../src/database.ts'
import { open } from '../../src/open.ts'
import { memoryNetwork } from '../../src/testing.ts'
import { createTransport } from '../../src/transport/create-transport.ts'
import { combineTransports } from '../../src/transport/paths/paths-transport.ts'
import type { Interfaces } from '../../src/transport/paths/network-watch.ts'
import type { Connection, Transport } from '../../src/transport/transport.ts'
import { Cable } from './cable.ts'

const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

/** A UDP port on which nothing listens. */
async function freePort(): Promise<number> {
  const socket = createSocket('udp4').bind(0, '127.0.0.1')
  await once(socket, 'listening')
  const { port } = socket.address()
  socket.close()
  return port
}

/** What a database tells, in order, and a way to wait for it. */
class Told {
  readonly events: SyncEvent[] = []
  #wake: (() => void)[] = []

  constructor(db: Database) {
    const told = (event: SyncEvent): void => {
      this.events.push(event)
      for (const wake of this.#wake.splice(0)) wake()
    }
    for (const type of ['PeerConnected', 'PathChanged', 'PeerDisconnected', 'NodeUpsert'] as const) {
      db.sync.on(type, told)
    }
  }

  of<T extends SyncEvent['type']>(type: T): SyncEventOf<T>[] {
    return this.events.filter((event) => event.type === type) as SyncEventOf<T>[]
  }

  async until(condition: () => boolean): Promise<void> {
    while (!condition()) await new Promise<void>((resolve) => this.#wake.push(resolve))
  }
}

async function openDb(databaseId: string, transport: Transport | Transport[]): Promise<Database> {
  const db = await open({ databaseId, path: ':memory:', transport })
  cleanups.push(() => db.close())
  return db
}

describe('a database with a direct way and a relay', () => {
  it('goes over the relay while there is no DHT, straight once there is, and over the relay when that is cut', async () => {
    const relay = await createRelay({ port: 0, host: '127.0.0.1' })
    cleanups.push(() => relay.close())
    const port = await freePort()
    const bootstrap = [{ host: '127.0.0.1', port }]
    const cables: Cable[] = []
    const ways = (): Transport[] => {
      const keyPair = newKeyPair()
      const made = [
        new Cable(createTransport({ mode: 'hyperswarm', bootstrap, keyPair })),
        new Cable(createTransport({ mode: 'relay', relayUrl: relay.url, keyPair })),
      ]
      cables.push(made[0] as Cable)
      for (const transport of made) cleanups.push(() => transport.disconnect())
      return made
    }
    const [a, b] = [await openDb('paths', ways()), await openDb('paths', ways())]
    const [toldA, toldB] = [new Told(a), new Told(b)]
    const ids: string[] = []
    const exchange = async (text: string): Promise<void> => {
      const events = await Promise.all([a.append('t', `${text} a`), b.append('t', `${text} b`)])
      ids.push(...events.map(({ id }) => id))
      await Promise.all([toldA, toldB].map((told) => told.until(() => told.of('NodeUpsert').length === ids.length)))
    }
    await Promise.all([toldA, toldB].map((told) => told.until(() => told.of('PeerConnected').length > 0)))
    expect(toldA.of('PeerConnected')).toMatchObject([{ transport: 'relay' }])
    await exchange('over the relay')

    const testnet = await createTestnet(4, { port })
    cleanups.push(() => testnet.destroy())
    const isDirect = (told: Told): boolean => told.of('PathChanged').at(-1)?.transport === 'hyperswarm'
    await Promise.all([toldA, toldB].map((told) => told.until(() => isDirect(told))))
    await exchange('straight')
    for (const db of [a, b]) expect(db.peers()).toMatchObject([{ transport: 'hyperswarm', reason: 'direct' }])

    for (const cable of cables) cable.cut()
    const started = performance.now()
    await exchange('after the cut')
    console.log(`arrived ${Math.round(performance.now() - started)} ms after the cut`)
    for (const told of [toldA, toldB]) {
      await told.until(() => told.of('PathChanged').at(-1)?.transport === 'relay')
      expect(told.of('PeerConnected')).toHaveLength(1)
      expect(told.of('PeerDisconnected')).toEqual([])
      expect(
        told
          .of('NodeUpsert')
          .map(({ id }) => id)
          .toSorted(),
      ).toEqual(ids.toSorted())
      const path = told.of('PathChanged').map(({ transport }) => transport)
      expect(path.filter((transport, i) => transport !== path[i - 1])).toEqual(['hyperswarm', 'relay'])
    }
    expect(a.frontierRoot()).toBe(b.frontierRoot())
  })
})

/** The two ends of one connection over combinations of memory transports. */
async function pair(
  networks: number,
  options: { interfaces?: () => Interfaces; networkPollMs?: number } = {},
): Promise<{ ends: [Connection, Connection]; cables: Cable[][]; transports: Transport[] }> {
  const made = Array.from({ length: networks }, () => memoryNetwork())
  const topic = Buffer.alloc(32, 7)
  const cables: Cable[][] = []
  const transports = [0, 1].map(() => {
    const keyPair = newKeyPair()
    const own = made.map((network) => new Cable(network.createTransport({ keyPair })))
    cables.push(own)
    const transport = combineTransports(
      own.map((cable) => ({ transport: cable, owned: true })),
      options,
    )
    cleanups.push(() => transport.disconnect())
    return transport
  })
  await transports[0]?.announce(topic)
  const ends = transports.map(async (transport) => {
    const { value } = await transport.connect(topic)[Symbol.asyncIterator]().next()
    return value as Connection
  })
  return { ends: (await Promise.all(ends)) as [Connection, Connection], cables, transports }
}

describe('a connection', () => {
  it('goes on over the other transport when one is cut while messages are on their way', async () => {
    const { ends, cables } = await pair(2)
    const [a, b] = ends
    const count = 3000
    const sending = (async () => {
      for (let i = 0; i < count; i++) {
        const message = Buffer.alloc(2000)
        message.writeUInt32BE(i)
        await a.send(message)
        if (i === count / 2) for (const own of cables) own[0]?.cut()
      }
    })()
    for (let i = 0; i < count; i++) expect(Buffer.from((await b.receive()) as Uint8Array).readUInt32BE()).toBe(i)
    await sending
  })

  it('ends when its only transport stays cut', async () => {
    const { ends, cables } = await pair(1)
    for (const own of cables) own[0]?.cut()
    ends[0].send(Buffer.from('lost')).catch(() => {})
    expect(await ends[0].receive()).toBe(null)
    await expect(ends[0].send(Buffer.from('late'))).rejects.toMatchObject({ code: 'CLOSED' })
  })

  it('is tested as soon as the addresses of the machine change', async () => {
    let address = '192.0.2.1'
    const interfaces = (): Interfaces => ({ eth0: [{ address, netmask: '255.255.255.0', mac: '00:00:00:00:00:01' }] })
    let refreshed = (): void => {}
    const { cables } = await pair(1, { interfaces, networkPollMs: 10 })
    const [own] = cables[0] as [Cable]
    const searched = new Promise<void>((resolve) => (refreshed = resolve))
    own.refresh = () => refreshed()
    address = '192.0.2.2'
    await searched
  })
})

describe('a suspended database', () => {
  it('meets nobody, works on, and catches up when it is resumed', async () => {
    const network = memoryNetwork()
    const transports = [network.createTransport(), network.createTransport()]
    for (const transport of transports) cleanups.push(() => transport.disconnect())
    const [a, b] = [
      await openDb('suspended', transports[0] as Transport),
      await openDb('suspended', transports[1] as Transport),
    ]
    const told = new Told(b)
    await told.until(() => told.of('PeerConnected').length === 1)
    await Promise.all([a.suspend(), a.suspend()])
    await told.until(() => told.of('PeerDisconnected').length === 1)
    expect(a.peers()).toEqual([])
    await a.append('t', 'written while suspended')
    await b.append('t', 'written meanwhile')
    expect([a.position, b.position]).toEqual([1, 1])
    await Promise.all([a.resume(), a.resume()])
    await told.until(() => told.of('NodeUpsert').length === 2)
    for await (const event of a.read({ follow: true, limit: 1, local: false }))
      expect(event.data).toBe('written meanwhile')
    await a.close()
    await expect(a.suspend()).rejects.toMatchObject({ code: 'CLOSED' })
  })
})

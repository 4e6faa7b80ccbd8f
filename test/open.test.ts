import createTestnet from 'hyperdht/testnet.js'
import { createRelay } from 'peerlog-relay'
import { expect, test } from 'vitest'
import type { Database, TransportChoice } from '../src/index.ts'
import { open } from '../src/index.ts'
import { memoryNetwork } from '../src/testing.ts'
import { Folder } from './process/replica-process.ts'

function connected(db: Database): Promise<string> {
  return new Promise((resolve) => db.sync.once('PeerConnected', ({ peerId }) => resolve(peerId)))
}

test('a peer is known by one id, on every transport and after a restart', async () => {
  using folder = new Folder()
  const testnet = await createTestnet(4)
  const relay = await createRelay({ port: 0, host: '127.0.0.1' })
  const ways: TransportChoice[] = [
    { mode: 'hyperswarm', bootstrap: testnet.bootstrap },
    { mode: 'relay', relayUrl: relay.url },
  ]
  const ids = new Set<string>()
  for (const transport of ways) {
    const db = await open({ databaseId: 'identity', path: folder.file('a.db'), transport })
    const other = await open({ databaseId: 'identity', path: ':memory:', transport })
    expect(await connected(other)).toBe(db.peerId)
    ids.add(db.peerId)
    await Promise.all([db.close(), other.close()])
  }
  expect(ids.size).toBe(1)
  await relay.close()
  await testnet.destroy()
})

test('a transport that was handed in serves several databases, and is left to its owner', async () => {
  const network = memoryNetwork()
  const [ours, theirs] = [network.createTransport(), network.createTransport()]
  const here = await Promise.all(['x', 'y'].map((id) => open({ databaseId: id, path: ':memory:', transport: ours })))
  const there = await Promise.all(['x', 'y'].map((id) => open({ databaseId: id, path: ':memory:', transport: theirs })))
  await Promise.all(here.map((db, i) => db.append('t', i)))
  for (const [i, db] of there.entries()) {
    for await (const event of db.read({ follow: true, limit: 1 })) expect(event.data).toBe(i)
  }
  await Promise.all(here.map((db) => db.close()))
  // Still usable: the databases were closed, not the transport.
  const again = await open({ databaseId: 'x', path: ':memory:', transport: ours })
  await Promise.all([connected(again), connected(there[0] as Database)])
  await Promise.all([again.close(), ...there.map((db) => db.close())])
  await Promise.all([ours.disconnect(), theirs.disconnect()])
})

test('one file is open once for writing, and as often as one likes for reading', async () => {
  using folder = new Folder()
  const options = { databaseId: 'once', path: folder.file('a.db'), transport: { mode: 'disabled' } } as const
  const db = await open(options)
  await db.append('t', 'kept')
  await expect(open(options)).rejects.toMatchObject({ code: 'LOCKED' })
  const reader = await open({ ...options, readOnly: true })
  for await (const event of reader.read()) expect(event.data).toBe('kept')
  await expect(reader.append('t', 1)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
  await reader.close()
  await db.close()
})

test('reading ends with its signal, its limit or its database', async () => {
  const db = await open({ databaseId: 'ends', path: ':memory:', transport: { mode: 'disabled' } })
  await db.appendMany([1, 2, 3].map((data) => ({ subject: 't', data })))
  const abort = new AbortController()
  const seen: unknown[] = []
  for await (const event of db.read({ follow: true, signal: abort.signal })) {
    seen.push(event.data)
    if (seen.length === 2) abort.abort()
  }
  expect(seen).toEqual([1, 2])
  const following = (async () => {
    const rest: unknown[] = []
    for await (const event of db.read({ follow: true, after: 2 })) rest.push(event.data)
    return rest
  })()
  await db.append('t', 4)
  await db.close()
  expect(await following).toEqual([3, 4])
})

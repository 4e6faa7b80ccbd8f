import fs from 'node:fs'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import {
  everything,
  expectError,
  expectSound,
  fingerprints,
  item,
  openStore,
  otherSecret,
  replicaOf,
  sealed,
  tempFolder,
} from './stores.ts'

const ROOT_1 = '704981561b8740f6e6a5a603fb57bacd177531826b79dd3b99aeea09bfac4ce2'

/** A file as peerlog wrote it with an earlier schema. */
function oldFile(version: number): string {
  const file = path.join(tempFolder(), 'old.db')
  fs.copyFileSync(path.join(import.meta.dirname, 'fixtures', `schema-${version}.db`), file)
  return file
}

describe('a file of an older peerlog', () => {
  it('is brought up to date: the same events, and it goes on', async () => {
    const store = openStore({ path: oldFile(1), keys: sealed, authorSeed: Buffer.alloc(32, 1) })
    expect(store.frontierRoot().toString('hex')).toBe(ROOT_1)
    expect(everything(store)).toHaveLength(90)
    const [event] = await store.append([item('chat', 'on')])
    expect([event?.position, event?.seq]).toEqual([91, 80])
    // What was there counts as delivered, in the order in which it came.
    expect([...store.scan(null, 0, false, 'causal')].flat()).toEqual(everything(store))
    expect([store.end('causal'), store.waiting().size]).toEqual([91, 0])
    expectSound(store)
    expect(replicaOf(store, 5000, { keys: sealed }).frontierRoot()).toEqual(store.frontierRoot())
  })

  it('is left as it is when it is of another secret', () => {
    const path = oldFile(1)
    const folder = path.slice(0, -'/old.db'.length)
    const before = fingerprints(folder)
    expectError('WRONG_SECRET', () => openStore({ path, keys: otherSecret }))
    fs.rmSync(`${path}-lock`)
    expect(fingerprints(folder)).toEqual(before)
  })

  it('is not read before it is: that would change it', () => {
    const path = oldFile(1)
    const error = expectError('OLDER_SCHEMA', () => openStore({ path, keys: sealed, readOnly: true }))
    expect(error.message).toMatch(/schema 1.*reads 2.*Open it once for writing/s)
  })
})

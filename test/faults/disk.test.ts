import { execFileSync, spawnSync } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import { createRelay } from 'peerlog-relay'
import { afterAll, describe, expect, it } from 'vitest'
import type { Database } from '../../src/index.ts'
import { open } from '../../src/index.ts'
import { memoryNetwork } from '../../src/testing.ts'
import {
  everything,
  expectError,
  expectSound,
  fingerprints,
  item,
  openStore,
  sealed,
  SEED,
  tempFolder,
} from '../store/stores.ts'
import { dice } from '../../src/base/dice.ts'
import type { Fault } from './victims.ts'
import { inPairs, noShim, Victim } from './victims.ts'
import { integrity, Ledger } from './ledger.ts'
import { turns } from './scale.ts'

const LIMIT_MS = 300_000
const counts: string[] = []
afterAll(() => console.log(`disks that fail: ${counts.join('; ')}`))

/** A file system of its own on a folder, or null where that can't be had. */
function disk(kibibytes: number): { folder: string; remount(options: string): void; remove(): void } | null {
  const folder = tempFolder()
  const mount = spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${kibibytes}k`, 'tmpfs', folder])
  if (mount.status !== 0) return null
  return {
    folder,
    remount: (options) => void execFileSync('mount', ['-o', `remount,${options}`, folder]),
    remove: () => void execFileSync('umount', [folder]),
  }
}

async function seqs(db: Database): Promise<number[]> {
  const found: number[] = []
  for await (const { seq } of db.read()) found.push(seq)
  return found
}

function until(db: Database, condition: () => boolean): Promise<void> {
  return new Promise((resolve) => {
    const check = (): void => {
      if (!condition()) return
      db.sync.off('NodeUpsert', check)
      db.sync.off('InSync', check)
      resolve()
    }
    db.sync.on('NodeUpsert', check).on('InSync', check)
    check()
  })
}

describe('a disk that is full', () => {
  it(
    'while catching up: says so, stays intact, and goes on once there is room',
    { timeout: LIMIT_MS },
    async (context) => {
      const small = disk(3072)
      if (small === null) return context.skip('needs the right to mount a tmpfs')
      const file = path.join(small.folder, 'test.db')
      const network = memoryNetwork()
      const shared = { databaseId: 'store-test', secret: Buffer.alloc(32, 1) }
      const source = await open({ ...shared, path: ':memory:', transport: network.createTransport() })
      const events = 600
      for (let n = 0; n < events; n += 20) {
        await source.appendMany(
          Array.from({ length: 20 }, (_, i) => ({ subject: 's/a', data: { n: n + i, text: 'x'.repeat(9000) } })),
        )
      }
      const replica = await open({ ...shared, path: file, transport: network.createTransport() })
      try {
        const messages: string[] = []
        const problem = new Promise<void>((resolve) => {
          replica.sync.on('Problem', ({ source: where, message }) => {
            messages.push(`${where}: ${message}`)
            resolve()
          })
        })
        await problem
        const held = replica.position
        expect(held).toBeGreaterThan(20)
        expect(held).toBeLessThan(events)
        // It stands there with what it has, and can be used.
        expect(messages[0]).toMatch(/^store: .*(full|disk)/i)
        expect(await seqs(replica)).toEqual(Array.from({ length: held }, (_, i) => i))
        await expect(replica.appendMany([{ subject: 's/b', data: 'x'.repeat(900_000) }])).rejects.toMatchObject({
          code: 'FILE_UNUSABLE',
        })
        const reader = openStore({ path: file, keys: sealed, readOnly: true })
        expectSound(reader)
        reader.close()
        small.remount('size=64m')
        await until(replica, () => replica.position === events)
        expect(replica.frontierRoot()).toBe(source.frontierRoot())
        await replica.append('s/b', 'there is room')
        await until(source, () => source.position === events + 1)
        await replica.close()
        const store = openStore({ path: file, keys: sealed })
        expectSound(store)
        store.close()
        expect(integrity(file)).toBe('ok')
        counts.push(`full while receiving at ${held} of ${events} events, told ${messages.length} times, then complete`)
      } finally {
        await Promise.all([replica.close(), source.close()])
        small.remove()
      }
    },
  )

  it.skipIf(noShim !== null)(
    `while catching up in a process of its own${noShim === null ? '' : ` (${noShim})`}`,
    { timeout: LIMIT_MS },
    async () => {
      const folder = tempFolder()
      const [sourceFile, file] = ['source', 'replica'].map((name) => {
        fs.mkdirSync(path.join(folder, name))
        return path.join(folder, name, 'test.db')
      }) as [string, string]
      const filled = openStore({ path: sourceFile, keys: sealed })
      for (let n = 0; n < 4000; n += 20)
        await filled.append(Array.from({ length: 20 }, (_, i) => item('s/a', { n: n + i + 10 })))
      filled.close()
      const relay = await createRelay({ port: 0, host: '127.0.0.1' })
      const source = new Victim('replica', { path: sourceFile, relayUrl: relay.url, first: null })
      const fault: Fault = { do: 'full', at: 400, from: 'kept' }
      const replica = new Victim('replica', { path: file, relayUrl: relay.url, first: 0 }, { fault })
      try {
        await replica.until((lines) => lines.some((line) => line.startsWith('problem')))
        const reader = openStore({ path: file, keys: sealed, readOnly: true })
        const held = reader.position
        expect(held).toBeGreaterThan(1)
        expect(held).toBeLessThan(4000)
        expectSound(reader)
        reader.close()
        fs.writeFileSync(path.join(folder, 'replica', 'room'), '')
        await replica.until((lines) => lines.includes('stored 4001'))
        await source.until((lines) => lines.includes('stored 4001'))
        replica.finish()
        source.finish()
        const [{ lines }, theirs] = [await replica.end(), await source.end()]
        expect(lines.at(-1)).toBe(theirs.lines.at(-1))
        const store = openStore({ path: file, keys: sealed })
        expect(everything(store)).toHaveLength(4001)
        expectSound(store)
        counts.push(`full in a process at ${held} of 4001 events, then complete`)
      } finally {
        source.kill()
        replica.kill()
        await relay.close()
      }
    },
  )
})

describe('a file on a disk that can only be read', () => {
  it('is refused and left as it is; a copy elsewhere is the same', async (context) => {
    const small = disk(4096)
    if (small === null) return context.skip('needs the right to mount a tmpfs')
    try {
      const file = path.join(small.folder, 'test.db')
      const store = openStore({ path: file, keys: sealed })
      await store.append([item('s/a', 1)])
      const events = everything(store)
      store.close()
      small.remount('ro')
      const before = fingerprints(small.folder)
      for (const readOnly of [false, true]) {
        const error = expectError('FILE_UNUSABLE', () => openStore({ path: file, keys: sealed, readOnly }))
        expect(error.hint).toMatch(/permissions.*copy it to a folder/)
      }
      expect(fingerprints(small.folder)).toEqual(before)
      const copy = path.join(tempFolder(), 'copy.db')
      fs.copyFileSync(file, copy)
      const reader = openStore({ path: copy, keys: sealed, readOnly: true })
      expect(everything(reader).map(({ id }) => id)).toEqual(events.map(({ id }) => id))
      expectSound(reader)
    } finally {
      small.remove()
    }
  })
})

describe.skipIf(noShim !== null)(`a disk that fails${noShim === null ? '' : ` (${noShim})`}`, () => {
  it.each(['full', 'process'] as const)(
    'at any call: what was refused may be missing, what was acknowledged is there (%s)',
    { timeout: LIMIT_MS },
    async (durability) => {
      const random = dice(SEED + durability.length)
      const totals = { failed: 0, refused: 0, acknowledged: 0, lost: 0, repeated: 0 }
      const points = Array.from({ length: turns(40) }, () => 1 + Math.floor(random() * 250))
      await inPairs(points, async (at) => {
        const file = path.join(tempFolder(), 'test.db')
        const fault: Fault = { do: 'fail', at, from: 'opened' }
        const options = {
          task: 'close',
          path: file,
          durability,
          seed: at,
          first: 1,
          bytes: 300,
          groups: 30,
          shape: 'single',
        } as const
        const { lines } = await new Victim('victim', options, { fault }).end()
        const refused = lines.flatMap((line) => (line.startsWith('refused ') ? [line.slice(8)] : []))
        expect(lines.at(-1)).toBe('closed')
        expect(refused.every((code) => code === 'FILE_UNUSABLE')).toBe(true)
        const ledger = new Ledger()
        ledger.note(lines)
        // One call has failed, and not more than one append for it.
        expect(refused.length).toBeLessThanOrEqual(1)
        expect(ledger.acknowledged + refused.length).toBe(30)
        const store = openStore({ path: file, keys: sealed })
        ledger.audit(store)
        expectSound(store)
        store.close()
        expect(integrity(file)).toBe('ok')
        totals.failed++
        totals.refused += refused.length
        for (const key of ['acknowledged', 'lost', 'repeated'] as const) totals[key] += ledger[key]
      })
      expect(totals.refused).toBeGreaterThan(turns(10))
      counts.push(
        `${durability}: calls failed ${totals.failed}, appends refused ${totals.refused}, ` +
          `acknowledged ${totals.acknowledged}, lost ${totals.lost}, repeated ${totals.repeated}`,
      )
    },
  )
})

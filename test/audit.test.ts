// Two replicas compare what they hold event by event: what one lacks, and what is damaged in its file, is found.
import { copyFileSync } from 'node:fs'
import Database from 'better-sqlite3'
import { expect, it } from 'vitest'
import type { Audit } from '../src/audit.ts'
import { open } from '../src/open.ts'
import { RangeReconciler } from '../src/reconcile/range/range-reconciler.ts'
import { Folder } from './process/replica-process.ts'

const KEY = Buffer.alloc(32, 5)
const transport = { mode: 'disabled' } as const

/** Events that only one of the two holds. */
async function differences(ours: Audit, theirs: Audit): Promise<{ have: string[]; need: string[] }> {
  const [initiator, responder] = [new RangeReconciler(ours.items), new RangeReconciler(theirs.items)]
  const [have, need] = [new Set<Buffer>(), new Set<Buffer>()]
  for (let message: Buffer | null = initiator.initiate(); message !== null;) {
    const answer = responder.receive(message)
    if (answer.type === 'violation' || answer.reply === null) throw new Error('no answer')
    const step = initiator.receive(answer.reply)
    if (step.type === 'violation') throw new Error(step.fault)
    for (const id of step.have) have.add(id)
    for (const id of step.need) need.add(id)
    message = step.reply
  }
  return { have: await ours.eventIds(have), need: await theirs.eventIds(need) }
}

it('finds what only one holds, and what is no longer what was stored', async () => {
  using folder = new Folder()
  const options = { databaseId: 'audited', secret: Buffer.alloc(32, 1), transport }
  const a = await open({ ...options, path: folder.file('a.db') })
  await a.appendMany(Array.from({ length: 3000 }, (_, n) => ({ subject: 'n', data: n })))
  await a.close()
  copyFileSync(folder.file('a.db'), folder.file('b.db'))
  await using again = await open({ ...options, path: folder.file('a.db') })
  const added = await again.append('n', 'later')
  await using b = await open({ ...options, path: folder.file('b.db'), readOnly: true })

  let progress = 0
  const ours = await again.audit({ key: KEY, onProgress: (read, all) => (progress = read / all) })
  expect(progress).toBe(1)
  expect(ours.items.size).toBe(3001)
  expect(await differences(ours, await b.audit({ key: KEY }))).toEqual({ have: [added.id], need: [] })

  await b.close()
  const raw = new Database(folder.file('b.db'))
  const row = raw.prepare('SELECT rowid, * FROM events WHERE rowid = 1500').get() as Record<string, unknown>
  const [column, bytes] = Object.entries(row).find(([, value]) => Buffer.isBuffer(value) && value.length > 60) ?? []
  const damaged = Buffer.from(bytes as Buffer)
  damaged[damaged.length - 1] = (damaged.at(-1) as number) ^ 1
  raw.prepare(`UPDATE events SET ${column} = ? WHERE rowid = 1500`).run(damaged)
  raw.close()
  await using c = await open({ ...options, path: folder.file('b.db'), readOnly: true })
  const found = await differences(ours, await c.audit({ key: KEY }))
  expect(found.have).toHaveLength(2)
  expect(found.need).toHaveLength(1)
  expect(again.get(found.have.find((id) => id !== added.id) as string)?.data).toBe(1499)
})

it('refuses a key of another size, and ends when it is told to', async () => {
  await using db = await open({ databaseId: 'audited', path: ':memory:', transport })
  await db.append('n', 1)
  await expect(db.audit({ key: Buffer.alloc(8) })).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
  await expect(db.audit({ key: KEY, signal: AbortSignal.abort(new Error('enough')) })).rejects.toThrow('enough')
})

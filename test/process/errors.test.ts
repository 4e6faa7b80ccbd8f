import { createHash } from 'node:crypto'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import Sqlite from 'better-sqlite3'
import { expect, test } from 'vitest'
import type { ErrorCode, OpenOptions } from '../../src/index.ts'
import { createTransport, open, PeerlogError } from '../../src/index.ts'
import { Folder } from './replica-process.ts'

// Every error names what is wrong and says what to do, and none changes what was there.

async function failure(run: () => unknown): Promise<Error> {
  try {
    await run()
  } catch (error) {
    return error as Error
  }
  throw new Error('nothing was thrown')
}

async function expectRefusal(run: () => unknown, code: ErrorCode, says: RegExp): Promise<void> {
  const error = await failure(run)
  expect(error).toBeInstanceOf(PeerlogError)
  expect((error as PeerlogError).code).toBe(code)
  expect(error.message).toMatch(says)
  expect((error as PeerlogError).hint, 'says what to do').toBeTruthy()
}

/** Names and contents of all files in a folder. */
function snapshot(folder: Folder): Record<string, string> {
  const names = readdirSync(folder.path).toSorted()
  return Object.fromEntries(
    names.map((name) => [
      name,
      createHash('sha256')
        .update(readFileSync(folder.file(name)))
        .digest('hex'),
    ]),
  )
}

const local = (path: string, more: Partial<OpenOptions> = {}): OpenOptions => ({
  databaseId: 'errors',
  path,
  transport: { mode: 'disabled' },
  ...more,
})

test('transport configurations', async () => {
  const create = (config: object) => () => createTransport(config)
  await expectRefusal(create({ mode: 'carrier-pigeon' }), 'INVALID_CONFIG', /hyperswarm.*relay.*disabled/s)
  await expectRefusal(create({ mode: 'relay' }), 'INVALID_CONFIG', /relayUrl/)
  await expectRefusal(create({ mode: 'relay', relayUrl: 'http://example.org' }), 'INVALID_CONFIG', /ws:\/\//)
  await expectRefusal(create({ mode: 'hyperswarm', timeoutMs: 0 }), 'INVALID_CONFIG', /timeoutMs/)
})

test('a wrong configuration leaves no file behind', async () => {
  using folder = new Folder()
  const options = local(folder.file('x.db'), { transport: { mode: 'relay' } })
  await expectRefusal(() => open(options), 'INVALID_CONFIG', /relayUrl/)
  await expectRefusal(
    () => open({ ...local(folder.file('x.db')), databaseid: 'x' } as never),
    'INVALID_CONFIG',
    /databaseId/,
  )
  expect(snapshot(folder)).toEqual({})
})

test('a path in a folder that does not exist', async () => {
  using folder = new Folder()
  await expectRefusal(() => open(local(folder.file('missing/x.db'))), 'FOLDER_MISSING', /missing.*does not exist/)
  expect(snapshot(folder)).toEqual({})
})

test('a file that is not SQLite, or not of peerlog', async () => {
  using folder = new Folder()
  writeFileSync(folder.file('text.db'), 'Dear diary, '.repeat(100))
  const other = new Sqlite(folder.file('other.db'))
  other.exec('CREATE TABLE t (x); INSERT INTO t VALUES (1)')
  other.close()
  const before = snapshot(folder)
  await expectRefusal(() => open(local(folder.file('text.db'))), 'FOREIGN_FILE', /not a SQLite database/)
  await expectRefusal(() => open(local(folder.file('other.db'))), 'FOREIGN_FILE', /not one of peerlog/)
  expect(snapshot(folder)).toEqual(before)
})

test('the database of another id, or of another secret', async () => {
  using folder = new Folder()
  const db = await open(local(folder.file('x.db')))
  await db.append('t', 1)
  await db.close()
  const before = snapshot(folder)
  await expectRefusal(
    () => open(local(folder.file('x.db'), { databaseId: 'else' })),
    'OTHER_DATABASE',
    /'errors'.*'else'/,
  )
  const secret = new Uint8Array(32)
  await expectRefusal(() => open(local(folder.file('x.db'), { secret })), 'WRONG_SECRET', /another secret/)
  expect(snapshot(folder)['x.db']).toBe(before['x.db'])
  const again = await open(local(folder.file('x.db')))
  expect(again.position).toBe(1)
  await again.close()
})

test('what can not be appended leaves the log as it was', async () => {
  const db = await open(local(':memory:'))
  await db.append('t', 'first')
  const cycle: Record<string, unknown> = {}
  cycle['self'] = cycle
  for (const data of [undefined, () => 1, Symbol('x'), 10n, cycle]) {
    await expectRefusal(() => db.append('t', data), 'INVALID_DATA', /JSON/)
  }
  await expectRefusal(() => db.append('t', 'x'.repeat(1024 * 1024)), 'EVENT_TOO_LARGE', /1048576/)
  for (const subject of ['', '/a', 'a//b', 'a/*', 'a\nb', 'x'.repeat(600)]) {
    await expectRefusal(() => db.append(subject, 1), 'INVALID_ARGUMENT', /subject/)
  }
  await expectRefusal(() => db.append('t', 1, { type: 'x'.repeat(200) }), 'INVALID_ARGUMENT', /type/)
  // One that is wrong in the middle: none of them is stored.
  const many = [1, undefined, 3].map((data) => ({ subject: 't', data }))
  await expectRefusal(() => db.appendMany(many), 'INVALID_DATA', /JSON/)
  expect(await failure(() => db.append(7 as never, 1))).toBeInstanceOf(TypeError)
  expect(db.position).toBe(1)
  await db.append('t', 'second')
  expect(db.position).toBe(2)
  await db.close()
})

test('a closed handle', async () => {
  const db = await open(local(':memory:'))
  const event = await db.append('t', 1)
  await db.close()
  await db.close()
  for (const run of [() => db.append('t', 1), () => db.get(event.id), () => db.read(), () => db.frontier()]) {
    await expectRefusal(run, 'CLOSED', /closed/)
  }
})

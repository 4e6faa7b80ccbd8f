import fs from 'node:fs'
import { hash } from '../base/hash.ts'
import { deriveDatabaseKeys } from '../event/keys.ts'
import type { Database, Event, OpenOptions } from '../index.ts'
import { deriveTopic } from '../topic/topic.ts'
import { bad, type Finding, ok, skipped } from './doctor-check.ts'
import { described } from './failure.ts'
import { counted, localTime, short } from './format.ts'

const FINGERPRINT_BYTES = 8
/** Bytes of a file up to which all of it is read to check it. */
const MAX_CHECKED_BYTES: number = 256 * 1024 * 1024
const AHEAD_MS = 60_000

/** What two sides can compare by phone: equal only if the id is, and the secret. */
export async function fingerprintFindings(
  id: string,
  secret: string | undefined,
  hasRelay: boolean,
): Promise<Finding[]> {
  const keys = await deriveDatabaseKeys(id, secret)
  const topic = keys.topic === null ? deriveTopic(id) : deriveTopic(id, keys.topic)
  const same = 'must be the same on the other side'
  const findings = [
    ok('topic', `${fingerprint('topic', topic)}  ${same}`, { fingerprint: fingerprint('topic', topic) }),
    ok('admission', `${fingerprint('admission', keys.admission)}  ${same}`, {
      fingerprint: fingerprint('admission', keys.admission),
      hasSecret: secret !== undefined,
    }),
  ]
  if (hasRelay) {
    const { rendezvousOf } = await import('../transport/relay/rendezvous.ts')
    const rendezvous = rendezvousOf(topic).toString('hex')
    findings.push(ok('rendezvous', `${rendezvous}  what relays know the topic by`, { rendezvous }))
  }
  return findings
}

/** Groups of four hexadecimal digits that tell nothing of the value to whoever cannot guess it. */
function fingerprint(purpose: string, value: Uint8Array): string {
  const label = Buffer.from(`peerlog fingerprint 1 ${purpose}\0`)
  const digits = hash([label, value]).subarray(0, FINGERPRINT_BYTES).toString('hex')
  return (digits.match(/.{4}/g) as string[]).join(' ')
}

export interface OpenedFile {
  findings: Finding[]
  /** Open with its transports; null if that could not be. */
  db: Database | null
}

/** Looks at the file and opens it, or one in memory if there is none: to compare with peers. */
export async function openFile(options: OpenOptions & { path: string }): Promise<OpenedFile> {
  const { open } = await import('../index.ts')
  const { path } = options
  const size = path === ':memory:' ? undefined : fs.statSync(path, { throwIfNoEntry: false })?.size
  if (size === undefined) {
    const seen = path === ':memory:' ? 'none: everything is in memory' : `there is none at ${path} yet`
    return { findings: [skipped('file', seen)], db: await open({ ...options, path: ':memory:' }) }
  }
  const findings = [ok('file', `${path}, ${(size / 1e6).toFixed(1)} MB`, { path, bytes: size })]
  try {
    const db = await open(options)
    return {
      findings: [...findings, ok('lock', 'no other process writes to it'), ...(await contents(db, path, size))],
      db,
    }
  } catch (error) {
    const { message, code, hint } = described(error)
    if (code !== 'LOCKED') {
      return {
        findings: [...findings, bad('fail', 'open', message, hint ?? 'See docs/RECOVERY.md', { code })],
        db: null,
      }
    }
    const advice = 'Peers are not compared. Stop the other process to have that done too'
    findings.push(bad('warn', 'lock', 'another process has it open', advice, { locked: true }))
    const db = await open({ ...options, readOnly: true })
    findings.push(...(await contents(db, path, size)))
    await db.close()
    return { findings, db: null }
  }
}

async function contents(db: Database, path: string, size: number): Promise<Finding[]> {
  const frontier = db.frontier()
  const missing = [...db.missing().values()].reduce((sum, count) => sum + count, 0)
  const events = [...frontier.values()].reduce((sum, length) => sum + length, 0) - missing
  const newest = await newestEvent(db)
  const aheadMs = newest === null ? 0 : newest.timestamp - Date.now()
  const findings = [
    ok('author', short(db.author), { author: db.author }),
    ok('events', `${counted(events, 'event')} of ${counted(frontier.size, 'author')}`, {
      events,
      authors: frontier.size,
      missing,
    }),
    await integrity(path, size),
  ]
  if (newest !== null && aheadMs > AHEAD_MS) {
    const seen = `the newest event, of ${short(newest.author)}, is dated ${localTime(newest.timestamp)}, which is to come`
    findings.push(
      bad('warn', 'newest', seen, 'Its clock was ahead, or this one is behind: compare both with the time', {
        aheadMs,
      }),
    )
  }
  return findings
}

async function newestEvent(db: Database): Promise<Event | null> {
  for await (const event of db.read({ order: 'clock', reverse: true, limit: 1 })) return event
  return null
}

async function integrity(path: string, size: number): Promise<Finding> {
  if (size > MAX_CHECKED_BYTES) return skipped('integrity', 'the file is too large to read all of it here')
  const { quickCheck } = await import('../store/sqlite.ts')
  const problem = quickCheck(path)
  return problem === null
    ? ok('integrity', 'SQLite finds nothing wrong')
    : bad('fail', 'integrity', `damaged: ${problem}`, 'See docs/RECOVERY.md; do not delete the file before')
}

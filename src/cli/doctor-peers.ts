import { once } from 'node:events'
import type { Database, Differences, SyncEventOf } from '../index.ts'
import { bad, type Finding, ok } from './doctor-check.ts'
import { counted, short } from './format.ts'

/** Milliseconds without another peer after which those that are there are told. */
const QUIET_MS = 1000
const LOOK_MS = 50
const MAX_AUTHORS = 10

/** What a later version of a transport tells beside: why the path is the one in use. */
type Status = ReturnType<Database['sync']['peers']>[number] & { reason?: string }

interface Meeting {
  transport: string
  reason?: string
  differences: Differences | null
}

/** Meets peers for at most so long, and tells how far apart each is. */
export async function peerFindings(db: Database, waitMs: number, signal: AbortSignal): Promise<Finding[]> {
  const meetings = new Map<string, Meeting>()
  const refused = new Map<string, SyncEventOf<'PeerRefused'>>()
  db.sync.on('PeerRefused', (event) => void refused.set(event.peerId, event))
  const deadline = performance.now() + waitMs
  let changedAt = performance.now()
  while (performance.now() < deadline && !signal.aborted) {
    for (const status of db.sync.peers() as Status[]) {
      const known = meetings.get(status.peerId)
      if (known !== undefined && known.differences !== null) continue
      const { transport, reason, differences } = status
      if (known === undefined || differences !== null) changedAt = performance.now()
      meetings.set(status.peerId, { transport, differences, ...(reason === undefined ? {} : { reason }) })
    }
    const isKnown = meetings.size > 0 && [...meetings.values()].every(({ differences }) => differences !== null)
    if (isKnown && performance.now() - changedAt > QUIET_MS) break
    await pause(signal)
  }
  const findings = [
    ...[...meetings].map(([peerId, meeting]) => meetingFinding(peerId, meeting)),
    ...[...refused.values()].map(refusalFinding),
  ]
  if (findings.length > 0) return findings
  const advice =
    'See that the others run, with the same transport, relay and bootstrap, and compare the fingerprints above with theirs'
  return [bad('warn', 'peers', `nobody found within ${waitMs / 1000} s`, advice, { peers: 0 })]
}

async function pause(signal: AbortSignal): Promise<void> {
  await once(AbortSignal.any([signal, AbortSignal.timeout(LOOK_MS)]), 'abort').catch(() => {})
}

function meetingFinding(peerId: string, { transport, reason, differences }: Meeting): Finding {
  const way = reason === undefined ? `over ${transport}` : `over ${transport} (${reason})`
  const name = short(peerId)
  const data = { peerId, transport, ...(reason === undefined ? {} : { reason }) }
  if (differences === null) {
    const advice = 'Try again with a longer --wait: it may be busy'
    return bad('warn', name, `${way}; it has not told what it holds`, advice, { ...data, inSync: null })
  }
  const { logs, weLack, theyLack, sample } = differences
  const authors = sample
    .toSorted((a, b) => Math.abs(b.ours - b.theirs) - Math.abs(a.ours - a.theirs))
    .slice(0, MAX_AUTHORS)
  const found = { ...data, inSync: logs === 0, logs, weLack, theyLack, authors }
  if (logs === 0) return ok(name, `${way}; in sync`, found)
  const list = authors.map(({ author, ours, theirs }) => `${short(author)} ${ours} here, ${theirs} there`)
  const more = logs > authors.length ? [`${logs - authors.length} more`] : []
  const seen = `${way}; when we met we lacked ${counted(weLack, 'event')} and it ${theyLack}, of ${counted(logs, 'author')}: ${[...list, ...more].join('; ')}`
  return ok(name, seen, found)
}

function refusalFinding({ peerId, reason, detail, byPeer }: SyncEventOf<'PeerRefused'>): Finding {
  const advice =
    reason === 'not-admitted'
      ? 'One of the two has another secret: compare the fingerprints above'
      : 'Run the same version of peerlog on both sides; if that is so, look at its log'
  const seen = `${byPeer ? 'turned us away' : 'was turned away'}: ${detail === '' ? reason : `it ${detail}`}`
  return bad('warn', short(peerId), seen, advice, { peerId, refused: reason, byPeer })
}

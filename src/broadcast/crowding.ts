import {
  MANY_WANTED_LOGS,
  MAX_SESSIONS,
  MAX_SESSIONS_PER_PEER,
  MAX_UNADMITTED_SESSIONS,
  MAX_WANTED_LOGS_TOTAL,
} from '../base/limits.ts'
import type { Violation } from './end-reason.ts'
import type { PeerLink } from './peer-link.ts'

const ANNOUNCES_ONLY: Violation = { reason: 'flood', detail: 'announced many logs and sent none of them' }

/**
 * Bounds the sessions of a replica, so that nobody keeps others out: of one peer, of peers that have proved nothing yet,
 * and in all. False if all are of use and there is no room for one more.
 *
 * @param links the oldest first.
 * @param now milliseconds since 1970.
 */
export function makeRoom(links: readonly PeerLink[], peerId: string, transport: string, now: number): boolean {
  const isOpen = ({ session }: PeerLink): boolean => !session.ended
  const samePeer = links.filter((link) => isOpen(link) && link.peerId === peerId && link.transport === transport)
  if (samePeer.length >= MAX_SESSIONS_PER_PEER) samePeer[0]?.close()
  const unadmitted = links.filter((link) => isOpen(link) && !link.session.admitted)
  if (unadmitted.length >= MAX_UNADMITTED_SESSIONS && !endOne(unadmitted, now)) return false
  const open = links.filter(isOpen)
  return open.length < MAX_SESSIONS || endOne(open, now)
}

/** Ends the session that can best be done without; false if none can, yet. */
function endOne(links: readonly PeerLink[], now: number): boolean {
  const first = mostDispensable(links)
  if (first.dispensableAt > now) return false
  first.close()
  return true
}

/** Who has announced a great many logs, and brought nothing for the longest time, makes room for the others. */
export function boundAnnouncements(links: readonly PeerLink[]): void {
  const total = links.reduce((sum, { session }) => sum + session.wantedLogs, 0)
  if (total <= MAX_WANTED_LOGS_TOTAL) return
  const many = links.filter(({ session }) => session.wantedLogs > MANY_WANTED_LOGS)
  if (many.length === 0) return
  const first = mostDispensable(many)
  first.close(first.hasBroughtNews ? undefined : ANNOUNCES_ONLY)
}

function mostDispensable(links: readonly PeerLink[]): PeerLink {
  return links.reduce((a, b) => (b.dispensableAt < a.dispensableAt ? b : a))
}

import { setTimeout as sleep } from 'node:timers/promises'
import type { Database, PeerStatus } from '../index.ts'

/** An acknowledgement is not announced, only visible: looked for this often. */
const LOOK_MS = 20

/** Waits until a peer holds all that we do, and returns those that do: none when the time is up or the signal aborts. */
export async function waitForDelivery(db: Database, ms: number, signal: AbortSignal): Promise<PeerStatus[]> {
  const end = performance.now() + ms
  for (;;) {
    const holders = db.sync.peers().filter(({ inSync }) => inSync)
    if (holders.length > 0 || signal.aborted || performance.now() >= end) return holders
    await sleep(LOOK_MS, undefined, { signal }).catch(() => {})
  }
}

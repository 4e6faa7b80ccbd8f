import { MAX_DIFFERENCES } from '../base/limits.ts'
import type { RemoteFrontier } from './remote-frontier.ts'
import type { Replica } from './replica.ts'

/** A log that two replicas hold to different lengths. */
export interface Difference {
  /** Hex of the author. */
  author: string
  /** Events that we held of it when we met. */
  ours: number
  /** Events that the peer held of it then. */
  theirs: number
}

/** How far apart two replicas were when they compared their frontiers, before anything was sent. */
export interface Differences {
  /** Number of logs that differ. */
  logs: number
  /** Events that the peer held further than we, over all logs; and the other way round. */
  weLack: number
  theyLack: number
  /** The first `MAX_DIFFERENCES` of the logs. */
  sample: Difference[]
}

export const NO_DIFFERENCES: Differences = { logs: 0, weLack: 0, theyLack: 0, sample: [] }

/** To be called when both sides have told their heads, and nothing has been asked for yet. */
export function differencesOf(replica: Replica, remote: RemoteFrontier): Differences {
  const found: Differences = { logs: 0, weLack: 0, theyLack: 0, sample: [] }
  for (const author of remote.told(replica.logs())) {
    const [ours, theirs] = [replica.log(author)?.mmr.length ?? 0, remote.lengthOf(author)]
    if (ours === theirs) continue
    found.logs++
    if (ours < theirs) found.weLack += theirs - ours
    else found.theyLack += ours - theirs
    if (found.sample.length < MAX_DIFFERENCES) found.sample.push({ author, ours, theirs })
  }
  return found
}

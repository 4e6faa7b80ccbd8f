import { MAX_CACHED_HEADS, MAX_CACHED_HEAD_LOGS } from './limits.ts'
import type { SignedHead } from './messages.ts'
import type { GossipReplica } from './replica.ts'

interface Known {
  /** The head is the next one from here on. */
  from: number
  head: SignedHead
}

/** Which signed head comes next after an event. Events are sent in any order, and to look reads all that is between. */
export class Heads {
  readonly #replica: GossipReplica
  /** By author, the least recently used first. */
  readonly #logs = new Map<string, Known[]>()

  constructor(replica: GossipReplica) {
    this.#replica = replica
  }

  /** Null if the event is not here. */
  after(hex: string, seq: number): SignedHead | null {
    const logs = this.#logs
    const known = logs.get(hex) ?? []
    logs.delete(hex)
    logs.set(hex, known)
    if (logs.size > MAX_CACHED_HEAD_LOGS) logs.delete(logs.keys().next().value as string)
    const covering = known.find(({ from, head }) => from <= seq && seq < head.length)
    if (covering !== undefined) return covering.head
    const run = this.#replica.readRun(hex, seq, 0, false)
    if (run === null) return null
    const length = seq + run.events.length
    const same = known.find(({ head }) => head.length === length)
    if (same !== undefined) {
      same.from = seq
      return same.head
    }
    const head = { length, signature: run.signature }
    known.push({ from: seq, head })
    if (known.length > MAX_CACHED_HEADS) known.shift()
    return head
  }
}

import { hash } from '../base/hash.ts'
import { HEAD_RANGES_BYTES, MAX_HEAD_RANGES_ROUNDS, MAX_HEADS_PER_MESSAGE, MAX_WANTED_LOGS } from '../base/limits.ts'
import { ItemIndex } from '../reconcile/item-index.ts'
import { RangeReconciler } from '../reconcile/range/range-reconciler.ts'
import type { Violation } from './end-reason.ts'
import type { Message } from './messages.ts'
import { AUTHOR_PREFIX_BYTES, encodeRange, encodeTell } from './messages.ts'
import type { ReplicaLog } from './replica.ts'

export type RangesMessage = Extract<Message, { type: 'range' | 'tell' }>

export const OUT_OF_TURN: Violation = { reason: 'protocol-violation', detail: 'compared heads out of turn' }

/** Of what the id of a log's state is made besides its author: length (u64) and root; all ff if it is forked. */
const STATE_BYTES = 40

/**
 * Finds the logs that two replicas of many logs hold differently, at a cost that goes with their number, not with that of
 * all: range reconciliation (Negentropy V1) over heads. The initiator learns which of its own differ and names those of
 * the other.
 *
 * The logs are those of the moment at which this is made. An item's timestamp is 0, its id the first 16 bytes of the
 * author ‖ the first 16 of BLAKE2b-256 (author ‖ state) under the session's key.
 */
export class HeadRanges {
  /** By ascending author key, and so are the items. */
  readonly #logs: readonly ReplicaLog[]
  readonly #reconciler: RangeReconciler
  readonly #initiator: boolean
  readonly #ours = new Set<ReplicaLog>()
  /** Author prefixes of the peer's heads that we do not have, in Latin-1. */
  readonly #theirs = new Set<string>()
  readonly #outgoing: Buffer[] = []
  #differing: readonly ReplicaLog[] | null = null

  constructor(logs: readonly ReplicaLog[], key: Uint8Array, initiator: boolean) {
    this.#logs = [...logs]
    this.#initiator = initiator
    this.#reconciler = new RangeReconciler(ItemIndex.from(itemsOf(this.#logs, key)), {
      // The message's type takes a byte.
      frameLimit: HEAD_RANGES_BYTES - 1,
      maxMessageBytes: HEAD_RANGES_BYTES,
      maxRounds: MAX_HEAD_RANGES_ROUNDS,
    })
    if (initiator) this.#outgoing.push(encodeRange(this.#reconciler.initiate()))
  }

  /** Our logs that the peer holds differently or not at all; null until they are known. */
  get differing(): readonly ReplicaLog[] | null {
    return this.#differing
  }

  next(): Buffer | null {
    return this.#outgoing.shift() ?? null
  }

  receive(message: RangesMessage): Violation | null {
    if (message.type === 'range') return this.#onRange(message.bytes)
    if (this.#initiator) return OUT_OF_TURN
    for (const prefix of message.prefixes) {
      const found = this.#add(prefix)
      if (!found) return { reason: 'protocol-violation', detail: 'asked for the head of a log that is not here' }
    }
    if (message.isLast) this.#differing = [...this.#ours]
    return null
  }

  #onRange(bytes: Buffer): Violation | null {
    const step = this.#reconciler.receive(bytes)
    if (step.type === 'violation') {
      return { reason: 'protocol-violation', detail: `compared heads wrongly: ${step.fault}` }
    }
    for (const id of step.have) this.#add(id)
    for (const id of step.need) this.#theirs.add(id.toString('latin1', 0, AUTHOR_PREFIX_BYTES))
    if (this.#theirs.size > MAX_WANTED_LOGS) return { reason: 'flood', detail: 'holds more logs than there may be' }
    if (step.reply !== null) this.#outgoing.push(encodeRange(step.reply))
    else this.#finish()
    return null
  }

  /** The initiator knows everything. */
  #finish(): void {
    const prefixes = [...this.#theirs].map((prefix) => Buffer.from(prefix, 'latin1'))
    this.#theirs.clear()
    let at = 0
    do {
      const part = prefixes.slice(at, (at += MAX_HEADS_PER_MESSAGE))
      this.#outgoing.push(encodeTell(at >= prefixes.length, part))
    } while (at < prefixes.length)
    this.#differing = [...this.#ours]
  }

  /** Notes our logs whose author begins so. False if there is none. */
  #add(id: Buffer): boolean {
    const prefix = id.subarray(0, AUTHOR_PREFIX_BYTES)
    let low = 0
    let high = this.#logs.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (Buffer.compare((this.#logs[middle] as ReplicaLog).author, prefix) < 0) low = middle + 1
      else high = middle
    }
    const first = low
    for (; low < this.#logs.length; low++) {
      const log = this.#logs[low] as ReplicaLog
      if (!log.author.subarray(0, AUTHOR_PREFIX_BYTES).equals(prefix)) break
      this.#ours.add(log)
    }
    return low > first
  }
}

function* itemsOf(logs: readonly ReplicaLog[], key: Uint8Array): Generator<{ timestamp: number; id: Buffer }> {
  const state = Buffer.allocUnsafe(STATE_BYTES)
  for (const { author, mmr, root, fork } of logs) {
    if (fork === null) {
      state.writeBigUInt64BE(BigInt(mmr.length))
      state.set(root, 8)
    } else {
      state.fill(0xff)
    }
    const id = hash([author, state], key)
    id.copyWithin(AUTHOR_PREFIX_BYTES, 0, AUTHOR_PREFIX_BYTES)
    id.set(author.subarray(0, AUTHOR_PREFIX_BYTES))
    yield { timestamp: 0, id }
  }
}

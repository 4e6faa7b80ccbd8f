import { assert } from '../base/errors.ts'
import { HASH_BYTES } from '../base/hash.ts'
import { RANGE_MIN_LOGS } from '../base/limits.ts'
import type { Differences } from './differences.ts'
import { differencesOf, NO_DIFFERENCES } from './differences.ts'
import type { Violation } from './end-reason.ts'
import type { RangesMessage } from './head-ranges.ts'
import { HeadRanges, OUT_OF_TURN } from './head-ranges.ts'
import { commonMark } from './marking.ts'
import { encodeRoot, MARK_BYTES } from './messages.ts'
import type { RemoteFrontier } from './remote-frontier.ts'
import type { Mark, Replica, ReplicaLog } from './replica.ts'
import type { Teller } from './teller.ts'

export interface MeetingOptions {
  /** Frontiers that both have had, the newest first. */
  marks: readonly Mark[]
  initiator: boolean
  handshakeHash: Uint8Array
}

/**
 * How two frontiers are compared when a session begins: by their roots, and if these differ by heads. Told are those that
 * have changed since the newest frontier that both have had; without one those that range reconciliation finds to differ,
 * if both hold many; else all.
 */
export class Meeting {
  readonly #replica: Replica
  readonly #remote: RemoteFrontier
  readonly #teller: Teller
  readonly #marks: readonly Mark[]
  readonly #initiator: boolean
  /** Makes what is compared by ranges this session's own: nobody can prepare for it. */
  readonly #rangesKey: Uint8Array
  /** What our ROOT said, and where we were then. */
  #sent: { root: Buffer; position: number; logs: number } | null = null
  #ranges: HeadRanges | null = null
  #told: readonly ReplicaLog[] = []
  #differences: Differences | null = null

  constructor(replica: Replica, remote: RemoteFrontier, teller: Teller, options: MeetingOptions) {
    this.#replica = replica
    this.#remote = remote
    this.#teller = teller
    this.#marks = options.marks
    this.#initiator = options.initiator
    this.#rangesKey = options.handshakeHash.subarray(0, HASH_BYTES)
  }

  /** True once our root was sent: what happens from then on is news. */
  get started(): boolean {
    return this.#sent !== null
  }

  /** How far apart both were; null until they have compared. */
  get differences(): Differences | null {
    return this.#differences
  }

  /** Our ROOT. */
  start(): Buffer {
    const { position } = this.#replica
    const [root, logs] = [this.#replica.frontierRoot(), this.#replica.logs().length]
    this.#sent = { root, position, logs }
    const marks = this.#marks.map((mark) => mark.root)
    return encodeRoot(root, marks, logs)
  }

  /**
   * The peer's ROOT: the mark that equal roots make, or null, and then heads have to be told.
   *
   * @param theirLogs number of logs that it holds.
   */
  compare(root: Buffer, theirMarks: readonly Buffer[], theirLogs: number): Mark | null {
    assert(this.#sent !== null, 'our root is sent before the peer’s is looked at')
    if (this.#sent.root.equals(root)) {
      this.#remote.setEqual()
      this.#differences = NO_DIFFERENCES
      return { root: Buffer.from(root.subarray(0, MARK_BYTES)), position: this.#sent.position }
    }
    this.#teller.comparing()
    const common = commonMark(this.#marks, theirMarks, this.#initiator)
    if (common !== null) {
      this.#remote.setEqualAt(common.position)
      this.#tell(this.#replica.logsSince(common.position))
    } else if (Math.min(this.#sent.logs, theirLogs) > RANGE_MIN_LOGS) {
      this.#remote.comparing()
      this.#ranges = new HeadRanges(this.#replica.logs(), this.#rangesKey, this.#initiator)
    } else {
      this.#tell([...this.#replica.logs()])
    }
    return null
  }

  /** True while the heads to tell are still to be found. */
  get isSearching(): boolean {
    return this.#ranges !== null && this.#ranges.differing === null
  }

  /** A RANGE or TELL of the peer. */
  search(message: RangesMessage): Violation | null {
    if (this.#ranges === null || this.#ranges.differing !== null) return OUT_OF_TURN
    const violation = this.#ranges.receive(message)
    const { differing } = this.#ranges
    if (violation === null && differing !== null) {
      this.#remote.setEqualBut(differing)
      this.#tell(differing)
    }
    return violation
  }

  /** The next message of the search, or null. */
  next(): Buffer | null {
    return this.#ranges?.next() ?? null
  }

  #tell(logs: readonly ReplicaLog[]): void {
    this.#told = logs
    this.#teller.tellAll(logs)
  }

  /** Both have told their heads. The logs that were told, once: of all others the peer holds what we do. */
  end(): readonly ReplicaLog[] {
    this.#differences = differencesOf(this.#replica, this.#remote)
    const told = this.#told
    this.#told = []
    this.#ranges = null
    return told
  }
}

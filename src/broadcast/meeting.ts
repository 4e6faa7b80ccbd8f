import { assert } from '../base/errors.ts'
import type { Differences } from './differences.ts'
import { differencesOf, NO_DIFFERENCES } from './differences.ts'
import { commonMark } from './marking.ts'
import { encodeRoot, MARK_BYTES } from './messages.ts'
import type { RemoteFrontier } from './remote-frontier.ts'
import type { Mark, Replica, ReplicaLog } from './replica.ts'
import type { Teller } from './teller.ts'

/** How two frontiers are compared when a session begins: by their roots, and if these differ by heads. */
export class Meeting {
  readonly #replica: Replica
  readonly #remote: RemoteFrontier
  readonly #teller: Teller
  readonly #marks: readonly Mark[]
  readonly #initiator: boolean
  /** What our ROOT said, and where we were then. */
  #sent: { root: Buffer; position: number } | null = null
  #told: readonly ReplicaLog[] = []
  #differences: Differences | null = null

  constructor(replica: Replica, remote: RemoteFrontier, teller: Teller, marks: readonly Mark[], initiator: boolean) {
    this.#replica = replica
    this.#remote = remote
    this.#teller = teller
    this.#marks = marks
    this.#initiator = initiator
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
    this.#sent = { root: this.#replica.frontierRoot(), position: this.#replica.position }
    return encodeRoot(
      this.#sent.root,
      this.#marks.map(({ root }) => root),
    )
  }

  /** The peer's ROOT: the mark that equal roots make, or null, and then heads have to be told. */
  compare(root: Buffer, theirMarks: readonly Buffer[]): Mark | null {
    assert(this.#sent !== null, 'our root is sent before the peer’s is looked at')
    if (this.#sent.root.equals(root)) {
      this.#remote.setEqual()
      this.#differences = NO_DIFFERENCES
      return { root: Buffer.from(root.subarray(0, MARK_BYTES)), position: this.#sent.position }
    }
    const common = commonMark(this.#marks, theirMarks, this.#initiator)
    if (common !== null) this.#remote.setEqualAt(common.position)
    this.#told = common === null ? [...this.#replica.logs()] : this.#replica.logsSince(common.position)
    this.#teller.tellAll(this.#told)
    return null
  }

  /** Both have told their heads. The logs that were told, once: of all others the peer holds what we do. */
  end(): readonly ReplicaLog[] {
    this.#differences = differencesOf(this.#replica, this.#remote)
    const told = this.#told
    this.#told = []
    return told
  }
}

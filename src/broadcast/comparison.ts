import { toHex } from '../base/bytes.ts'
import { MAX_WANTED_LOGS } from '../base/limits.ts'
import type { Violation } from './end-reason.ts'
import type { Head } from './messages.ts'
import { FORKED_TAG } from './messages.ts'
import type { Receiver } from './receiver.ts'
import { TOO_MANY_LOGS } from './receiver.ts'
import type { RemoteFrontier } from './remote-frontier.ts'
import type { Replica, ReplicaLog } from './replica.ts'
import type { Sender } from './sender.ts'
import { headTag } from './teller.ts'

/** What the peer has said of its logs beside what we hold, and what follows from it. */
export class Comparison {
  readonly #replica: Replica
  readonly #remote: RemoteFrontier
  readonly #receiver: Receiver
  readonly #sender: Sender
  /** Logs of which the peer holds less than we do. */
  readonly #ahead = new Set<string>()
  /** Logs that the peer holds further than we do, but not from where ours end: the head of each. */
  readonly #unavailable = new Map<string, Head>()
  #isEven = false

  constructor(replica: Replica, remote: RemoteFrontier, receiver: Receiver, sender: Sender) {
    this.#replica = replica
    this.#remote = remote
    this.#receiver = receiver
    this.#sender = sender
  }

  /** True since `settle` was, until there is another difference. */
  get isEven(): boolean {
    return this.#isEven
  }

  /** Number of logs that the peer holds further than we do and can't give us. */
  get unavailable(): number {
    return this.#unavailable.size
  }

  /**
   * The peer has told a head.
   *
   * @param notBefore of news: milliseconds before which it is not asked for, as it may come by another way; 0: at once. Null: no news.
   */
  head(head: Head, notBefore: number | null): Violation | null {
    const { length, start, tag } = head
    const hex = toHex(head.author)
    const ours = this.#replica.log(hex)
    const isForked = tag.equals(FORKED_TAG)
    if (ours !== undefined && ours.fork !== null) {
      if (isForked) this.#sender.knowsProof(hex)
      else this.#sender.sendProof(hex, ours.fork)
      return null
    }
    // A peer may well hold more logs than we can.
    if (ours === undefined && !this.#replica.hasRoom) return null
    if (isForked) return this.#want(hex, length, 'proof')
    this.#remote.atLeast(hex, length)
    this.#remote.setStart(hex, start)
    if (ours !== undefined) this.compare(ours)
    const ourLength = ours?.mmr.length ?? 0
    if (ourLength < start && (ourLength > 0 || this.#replica.beginning === null)) return this.#lack(hex, head)
    this.#unavailable.delete(hex)
    if (ourLength < length) return this.#want(hex, length, 'events', notBefore)
    const isOther = ours !== undefined && ourLength === length && !tag.equals(headTag(ours))
    return isOther ? this.#want(hex, length, 'peaks') : null
  }

  /** Nothing can be asked for as long as we don't hold what precedes it. */
  #lack(hex: string, { author, length, start, tag }: Head): Violation | null {
    this.#unavailable.set(hex, { author: Buffer.from(author), length, start, tag: Buffer.from(tag) })
    this.#isEven = false
    return this.#unavailable.size > MAX_WANTED_LOGS ? TOO_MANY_LOGS : null
  }

  #want(...what: Parameters<Receiver['want']>): Violation | null {
    this.#isEven = false
    return this.#receiver.want(...what)
  }

  /** Our log has grown: perhaps the peer's continues it now. */
  grown({ hex, mmr }: ReplicaLog): Violation | null {
    const head = this.#unavailable.get(hex)
    if (head === undefined || mmr.length < head.start) return null
    this.#unavailable.delete(hex)
    return mmr.length < head.length ? this.#want(hex, head.length, 'events') : null
  }

  /** Notes if the peer lacks some of our log. */
  compare({ hex, mmr, fork }: ReplicaLog): void {
    if (fork !== null || this.#remote.lengthOf(hex) >= mmr.length) return
    this.#ahead.add(hex)
    this.#isEven = false
  }

  forked(hex: string): void {
    this.#ahead.delete(hex)
    this.#unavailable.delete(hex)
  }

  /** True, once, when neither side lacks anything any more. */
  settle(): boolean {
    if (this.#isEven || this.#unavailable.size > 0) return false
    for (const hex of this.#ahead) {
      if (this.#remote.lengthOf(hex) < (this.#replica.log(hex)?.mmr.length ?? 0)) return false
      this.#ahead.delete(hex)
    }
    this.#isEven = true
    return true
  }
}

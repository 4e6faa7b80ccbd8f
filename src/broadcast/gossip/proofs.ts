import type { Violation } from '../end-reason.ts'
import { Assembly, stagedBytes } from './assembly.ts'
import type { HeldPieces } from './held-pieces.ts'
import { forkItem, FORK_TIME } from './item-set.ts'
import { MAX_PROOF_BYTES_STAGED, REFUSED_MS, STAGE_TIMEOUT_MS } from './limits.ts'
import type { Part } from './messages.ts'
import { Refused } from './refused.ts'
import type { GossipReplica } from './replica.ts'
import type { Holding } from './shares.ts'
import { Shares } from './shares.ts'
import type { Taken } from './taken.ts'
import { useful, USELESS, wrong } from './taken.ts'

interface Proof {
  readonly item: Buffer
  readonly assembly: Assembly
  readonly holdings: Holding[]
  at: number
}

const FORGED: Violation = { reason: 'invalid-events', detail: 'sent a fork proof that is not what it said' }

/** Proofs of forks whose parts are coming in: of each sender one at a time. */
export class Proofs {
  readonly #replica: GossipReplica
  readonly #held: HeldPieces
  readonly #refused: Refused
  readonly #shares = new Shares(MAX_PROOF_BYTES_STAGED)
  readonly #bySender = new Map<string, Proof>()
  readonly #whole: { sender: string; bytes: Buffer }[] = []

  constructor(replica: GossipReplica, held: HeldPieces) {
    this.#replica = replica
    this.#held = held
    this.#refused = new Refused(held)
  }

  get bytes(): number {
    return this.#shares.bytes
  }

  take({ author, id, total, index, bytes }: Part, sender: string, now: number): Taken {
    const item = forkItem(author)
    const log = this.#replica.log(author.toString('hex'))
    if ((log?.fork ?? null) !== null) return USELESS
    if (this.#refused.has(item)) {
      this.#refused.again(item, sender)
      return USELESS
    }
    let proof = this.#bySender.get(sender)
    if (proof === undefined) {
      proof = { item, assembly: new Assembly(Buffer.from(id), total), holdings: [], at: now }
      this.#bySender.set(sender, proof)
      this.#held.add(FORK_TIME, item, sender, true, proof.assembly)
    } else if (!proof.assembly.id.equals(id) || proof.assembly.total !== total || !proof.item.equals(item)) {
      // Another one, whose turn comes when this one is whole or was given up.
      return USELESS
    }
    if (!proof.assembly.add(index, bytes, sender)) return USELESS
    proof.at = now
    const drop = (): void => this.leave(sender)
    const holding: Holding = { sender, bytes: stagedBytes(bytes.length), dropped: false, drop }
    proof.holdings.push(holding)
    this.#shares.add(holding)
    if (holding.dropped || !proof.assembly.isWhole) return useful(FORK_TIME, item)
    this.leave(sender)
    const whole = proof.assembly.whole()
    if (whole === null) return wrong(FORGED)
    // Until the store has it, or because it has no room for it.
    this.#refused.add(FORK_TIME, item, sender, now + REFUSED_MS)
    this.#whole.push({ sender, bytes: whole })
    return useful(FORK_TIME, item)
  }

  /** A whole one that is to be checked and stored, or null. */
  next(): { sender: string; bytes: Buffer } | null {
    return this.#whole.shift() ?? null
  }

  leave(sender: string): void {
    const proof = this.#bySender.get(sender)
    if (proof === undefined) return
    this.#bySender.delete(sender)
    for (const holding of proof.holdings) this.#shares.remove(holding)
    this.#held.remove(FORK_TIME, proof.item, sender)
  }

  wake(now: number): void {
    this.#refused.wake(now)
    for (const [sender, { at }] of this.#bySender) if (now - at >= STAGE_TIMEOUT_MS) this.leave(sender)
  }
}

import type { Replica, ReplicaLog } from './replica.ts'

/**
 * What the peer holds, as far as we know, including what is on its way to it. Two replicas that met with equal frontiers
 * know all of each other's without a word: then only what has changed since is noted here.
 */
export class RemoteFrontier {
  readonly #replica: Replica
  readonly #lengths = new Map<string, number>()
  /** Our lengths when the frontiers were compared, of the logs that have grown since. */
  readonly #before = new Map<string, number>()
  /** Of the logs that the peer does not hold from their beginning. */
  readonly #starts = new Map<string, number>()
  #equal = false

  constructor(replica: Replica) {
    this.#replica = replica
  }

  /** The frontiers were equal when our root was sent. */
  setEqual(): void {
    this.#equal = true
  }

  /** The frontiers were equal when our newest event was at that position; what the peer's has become it will tell. */
  setEqualAt(position: number): void {
    for (const { hex } of this.#replica.logsSince(position)) this.set(hex, this.#replica.lengthAt(hex, position))
    this.#equal = true
  }

  /** What the peer holds is compared with what we hold now. */
  comparing(): void {
    this.#before.clear()
  }

  /** When they were compared the frontiers differed in these logs of ours alone, of which the peer is yet to tell. */
  setEqualBut(logs: readonly ReplicaLog[]): void {
    this.#equal = true
    for (const { hex } of logs) this.set(hex, 0)
  }

  /** The peer holds the log from there on. */
  setStart(hex: string, start: number): void {
    if (start > 0) this.#starts.set(hex, start)
    else this.#starts.delete(hex)
  }

  startOf(hex: string): number {
    return this.#starts.get(hex) ?? 0
  }

  /** Our log has grown from this length. */
  grown(hex: string, from: number): void {
    if (!this.#before.has(hex)) this.#before.set(hex, from)
  }

  set(hex: string, length: number): void {
    this.#lengths.set(hex, length)
  }

  atLeast(hex: string, length: number): void {
    if (length > this.lengthOf(hex)) this.set(hex, length)
  }

  /** The authors whose logs may differ from ours: those that were told, and where no common frontier is known all of ours. */
  told(ours: readonly ReplicaLog[]): Set<string> {
    const told = new Set(this.#lengths.keys())
    if (this.#equal) for (const hex of this.#before.keys()) told.add(hex)
    else for (const { hex } of ours) told.add(hex)
    return told
  }

  lengthOf(hex: string): number {
    const known = this.#lengths.get(hex)
    if (known !== undefined) return known
    if (!this.#equal) return 0
    return this.#before.get(hex) ?? this.#replica.log(hex)?.mmr.length ?? 0
  }
}

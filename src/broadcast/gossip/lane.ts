import { MAX_RUN_BYTES, MAX_RUN_EVENTS } from '../../base/limits.ts'
import type { Run } from '../../event/run.ts'
import type { Signature } from '../../event/signature.ts'
import type { Assembly } from './assembly.ts'
import { MAX_STAGED_HEADS } from './limits.ts'
import type { Holding } from './shares.ts'

/** An event that waits. */
export interface StagedEvent extends Holding {
  readonly seq: number
  readonly time: number
  readonly id: Buffer
  readonly event: Buffer
}

/** Parts of a large event that wait for the others. */
export interface StagedParts {
  readonly seq: number
  readonly time: number
  /** Of the first part. */
  readonly sender: string
  readonly assembly: Assembly
  readonly holdings: Holding[]
}

/** Events that form a run, and who sent any of it. */
export interface LaneRun {
  run: Run
  events: StagedEvent[]
  senders: Set<string>
}

/** What waits of one log, from one sender or from all of them. */
export class Lane {
  /** Its sender; '' for one of all senders. */
  readonly key: string
  readonly events: Map<number, StagedEvent> = new Map()
  /** By id. */
  readonly parts: Map<string, StagedParts> = new Map()
  /** Signatures of the log at a length. */
  readonly #heads = new Map<number, { signature: Signature; sender: string }>()
  /** Peaks that the sender has told. */
  peaks: { seq: number; bytes: Buffer } | null = null
  /** How often they were asked for, and when next. */
  asked = 0
  askAt = 0
  /** Its events do not continue ours: the peaks before them tell who is wrong. */
  isSuspect = false

  constructor(key: string) {
    this.key = key
  }

  get isEmpty(): boolean {
    return this.events.size === 0 && this.parts.size === 0
  }

  /** False if another signature is here for that length. */
  addHead(length: number, signature: Signature, sender: string): boolean {
    const known = this.#heads.get(length)
    if (known !== undefined) return known.signature.bytes.equals(signature.bytes)
    if (this.#heads.size >= MAX_STAGED_HEADS) this.#heads.delete(this.#heads.keys().next().value as number)
    this.#heads.set(length, { signature: { suite: signature.suite, bytes: Buffer.from(signature.bytes) }, sender })
    return true
  }

  forgetHeads(upTo: number): void {
    for (const length of this.#heads.keys()) if (length <= upTo) this.#heads.delete(length)
  }

  /** The longest run from a seq to a signed head whose events are all here, or null. */
  run(author: Buffer, from: number, peaks: Buffer | null): LaneRun | null {
    const events: StagedEvent[] = []
    let whole = 0
    let bytes = 0
    for (let seq = from; events.length < MAX_RUN_EVENTS; seq++) {
      const next = this.events.get(seq)
      if (next === undefined) break
      bytes += next.event.length
      if (whole > 0 && bytes > MAX_RUN_BYTES) break
      events.push(next)
      if (this.#heads.has(seq + 1)) whole = events.length
    }
    const head = this.#heads.get(from + whole)
    // With peaks, a head says enough by itself.
    if ((whole === 0 && peaks === null) || head === undefined) return null
    events.length = whole
    const senders = new Set(events.map(({ sender }) => sender)).add(head.sender)
    const run = { author, from, peaks, signature: head.signature, events: events.map(({ event }) => event) }
    return { run, events, senders }
  }

  /** The lowest seq that waits, or null. */
  get lowest(): number | null {
    let lowest: number | null = null
    for (const seq of this.events.keys()) if (lowest === null || seq < lowest) lowest = seq
    return lowest
  }
}

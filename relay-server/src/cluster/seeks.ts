import { Bucket } from '../bucket.ts'
import type { Member } from '../room.ts'
import { MAX_WANTED, type SeekFrame } from './bus-frames.ts'
import { LONELY_SEEK_BEATS, OFFER_BEATS, SEEKS_PER_SECOND, SEEK_BURST, SEEK_INTERVAL_MS } from './limits.ts'

interface Sought {
  member: Member
  /** Heartbeats since it began to look. */
  age: number
}

/** The members that look for pairs on other instances, at a bounded rate. */
export class Seeks {
  readonly #send: (member: Member, frame: SeekFrame) => void
  /** Those whose turn has not come yet, and for how many heartbeats they have been looking. */
  readonly #queue = new Map<Member, number>()
  /** Those who may get an OFFER, by number. */
  readonly #sought = new Map<number, Sought>()
  readonly #rate: Bucket = new Bucket(SEEKS_PER_SECOND, SEEK_BURST)
  #timer: NodeJS.Timeout | undefined

  constructor(send: (member: Member, frame: SeekFrame) => void) {
    this.#send = send
  }

  add(member: Member): void {
    this.#queue.set(member, 0)
    if (this.#timer === undefined) this.#pump()
  }

  /** The member of this number, if it has asked a moment ago and is still there. */
  find(number: number): Member | undefined {
    const member = this.#sought.get(number)?.member
    return member === undefined || member.index === -1 ? undefined : member
  }

  /**
   * Those who found nobody ask again after 1, 2, 4 … heartbeats: word of a new subscription travels slowly among the
   * servers of NATS, and what is under way may be lost.
   */
  beat(): void {
    for (const [number, sought] of this.#sought) {
      const { member } = sought
      const age = ++sought.age
      const patience = member.paired.size === 0 ? LONELY_SEEK_BEATS : OFFER_BEATS
      if (age > patience || member.index === -1) this.#sought.delete(number)
      else if (member.paired.size === 0 && Number.isInteger(Math.log2(age))) this.#queue.set(member, age)
    }
    if (this.#timer === undefined) this.#pump()
  }

  clear(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#queue.clear()
    this.#sought.clear()
  }

  #pump(): void {
    this.#timer = undefined
    for (const [member, age] of this.#queue) {
      const { number, announce, connect } = member
      const wanted = member.index === -1 ? 0 : Math.min(member.wanted, MAX_WANTED)
      if (wanted > 0 && !this.#rate.tryTake(1)) {
        this.#timer = setTimeout(() => this.#pump(), SEEK_INTERVAL_MS)
        return
      }
      this.#queue.delete(member)
      if (wanted === 0) continue
      this.#sought.set(number, { member, age })
      this.#send(member, { kind: 'seek', member: number, announce, connect, wanted })
    }
  }
}

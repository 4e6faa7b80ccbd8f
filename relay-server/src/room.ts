import { randomInt } from 'node:crypto'
import type { Client } from './client.ts'
import { encodeFrame } from './frames.ts'
import { MAX_MEMBERS_INSPECTED, MAX_OUTGOING_PAIRS } from './limits.ts'

/** What somebody is paired with: a member here, or the name of one elsewhere. */
export type Partner = Member | string

/** What somebody wants of a rendezvous. */
export interface Wants {
  readonly announce: boolean
  readonly connect: boolean
}

/** One client's membership of one rendezvous. */
export class Member implements Wants {
  readonly client: Client
  readonly room: Room
  /** Names it to other instances. */
  readonly number: number = randomInt(2 ** 48 - 1)
  announce = false
  connect = false
  card: Uint8Array = new Uint8Array(0)
  /** Those it has a channel with, or is about to. */
  readonly paired: Set<Partner> = new Set()
  /** Its place in the room, kept by the room. */
  index = -1

  constructor(client: Client, room: Room) {
    this.client = client
    this.room = room
  }

  /** Pairs that it may still ask for. */
  get wanted(): number {
    if (this.client.gone || !this.client.hasRoom) return 0
    return Math.max(0, Math.min(MAX_OUTGOING_PAIRS, this.client.limits.maxPeersPerTopic) - this.paired.size)
  }

  /** Whether somebody else may be paired with it. */
  isFree(partner: Partner, wants: Wants): boolean {
    return (
      this.fits(wants) &&
      !this.paired.has(partner) &&
      this.paired.size < this.client.limits.maxPeersPerTopic &&
      !this.client.gone &&
      this.client.hasRoom
    )
  }

  /** One of the two has announced and the other connects. */
  fits(other: Wants): boolean {
    return (this.announce && other.connect) || (other.announce && this.connect)
  }

  /** Tells the client that it is paired. */
  greet(channel: number, initiator: boolean): void {
    this.client.send(encodeFrame({ kind: 'peer', channel, initiator, rendezvous: this.room.rendezvous }))
  }
}

/** The members of one rendezvous. */
export class Room {
  /** The name it is known by to the switchboard. Never logged. */
  readonly key: string
  readonly #members: Member[] = []
  readonly #random: () => number

  constructor(key: string, random: () => number) {
    this.key = key
    this.#random = random
  }

  get rendezvous(): Buffer {
    return Buffer.from(this.key, 'latin1')
  }

  get size(): number {
    return this.#members.length
  }

  [Symbol.iterator](): Iterator<Member> {
    return this.#members.values()
  }

  add(member: Member): void {
    member.index = this.#members.length
    this.#members.push(member)
  }

  remove(member: Member): void {
    const last = this.#members.pop()
    if (last !== undefined && last !== member) this.#place(last, member.index)
    member.index = -1
  }

  /**
   * Up to `count` members that satisfy `wanted`, each as likely as any other. Looks at a bounded number of them. The
   * order of the members means nothing, so they are shuffled as we go.
   */
  pick(count: number, wanted: (member: Member) => boolean): Member[] {
    const picked: Member[] = []
    const total = this.#members.length
    const steps = Math.min(total, MAX_MEMBERS_INSPECTED)
    for (let i = 0; i < steps && picked.length < count; i++) {
      const j = i + Math.floor(this.#random() * (total - i))
      const chosen = this.#members[j] as Member
      this.#place(this.#members[i] as Member, j)
      this.#place(chosen, i)
      if (wanted(chosen)) picked.push(chosen)
    }
    return picked
  }

  #place(member: Member, index: number): void {
    this.#members[index] = member
    member.index = index
  }
}

/** What a room is known by to the switchboard. */
export function keyOf(rendezvous: Uint8Array): string {
  return Buffer.from(rendezvous.buffer, rendezvous.byteOffset, rendezvous.byteLength).toString('latin1')
}

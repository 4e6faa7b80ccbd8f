import type { Client } from './client.ts'
import { MAX_MEMBERS_INSPECTED } from './limits.ts'

/** One client's membership of one rendezvous. */
export class Member {
  readonly client: Client
  readonly room: Room
  announce = false
  connect = false
  card: Uint8Array = new Uint8Array(0)
  /** Those it has a channel with. */
  readonly paired: Set<Member> = new Set()
  /** Its place in the room, kept by the room. */
  index = -1

  constructor(client: Client, room: Room) {
    this.client = client
    this.room = room
  }

  /** One of the two has announced and the other connects. */
  fits(other: Member): boolean {
    return (this.announce && other.connect) || (other.announce && this.connect)
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

  get size(): number {
    return this.#members.length
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

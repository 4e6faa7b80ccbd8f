import type { Client } from './client.ts'
import { MAX_PAYLOAD_BYTES, WINDOW_BYTES, dataCost } from './frames.ts'
import type { Member } from './room.ts'

/** One client's end of a channel. */
export class ChannelEnd {
  readonly client: Client
  readonly member: Member
  /** The number by which this client knows the channel. */
  readonly channel: number
  /** Cost of the DATA from this end that the other end has not returned as CREDIT. */
  outstanding = 0
  #other: ChannelEnd | undefined

  constructor(member: Member, channel: number) {
    this.member = member
    this.client = member.client
    this.channel = channel
  }

  get other(): ChannelEnd {
    return this.#other as ChannelEnd
  }

  /** Counts DATA from this end. Returns false if it is beyond the window. */
  charge(payloadBytes: number): boolean {
    const cost = dataCost(payloadBytes)
    this.outstanding += cost
    this.other.client.expected += cost
    return this.outstanding <= WINDOW_BYTES + dataCost(MAX_PAYLOAD_BYTES)
  }

  /** Counts CREDIT for DATA from this end. Returns false if it is more than was outstanding. */
  credit(bytes: number): boolean {
    if (bytes > this.outstanding) return false
    this.outstanding -= bytes
    this.other.client.expected -= bytes
    return true
  }

  static pair(a: ChannelEnd, b: ChannelEnd): void {
    a.#other = b
    b.#other = a
  }
}

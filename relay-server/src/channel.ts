import type { Client } from './client.ts'
import { MAX_PAYLOAD_BYTES, WINDOW_BYTES, dataCost, retarget } from './frames.ts'
import type { Member, Partner } from './room.ts'

/** One of the two sides of a channel: a client of ours, or one that another instance speaks for. */
export abstract class Side {
  /** Cost of the DATA from this side that the other has not returned as CREDIT. */
  outstanding = 0
  #other: Side | undefined

  get other(): Side {
    return this.#other as Side
  }

  /** Counts DATA from this side. Returns false if it is beyond the window. */
  charge(payloadBytes: number): boolean {
    const cost = dataCost(payloadBytes)
    this.outstanding += cost
    this.other.expect(cost)
    return this.outstanding <= WINDOW_BYTES + dataCost(MAX_PAYLOAD_BYTES)
  }

  /** Counts CREDIT for DATA from this side. Returns false if it is more than was outstanding. */
  credit(bytes: number): boolean {
    if (bytes > this.outstanding) return false
    this.outstanding -= bytes
    this.other.expect(-bytes)
    return true
  }

  /** What the side is paired as. */
  abstract readonly partner: Partner
  /** Passes a DATA, CREDIT or CLOSE frame on to this side, in its own numbering. False: the other should send slower. */
  abstract deliver(frame: Buffer): boolean
  /** DATA of this cost is on the way to this side; or is no more, if negative. */
  protected abstract expect(cost: number): void
  /** Forgets the channel. */
  abstract release(): void

  static pair(a: Side, b: Side): void {
    a.#other = b
    b.#other = a
  }
}

/** One client's end of a channel. */
export class ChannelEnd extends Side {
  readonly client: Client
  readonly member: Member
  /** The number by which this client knows the channel. */
  readonly channel: number

  constructor(member: Member) {
    super()
    this.member = member
    this.client = member.client
    this.channel = this.client.nextChannel()
  }

  get partner(): Member {
    return this.member
  }

  deliver(frame: Buffer): boolean {
    this.client.forward(retarget(frame, this.channel))
    return true
  }

  protected expect(cost: number): void {
    this.client.expected += cost
  }

  /** Makes the channel known to the client. */
  begin(initiator: boolean): void {
    this.client.ends.set(this.channel, this)
    this.member.paired.add(this.other.partner)
    this.member.greet(this.channel, initiator)
  }

  release(): void {
    this.client.ends.delete(this.channel)
    this.member.paired.delete(this.other.partner)
    this.client.abandon(this.other.outstanding)
  }
}

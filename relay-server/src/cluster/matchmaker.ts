import { randomInt } from 'node:crypto'
import { decodeFrame, encodeFrame } from '../frames.ts'
import type { Room } from '../room.ts'
import type { Switchboard } from '../switchboard.ts'
import { NUMBERS, type AcceptFrame, type OfferFrame, type PassFrame, type SeekFrame } from './bus-frames.ts'
import type { Bus } from './bus.ts'
import type { Drop, Drops } from './drops.ts'
import type { Instance } from './instance.ts'
import { MAX_OFFERS_PER_INSTANCE, OFFER_BEATS } from './limits.ts'
import { RemoteEnd } from './remote-end.ts'
import type { Seeks } from './seeks.ts'

/** Pairs our members with those of other instances, and passes on what they send to each other. */
export class Matchmaker {
  readonly #bus: Bus
  readonly #switchboard: Switchboard
  readonly #seeks: Seeks
  readonly #drops: Drops

  constructor(bus: Bus, switchboard: Switchboard, seeks: Seeks, drops: Drops) {
    this.#bus = bus
    this.#switchboard = switchboard
    this.#seeks = seeks
    this.#drops = drops
  }

  /** Offers those who fit. */
  onSeek(instance: Instance, room: Room, frame: SeekFrame): void {
    const partner = instance.partner(frame.member)
    const count = Math.min(frame.wanted, MAX_OFFERS_PER_INSTANCE - instance.offers.size)
    for (const member of room.pick(count, (candidate) => candidate.isFree(partner, frame))) {
      const channel = newNumber()
      instance.hold({ member, partner, channel, age: 0 })
      const { number, announce, connect } = member
      instance.send({ kind: 'offer', seeker: frame.member, member: number, announce, connect, channel })
    }
  }

  onOffer(instance: Instance, frame: OfferFrame): void {
    const member = this.#seeks.find(frame.seeker)
    const partner = instance.partner(frame.member)
    const decline = (): void => instance.send({ kind: 'decline', offered: frame.channel })
    if (member === undefined) return decline()
    const own = member.paired.has(partner) ? instance.offerFor(member, partner) : undefined
    if (own !== undefined) {
      // Both have made one. The other instance decides by the same rule.
      if (this.#bus.id.compare(instance.id) < 0) return decline()
      instance.free(own)
    }
    const wants = own !== undefined || member.wanted > 0
    if (!wants || !member.isFree(partner, frame)) return decline()
    const channel = newNumber()
    instance.send({ kind: 'accept', offered: frame.channel, channel })
    this.#switchboard.connect(member, new RemoteEnd(instance, partner, channel, frame.channel), true)
  }

  onAccept(instance: Instance, frame: AcceptFrame): void {
    const offer = instance.offers.get(frame.offered)
    if (offer !== undefined) instance.free(offer)
    if (offer === undefined || offer.member.index === -1) return this.#gone(instance, frame.offered)
    const far = new RemoteEnd(instance, offer.partner, offer.channel, frame.channel)
    this.#switchboard.connect(offer.member, far, false)
  }

  onDecline(instance: Instance, offered: number): void {
    const offer = instance.offers.get(offered)
    if (offer !== undefined) instance.free(offer)
  }

  onPass(instance: Instance, { channel, sequence, frame: bytes }: PassFrame): void {
    const end = instance.ends.get(channel)
    const frame = decodeFrame(bytes)
    if (end === undefined) {
      // Ours has just closed it, or we never heard of it.
      if (frame?.kind !== 'close') this.#gone(instance, channel)
      return
    }
    if (!end.follows(sequence)) return this.#breakOff(end, 'gap')
    switch (frame?.kind) {
      case 'data':
        if (!end.charge(frame.payload.length)) return this.#breakOff(end, 'window')
        break
      case 'credit':
        if (!end.other.credit(frame.bytes)) return this.#breakOff(end, 'window')
        break
      case 'close':
        return this.#switchboard.hangUp(end)
      default:
        return this.#breakOff(end, 'frame')
    }
    end.other.deliver(bytes)
  }

  onGone(instance: Instance, channel: number): void {
    const end = instance.endsByTheirs.get(channel)
    if (end !== undefined) this.#switchboard.hangUp(end)
  }

  /** Gives up the places that nobody has answered for. */
  beat(instance: Instance): void {
    for (const offer of instance.offers.values()) if (++offer.age > OFFER_BEATS) instance.free(offer)
  }

  /** The instance is gone: what was between us ends. */
  part(instance: Instance): void {
    for (const offer of instance.offers.values()) instance.free(offer)
    for (const end of instance.ends.values()) this.#switchboard.hangUp(end)
  }

  #breakOff(end: RemoteEnd, reason: Drop): void {
    this.#drops.count(reason)
    end.deliver(encodeFrame({ kind: 'close', channel: 0 }))
    this.#switchboard.hangUp(end)
  }

  #gone(instance: Instance, channel: number): void {
    if (instance.spend()) instance.send({ kind: 'gone', channel })
  }
}

function newNumber(): number {
  return randomInt(NUMBERS - 1)
}

import { Bucket } from '../bucket.ts'
import type { Member } from '../room.ts'
import type { InboxFrame, PassFrame } from './bus-frames.ts'
import type { Bus } from './bus.ts'
import { INSTANCE_BURST, INSTANCE_REQUESTS_PER_SECOND } from './limits.ts'
import type { RemoteEnd } from './remote-end.ts'

/** A place held for a member of another instance, until that accepts or declines. */
export interface Offer {
  member: Member
  /** Their member. */
  partner: string
  /** Where they are to send what is for ours. */
  channel: number
  /** Heartbeats since it was made. */
  age: number
}

/** Another instance of the service. */
export class Instance {
  readonly id: Buffer
  /** Of channels between us, by the number that they send to. */
  readonly ends: Map<number, RemoteEnd> = new Map()
  /** The same by the number that we send to. */
  readonly endsByTheirs: Map<number, RemoteEnd> = new Map()
  /** By the number that they would send to. */
  readonly offers: Map<number, Offer> = new Map()
  /** Heartbeats of ours since the last that we heard of it. */
  silentBeats = 0
  readonly #bus: Bus
  readonly #inbox: string
  readonly #key: string
  readonly #requests: Bucket = new Bucket(INSTANCE_REQUESTS_PER_SECOND, INSTANCE_BURST)

  constructor(id: Uint8Array, inbox: string, bus: Bus) {
    this.id = Buffer.from(id)
    this.#key = this.id.toString('latin1')
    this.#inbox = inbox
    this.#bus = bus
  }

  /** The name of one of its members. */
  partner(member: number): string {
    return `${this.#key}${member}`
  }

  send(frame: Exclude<InboxFrame, PassFrame>): void {
    this.#bus.send(this.#inbox, frame)
  }

  /** The same with the bytes of one frame. False: slower. */
  sendParts(parts: Buffer[]): boolean {
    this.#bus.sendParts(this.#inbox, parts)
    return !this.#bus.congested
  }

  /** Whether it may ask for one more thing. */
  spend(): boolean {
    return this.#requests.tryTake(1)
  }

  hold(offer: Offer): void {
    this.offers.set(offer.channel, offer)
    offer.member.paired.add(offer.partner)
    offer.member.client.reserved++
  }

  /** Gives the place of an offer up; what becomes of it is the caller's. */
  free(offer: Offer): void {
    this.offers.delete(offer.channel)
    offer.member.paired.delete(offer.partner)
    offer.member.client.reserved--
  }

  /** The offer for these two that was not answered yet. */
  offerFor(member: Member, partner: string): Offer | undefined {
    for (const offer of this.offers.values()) if (offer.member === member && offer.partner === partner) return offer
    return undefined
  }
}

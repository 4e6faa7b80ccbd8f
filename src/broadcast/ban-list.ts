import { BAN_MAX_MS, BAN_MIN_MS, MAX_BANS } from '../base/limits.ts'

interface Ban {
  offences: number
  until: number
}

/**
 * Peers that misbehaved, and until when they are turned away: longer with every offence, until they have behaved for as
 * long as the longest ban.
 */
export class BanList {
  /** Peers with one offence: keys cost nothing, so they make room before those below. */
  readonly #once = new Map<string, Ban>()
  readonly #often = new Map<string, Ban>()

  get size(): number {
    return this.#once.size + this.#often.size
  }

  /** Returns milliseconds since 1970 until which the peer is banned. */
  add(peerId: string, now: number): number {
    const known = this.#find(peerId)
    const offences = known === undefined || now - known.until > BAN_MAX_MS ? 1 : known.offences + 1
    const until = now + Math.min(BAN_MAX_MS, BAN_MIN_MS * 2 ** (offences - 1))
    this.#once.delete(peerId)
    this.#often.delete(peerId)
    const place = offences === 1 ? this.#once : this.#often
    place.set(peerId, { offences, until })
    if (this.size > MAX_BANS) this.#forgetOne()
    return until
  }

  isBanned(peerId: string, now: number): boolean {
    return (this.#find(peerId)?.until ?? 0) > now
  }

  #find(peerId: string): Ban | undefined {
    return this.#often.get(peerId) ?? this.#once.get(peerId)
  }

  #forgetOne(): void {
    const place = this.#once.size > 0 ? this.#once : this.#often
    place.delete(place.keys().next().value as string)
  }
}

import { BAN_MAX_MS, BAN_MIN_MS, MAX_BANS } from '../base/limits.ts'

/**
 * Peers that misbehaved, and until when they are turned away: longer with every offence, until they have behaved for as
 * long as the longest ban.
 */
export class BanList {
  readonly #bans = new Map<string, { offences: number; until: number }>()

  /** Returns milliseconds since 1970 until which the peer is banned. */
  add(peerId: string, now: number): number {
    const known = this.#bans.get(peerId)
    const offences = known === undefined || now - known.until > BAN_MAX_MS ? 1 : known.offences + 1
    const until = now + Math.min(BAN_MAX_MS, BAN_MIN_MS * 2 ** (offences - 1))
    this.#bans.delete(peerId)
    this.#bans.set(peerId, { offences, until })
    if (this.#bans.size > MAX_BANS) this.#bans.delete(this.#bans.keys().next().value as string)
    return until
  }

  isBanned(peerId: string, now: number): boolean {
    return (this.#bans.get(peerId)?.until ?? 0) > now
  }
}

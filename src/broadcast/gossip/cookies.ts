import { hash } from '../../base/hash.ts'
import { COOKIE_PERIOD_MS } from './limits.ts'
import { COOKIE_BYTES } from './messages.ts'

/**
 * What an address has to echo to prove that it receives what is sent there: a keyed hash of the address, of who says to be
 * there and of the time, roughly. Nothing needs to be kept for those who never echo.
 */
export class Cookies {
  readonly #key: Buffer

  /** @param key 32 random bytes. */
  constructor(key: Buffer) {
    this.#key = key
  }

  of(address: string, peerId: string, now: number): Buffer {
    return this.#make(address, peerId, Math.floor(now / COOKIE_PERIOD_MS))
  }

  isGood(cookie: Buffer, address: string, peerId: string, now: number): boolean {
    const period = Math.floor(now / COOKIE_PERIOD_MS)
    // Equality in constant time is not called for: a guess costs a datagram that only a member can seal.
    return [period, period - 1].some((at) => this.#make(address, peerId, at).equals(cookie))
  }

  #make(address: string, peerId: string, period: number): Buffer {
    return hash(Buffer.from(`${period} ${peerId} ${address}`, 'utf8'), this.#key).subarray(0, COOKIE_BYTES)
  }
}

import {
  ADMISSION_TIMEOUT_MS,
  MAX_CLOCK_BACK_MS,
  PING_INTERVAL_MS,
  SILENCE_TIMEOUT_MS,
  STALL_TIMEOUT_MS,
} from '../base/limits.ts'
import type { Violation } from './end-reason.ts'

/** Until when a peer is given time: its admission, its next step, any sign of life. All times are in milliseconds. */
export class Liveness {
  #latest = 0
  #heardAt = 0
  #sentAt = 0
  /** When the peer last took a step towards an open session. */
  #stepAt = 0
  /** Since when the connection has taken no more; infinity while it does. */
  #blockedSince = Infinity

  start(now: number): void {
    this.#latest = this.#heardAt = this.#sentAt = this.#stepAt = now
  }

  /** False if the clock was set back: no deadline that was noted means anything then. */
  isSound(now: number): boolean {
    const isSound = now >= this.#latest - MAX_CLOCK_BACK_MS
    this.#latest = Math.max(this.#latest, now)
    return isSound
  }

  heard(now: number): void {
    this.#heardAt = now
  }

  step(now: number): void {
    this.#stepAt = now
  }

  sent(now: number): void {
    this.#sentAt = now
  }

  writable(now: number, writable: boolean): void {
    this.#blockedSince = writable ? Infinity : Math.min(this.#blockedSince, now)
  }

  isPingDue(now: number): boolean {
    return now - this.#sentAt >= PING_INTERVAL_MS
  }

  /** @param owes whether the peer has announced events and sends none. */
  violation(phase: 'hello' | 'meeting' | 'open', owes: boolean, now: number): Violation | null {
    if (phase === 'hello' && now - this.#stepAt >= ADMISSION_TIMEOUT_MS) {
      // Nothing at all has come: of a half-open connection that is no offence, and its peer is to be let in again.
      return { reason: 'silence', detail: 'did not prove in time that it knows the database' }
    }
    const silent = now - this.#heardAt
    if (silent >= SILENCE_TIMEOUT_MS) return { reason: 'silence', detail: 'has not been heard of' }
    if (now - this.#blockedSince >= SILENCE_TIMEOUT_MS) {
      return { reason: 'silence', detail: 'does not read what it is sent' }
    }
    if (!owes && !(phase === 'meeting' && now - this.#stepAt >= STALL_TIMEOUT_MS)) return null
    // If nothing at all comes from the peer, the network may be the cause.
    const isAlive = silent < PING_INTERVAL_MS * 1.5
    const detail = owes ? 'did not send what it had announced' : 'did not say what it holds'
    return { reason: isAlive ? 'stalled' : 'silence', detail }
  }

  /** When `violation` or `isPingDue` may have changed. */
  wakeAt(phase: 'hello' | 'meeting' | 'open'): number {
    const at = Math.min(this.#heardAt, this.#blockedSince) + SILENCE_TIMEOUT_MS
    if (phase === 'hello') return Math.min(at, this.#stepAt + ADMISSION_TIMEOUT_MS)
    const ping = this.isBlocked ? Infinity : this.#sentAt + PING_INTERVAL_MS
    return Math.min(at, ping, phase === 'meeting' ? this.#stepAt + STALL_TIMEOUT_MS : Infinity)
  }

  get isBlocked(): boolean {
    return this.#blockedSince !== Infinity
  }
}

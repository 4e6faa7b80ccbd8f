import { Allowance } from './allowance.ts'
import type { Exchange } from './exchange.ts'
import {
  ASKING_BURST,
  ASKING_PER_SECOND,
  DEFAULT_RTT_MS,
  FIRST_HEARTBEAT_MS,
  MAX_RETIRED_EPOCHS,
  MAX_RTT_MS,
  PEER_BURST_BYTES,
  PEER_BYTES_PER_SECOND,
} from './limits.ts'
import type { Heartbeat } from './messages.ts'
import { NO_COOKIE } from './messages.ts'
import { ReplayWindow } from './replay-window.ts'

/** What is known of the one at an address, whether or not it has proved to be there. */
export class Contact {
  readonly address: string
  /** Hex. */
  peerId: string
  /** What we have to echo. */
  cookie: Buffer = NO_COOKIE
  /** Time of its newest heartbeat by its own clock, and when that came. */
  heard: { time: number; at: number } | null = null
  receivedBytes = 0
  sentBytes = 0
  /** When a heartbeat was last sent to it, and when the next is due. */
  heartbeatAt: number = -Infinity
  heartbeatDue: number = Infinity
  /** Milliseconds to the one after that. */
  heartbeatMs: number = FIRST_HEARTBEAT_MS

  constructor(address: string, peerId: string) {
    this.address = address
    this.peerId = peerId
  }

  /** True if it has told us something that it should hear of: a new cookie. */
  onHeartbeat({ time, cookie }: Heartbeat, now: number): boolean {
    this.heard = { time, at: now }
    if (cookie.equals(NO_COOKIE) || cookie.equals(this.cookie)) return false
    this.cookie = Buffer.from(cookie)
    return true
  }
}

/** A member at an address that it has proved to be its own. */
export class Remote extends Contact {
  epoch: string
  readonly since: number
  heardAt: number
  /** When it last brought something that was of use. */
  usefulAt: number | null = null
  root: Buffer | null = null
  inSync = false
  #isSpare = false
  rtt: number = DEFAULT_RTT_MS
  readonly budget: Allowance = new Allowance(PEER_BYTES_PER_SECOND, PEER_BURST_BYTES)
  readonly asking: Allowance = new Allowance(ASKING_PER_SECOND, ASKING_BURST)
  readonly exchange: Exchange
  #window = new ReplayWindow()
  readonly #retired: string[] = []
  #measured = false

  constructor(contact: Contact, epoch: string, exchange: Exchange, now: number) {
    super(contact.address, contact.peerId)
    this.cookie = contact.cookie
    this.heard = contact.heard
    this.epoch = epoch
    this.exchange = exchange
    this.since = now
    this.heardAt = now
  }

  /**
   * The same process, as it says, is known at another address: here it is only answered. Nothing else is shared between the
   * two, for any member can say so.
   */
  get isSpare(): boolean {
    return this.#isSpare
  }

  set isSpare(isSpare: boolean) {
    this.#isSpare = isSpare
    this.exchange.isPassive = isSpare
  }

  /** What it sent before it was let in is not looked at again. */
  begin(counter: number): void {
    this.#window.begin(counter)
  }

  /** False if the datagram has been here before, or may have been. */
  isFresh(epoch: string, counter: number): boolean {
    if (epoch === this.epoch) return this.#window.add(counter)
    return !this.#retired.includes(epoch)
  }

  /** The process there has started anew. */
  restart(epoch: string, counter: number): void {
    this.#retired.push(this.epoch)
    if (this.#retired.length > MAX_RETIRED_EPOCHS) this.#retired.shift()
    this.epoch = epoch
    this.#window = new ReplayWindow()
    this.#window.begin(counter)
  }

  /** Takes a measurement of the round-trip time: smoothed as TCP does (RFC 6298). */
  measured(rtt: number): void {
    const sane = Math.max(1, Math.min(MAX_RTT_MS, rtt))
    this.rtt = this.#measured ? this.rtt + (sane - this.rtt) / 8 : sane
    this.#measured = true
  }
}

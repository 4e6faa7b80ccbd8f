import { BanList } from '../ban-list.ts'
import { Cookies } from './cookies.ts'
import { Envelope } from './envelope.ts'
import type { Exchange } from './exchange.ts'
import {
  FIRST_HEARTBEAT_MS,
  HEARTBEAT_MS,
  MAX_AMPLIFICATION,
  MAX_REMOTES,
  MAX_STRANGERS,
  MIN_HEARTBEAT_MS,
  MISSED_HEARTBEATS,
  REMOTE_GRACE_MS,
} from './limits.ts'
import type { Header, Heartbeat, Message } from './messages.ts'
import { decodeBody, decodeHeader, encodeHeartbeat, encodeMessage, EPOCH_BYTES, NO_COOKIE } from './messages.ts'
import { Contact, Remote } from './remote.ts'

export interface ContactsOptions {
  key: Buffer
  peerId: string
  random: (bytes: number) => Buffer
  newExchange: (address: string) => Exchange
  /** Frontier root and number of items. */
  state: () => { root: Buffer; items: number }
}

/** What was received and dropped, and why. */
export interface Dropped {
  /** Sealed by no member of the database. */
  unauthentic: number
  /** Seen before, or too old to tell. */
  replayed: number
  /** From an address that has not proved to be the sender's. */
  unproven: number
  /** From one that is turned away. */
  banned: number
}

/** A message that may be acted upon, and from whom. */
export interface Received {
  remote: Remote
  /** Null: it is none, although a member has sealed it. */
  message: Message | null
  isNew: boolean
}

/**
 * Who is where. An address is its sender's only if it echoes the cookie that was sent there; until then it gets at most three
 * times the bytes that came from it, and nothing but heartbeats.
 */
export class Contacts {
  readonly remotes: Map<string, Remote> = new Map()
  readonly bans: BanList = new BanList()
  readonly dropped: Dropped = { unauthentic: 0, replayed: 0, unproven: 0, banned: 0 }
  /** The oldest first. */
  readonly #strangers = new Map<string, Contact>()
  readonly #options: ContactsOptions
  readonly #envelope: Envelope
  readonly #cookies: Cookies
  readonly #sender: Buffer
  readonly #epoch: Buffer
  #counter = 0
  #allAt = Infinity
  #allMs = FIRST_HEARTBEAT_MS / 2

  constructor(options: ContactsOptions) {
    this.#options = options
    this.#envelope = new Envelope(options.key, options.random)
    this.#cookies = new Cookies(options.random(32))
    this.#sender = Buffer.from(options.peerId, 'hex')
    this.#epoch = options.random(EPOCH_BYTES)
  }

  get tag(): Buffer {
    return this.#envelope.tag
  }

  get strangers(): number {
    return this.#strangers.size
  }

  start(now: number): void {
    this.#allMs = FIRST_HEARTBEAT_MS / 2
    this.#allAt = now
  }

  // ---- receiving --------------------------------------------------------------------------------------------------

  /** Null for what is not to be acted upon. */
  receive(datagram: Buffer, address: string, now: number): Received | null {
    const opened = this.#envelope.open(datagram)
    const decoded = opened === null ? null : decodeHeader(opened)
    if (decoded === null) return this.#drop('unauthentic')
    const { header, body } = decoded
    if (header.sender.equals(this.#sender)) return null
    if (this.bans.isBanned(address, now)) return this.#drop('banned')
    const epoch = header.epoch.toString('hex')
    const known = this.remotes.get(address)
    const peerId = header.sender.toString('hex')
    const isProven = this.#cookies.isGood(header.echo, address, peerId, now)
    const message = decodeBody(body)
    if (known !== undefined && isProven && known.peerId === peerId) {
      // Only now: any member can use the epoch of another, and must not use up its counters.
      if (!known.isFresh(epoch, header.counter)) return this.#drop('replayed')
      if (epoch !== known.epoch) known.restart(epoch, header.counter)
      known.heardAt = now
      if (message?.type === 'heartbeat') this.#onHeartbeat(known, message, now)
      return { remote: known, message, isNew: false }
    }
    if (message?.type !== 'heartbeat') return this.#drop('unproven')
    const stranger = known ?? this.#stranger(address, peerId)
    stranger.receivedBytes += datagram.length
    if (known !== undefined && known.peerId === peerId) {
      // The cookie it echoes has become old, or it has started anew: it is told another.
      this.#hurry(known, now)
      return this.#drop('unproven')
    }
    if (known === undefined) stranger.onHeartbeat(message, now)
    if (!isProven || known !== undefined) {
      this.#hurry(stranger, now)
      return this.#drop('unproven')
    }
    const remote = this.#admit(stranger, header, epoch, now)
    if (remote === null) return null
    this.#hurry(remote, now)
    return { remote, message, isNew: true }
  }

  #drop(why: keyof Dropped): null {
    this.dropped[why]++
    return null
  }

  #stranger(address: string, peerId: string): Contact {
    let contact = this.#strangers.get(address)
    if (contact === undefined || contact.peerId !== peerId) {
      const { receivedBytes, sentBytes } = contact ?? { receivedBytes: 0, sentBytes: 0 }
      contact = new Contact(address, peerId)
      contact.receivedBytes = receivedBytes
      contact.sentBytes = sentBytes
      this.#strangers.set(address, contact)
      if (this.#strangers.size > MAX_STRANGERS) this.#strangers.delete(this.#strangers.keys().next().value as string)
    }
    return contact
  }

  #admit(stranger: Contact, { counter }: Header, epoch: string, now: number): Remote | null {
    if (this.remotes.size >= MAX_REMOTES && !this.#makeRoom(now)) return null
    this.#strangers.delete(stranger.address)
    const remote = new Remote(stranger, epoch, this.#options.newExchange(stranger.address), now)
    remote.begin(counter)
    for (const other of this.remotes.values()) if (other.epoch === epoch && !other.isSpare) remote.isSpare = true
    this.remotes.set(remote.address, remote)
    return remote
  }

  #makeRoom(now: number): boolean {
    let worst: Remote | null = null
    for (const remote of this.remotes.values()) {
      if (now - remote.since < REMOTE_GRACE_MS) continue
      if (worst === null || (remote.usefulAt ?? 0) < (worst.usefulAt ?? 0)) worst = remote
    }
    if (worst === null) return false
    // The next `wake` finds it gone.
    worst.heardAt = -Infinity
    return false
  }

  #onHeartbeat(remote: Remote, message: Heartbeat, now: number): void {
    if (remote.onHeartbeat(message, now)) this.#hurry(remote, now)
    if (message.heard === null) return
    const rtt = now - message.heard - message.delay
    // A delay of 65 s or more is told as that.
    if (rtt >= 0 && message.heard <= now) remote.measured(rtt)
  }

  // ---- sending ----------------------------------------------------------------------------------------------------

  seal(contact: Contact | null, body: Buffer): Buffer {
    const header = {
      sender: this.#sender,
      epoch: this.#epoch,
      counter: this.#counter++,
      echo: contact?.cookie ?? NO_COOKIE,
    }
    return this.#envelope.seal(encodeMessage(header, body))
  }

  /** A heartbeat that is due, or null. */
  next(now: number): { bytes: Buffer; to: string } | null {
    if (now >= this.#allAt) {
      this.#allMs = Math.min(HEARTBEAT_MS, this.#allMs * 2)
      this.#allAt = now + this.#jittered(this.#allMs)
      return { bytes: this.#heartbeat(null, now), to: 'all' }
    }
    for (const contact of this.#contacts()) {
      if (contact.heartbeatDue > now) continue
      const bytes = this.#heartbeat(contact, now)
      contact.heartbeatAt = now
      contact.heartbeatDue = now + this.#jittered(contact.heartbeatMs)
      contact.heartbeatMs = Math.min(HEARTBEAT_MS, contact.heartbeatMs * 2)
      if (!(contact instanceof Remote)) {
        if (contact.sentBytes + bytes.length > MAX_AMPLIFICATION * contact.receivedBytes) {
          contact.heartbeatDue = Infinity
          continue
        }
        contact.sentBytes += bytes.length
      }
      return { bytes, to: contact.address }
    }
    return null
  }

  *#contacts(): Generator<Contact> {
    yield* this.remotes.values()
    yield* this.#strangers.values()
  }

  #heartbeat(contact: Contact | null, now: number): Buffer {
    const { root, items } = this.#options.state()
    const heard = contact?.heard ?? null
    const cookie = contact === null ? NO_COOKIE : this.#cookies.of(contact.address, contact.peerId, now)
    const time = Math.max(0, Math.floor(now))
    const delay = heard === null ? 0 : Math.max(0, Math.floor(now - heard.at))
    return this.seal(contact, encodeHeartbeat({ root, items, time, heard: heard?.time ?? null, delay, cookie }))
  }

  #jittered(ms: number): number {
    const jitter = this.#options.random(2).readUInt16BE(0) / 0x10000 - 0.5
    return ms * (1 + jitter / 2)
  }

  #hurry(contact: Contact, now: number): void {
    contact.heartbeatDue = Math.min(contact.heartbeatDue, Math.max(now, contact.heartbeatAt + MIN_HEARTBEAT_MS))
  }

  /** Our root has changed: all members shall hear of it soon. */
  announce(now: number, delay: number): void {
    for (const remote of this.remotes.values()) {
      // Any of them may be lost, and until one arrives the peer does not know.
      remote.heartbeatMs = FIRST_HEARTBEAT_MS
      remote.heartbeatDue = Math.min(remote.heartbeatDue, Math.max(now, remote.heartbeatAt + delay))
    }
  }

  get wakeAt(): number {
    let at = this.#allAt
    for (const contact of this.#contacts()) at = Math.min(at, contact.heartbeatDue)
    return at
  }

  // ---- leaving ----------------------------------------------------------------------------------------------------

  /** Those that have not been heard of for too long. */
  silent(now: number): Remote[] {
    return [...this.remotes.values()].filter(({ heardAt }) => now - heardAt > MISSED_HEARTBEATS * HEARTBEAT_MS)
  }

  remove(remote: Remote): void {
    this.remotes.delete(remote.address)
    if (remote.isSpare) return
    for (const other of this.remotes.values()) {
      if (other.epoch !== remote.epoch) continue
      other.isSpare = false
      return
    }
  }

  stop(): void {
    this.#allAt = Infinity
    this.#strangers.clear()
    this.remotes.clear()
  }
}

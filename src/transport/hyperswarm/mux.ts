import type NoiseSecretStream from '@hyperswarm/secret-stream'
import { Backoff } from '../../base/backoff.ts'
import { equalBytes, toHex } from '../../base/bytes.ts'
import { assert } from '../../base/errors.ts'
import { MAX_UNMATCHED_CHANNELS } from '../../base/limits.ts'
import type { Topic } from '../../topic/topic.ts'
import { Channel, CLOSE_FLUSH_MS } from '../channel.ts'
import type { ChannelLink } from '../channel.ts'
import { channelHash, channelTag, CLOSE, CREDIT, DATA, decodeFrame, OPEN, PING, PONG } from './frames.ts'
import type { Frame } from './frames.ts'
import { Outbox } from './outbox.ts'
import { Probe } from './probe.ts'

/** A channel that lived this long was a success: the next one is offered quickly again. */
const STABLE_MS = 5000

/** What the owner of a link is told. */
export interface MuxOwner {
  onChannel(topic: Topic, channel: Channel): void
  /** The channel's last word, from here, from the peer or because the link is gone. */
  onChannelEnd(topic: Topic, channel: Channel): void
  /** No channel is live or closing any more. `acknowledged`: the peer has seen everything, the link may go at once. */
  onIdle(acknowledged: boolean): void
  onViolation(reason: string): void
}

interface Joined {
  topic: Topic
  ours: Buffer
  theirs: Buffer
  slot: Slot | null
  backoff: Backoff
  timer: NodeJS.Timeout | null
}

interface Slot {
  number: number
  joined: Joined
  state: 'offered' | 'live' | 'closing'
  channel: Channel | null
  since: number
  ackTimer: NodeJS.Timeout | null
}

/** The channels of one link (see frames.ts for what goes over the wire). */
export class Mux {
  readonly #stream: NoiseSecretStream
  readonly #owner: MuxOwner
  readonly #outbox: Outbox
  readonly #probe: Probe
  readonly #peerId: string
  readonly #joined: Map<string, Joined> = new Map()
  /** By channel number, from OPEN until both sides have closed. */
  readonly #slots: Map<number, Slot> = new Map()
  /** Offers of the peer that we have no topic for: channel number and tag. */
  readonly #unmatched: Map<number, Buffer> = new Map()
  #lastNumber = 0
  #destroyed = false

  constructor(stream: NoiseSecretStream, owner: MuxOwner) {
    this.#stream = stream
    this.#owner = owner
    this.#peerId = toHex(stream.remotePublicKey)
    stream.on('data', (bytes) => this.#onFrame(bytes))
    this.#outbox = new Outbox(stream, () => this.#onDrain())
    this.#probe = new Probe(
      () => this.#write({ type: PING }),
      () => owner.onViolation('no answer'),
    )
    stream.on('end', () => stream.destroy())
    stream.on('close', () => this.#onLost())
  }

  /** Whether any channel is live. */
  get live(): boolean {
    for (const slot of this.#slots.values()) if (slot.state === 'live') return true
    return false
  }

  /** Whether any channel is live, or closing and not yet acknowledged. */
  get busy(): boolean {
    for (const slot of this.#slots.values()) if (slot.channel !== null) return true
    return false
  }

  /** Gives the link up unless the peer answers soon. */
  makeSure(): void {
    if (!this.#destroyed) this.#probe.again()
  }

  /** Offers the topic to the peer, or answers the peer's offer. */
  join(topic: Topic): void {
    const key = toHex(topic)
    if (this.#destroyed || this.#joined.has(key)) return
    const { isInitiator, handshakeHash } = this.#stream
    const joined: Joined = {
      topic,
      ours: channelTag(topic, isInitiator, handshakeHash),
      theirs: channelTag(topic, !isInitiator, handshakeHash),
      slot: null,
      backoff: new Backoff(),
      timer: null,
    }
    this.#joined.set(key, joined)
    if (!isInitiator) return this.#offer(joined)
    for (const [number, tag] of this.#unmatched) {
      if (equalBytes(tag, joined.theirs)) return this.#answer(joined, number)
    }
  }

  /** Takes the offer back and closes the topic's channel; resolves when what was sent is on its way. */
  async leave(topic: Topic, reason: string): Promise<void> {
    const key = toHex(topic)
    const joined = this.#joined.get(key)
    if (joined === undefined) return
    this.#joined.delete(key)
    if (joined.timer !== null) clearTimeout(joined.timer)
    const slot = joined.slot
    if (slot === null) return
    if (slot.channel === null) this.#close(slot, reason)
    else await slot.channel.close(reason)
  }

  // ---- outgoing ---------------------------------------------------------------------------------------------------

  #offer(joined: Joined): void {
    let offered = 0
    for (const slot of this.#slots.values()) {
      if (slot.state === 'offered') offered++
      // Left and joined again while the former channel is still flushing: its end brings the offer.
      if (slot.state !== 'closing' && equalBytes(slot.joined.topic, joined.topic)) return
    }
    if (offered >= MAX_UNMATCHED_CHANNELS) return
    const number = ++this.#lastNumber
    this.#addSlot(joined, number, 'offered')
    this.#write({ type: OPEN, channel: number, tag: joined.ours })
  }

  /** Topics that had to wait for others' offers to be answered. */
  #offerWaiting(): void {
    if (this.#stream.isInitiator || this.#destroyed) return
    for (const joined of this.#joined.values()) {
      if (joined.slot === null && joined.timer === null) this.#offer(joined)
    }
  }

  #offerLater(topic: Topic): void {
    const joined = this.#joined.get(toHex(topic))
    if (joined === undefined || this.#stream.isInitiator || this.#destroyed || joined.timer !== null) return
    joined.timer = setTimeout(() => {
      joined.timer = null
      this.#offer(joined)
    }, joined.backoff.next())
  }

  #answer(joined: Joined, number: number): void {
    this.#unmatched.delete(number)
    const slot = this.#addSlot(joined, number, 'live')
    this.#write({ type: OPEN, channel: number, tag: joined.ours })
    this.#goLive(slot)
  }

  #addSlot(joined: Joined, number: number, state: Slot['state']): Slot {
    const slot: Slot = { number, joined, state, channel: null, since: Date.now(), ackTimer: null }
    joined.slot = slot
    this.#slots.set(number, slot)
    return slot
  }

  #goLive(slot: Slot): void {
    const { topic } = slot.joined
    slot.state = 'live'
    slot.since = Date.now()
    slot.channel = new Channel(
      {
        peerId: this.#peerId,
        initiator: this.#stream.isInitiator,
        handshakeHash: channelHash(topic, slot.number, this.#stream.handshakeHash),
      },
      this.#linkFor(slot),
    )
    this.#owner.onChannel(topic, slot.channel)
  }

  #linkFor(slot: Slot): ChannelLink {
    const outbox = this.#outbox
    return {
      get writable(): boolean {
        return outbox.writable
      },
      sendData: (message) => this.#write({ type: DATA, channel: slot.number, message: message as Buffer }),
      sendCredit: (bytes) => this.#write({ type: CREDIT, channel: slot.number, bytes }),
      sendClose: (reason) => this.#close(slot, reason),
    }
  }

  /** Our CLOSE, unless the peer's came first (that one has been answered). */
  #close(slot: Slot, reason: string): void {
    if (this.#slots.get(slot.number) !== slot || slot.state === 'closing') return
    slot.state = 'closing'
    this.#write({ type: CLOSE, channel: slot.number, reason })
    slot.ackTimer = setTimeout(() => this.#owner.onViolation('a CLOSE that was not answered'), CLOSE_FLUSH_MS)
    this.#detach(slot)
  }

  /** The topic may have another channel now. */
  #detach(slot: Slot): void {
    slot.joined.slot = null
    if (slot.channel !== null) {
      if (Date.now() - slot.since > STABLE_MS) slot.joined.backoff.reset()
      this.#owner.onChannelEnd(slot.joined.topic, slot.channel)
    }
    this.#offerLater(slot.joined.topic)
  }

  #write(frame: Frame): void {
    if (this.#destroyed) return
    this.#outbox.write(frame)
    if (this.#outbox.flooded) this.#owner.onViolation('requests without reading the answers')
  }

  #onDrain(): void {
    for (const slot of this.#slots.values()) slot.channel?.pump()
  }

  // ---- incoming ---------------------------------------------------------------------------------------------------

  #onFrame(bytes: Buffer): void {
    if (this.#destroyed) return
    const frame = decodeFrame(bytes)
    const violation = typeof frame === 'string' ? frame : this.#handle(frame)
    if (violation !== null) this.#owner.onViolation(violation)
  }

  #handle(frame: Frame): string | null {
    if (frame.type === PING) {
      this.#write({ type: PONG })
      return null
    }
    if (frame.type === PONG) {
      this.#probe.done()
      return null
    }
    if (frame.type === OPEN) {
      return this.#stream.isInitiator
        ? this.#onOffer(frame.channel, frame.tag)
        : this.#onAnswer(frame.channel, frame.tag)
    }
    const slot = this.#slots.get(frame.channel)
    if (slot === undefined) {
      if (frame.type !== CLOSE || !this.#unmatched.delete(frame.channel)) return 'a frame for no channel'
      this.#write({ type: CLOSE, channel: frame.channel, reason: '' })
      return null
    }
    if (frame.type === CLOSE) return this.#onClose(slot, frame.reason)
    if (slot.state === 'offered') return 'a frame before the channel was opened'
    if (slot.state === 'closing') return null
    assert(slot.channel !== null, 'a live channel without its object')
    // Whatever comes on a live channel was sent after its peer had heard from us.
    this.#probe.done()
    return frame.type === DATA ? slot.channel.onData(frame.message) : slot.channel.onCredit(frame.bytes)
  }

  #onOffer(number: number, tag: Buffer): string | null {
    if (number <= this.#lastNumber) return 'a channel number used twice'
    this.#lastNumber = number
    for (const joined of this.#joined.values()) {
      if (!equalBytes(joined.theirs, tag)) continue
      if (joined.slot !== null) return 'a second channel for one topic'
      this.#answer(joined, number)
      return null
    }
    if (this.#unmatched.size >= MAX_UNMATCHED_CHANNELS) return 'too many topics that we do not know'
    this.#unmatched.set(number, Buffer.from(tag))
    return null
  }

  #onAnswer(number: number, tag: Buffer): string | null {
    const slot = this.#slots.get(number)
    if (slot === undefined) return 'an answer to no offer'
    if (slot.state === 'closing') return null
    if (slot.state === 'live') return 'a second answer to one offer'
    if (!equalBytes(slot.joined.theirs, tag)) return 'an answer without knowledge of the topic'
    this.#probe.done()
    this.#goLive(slot)
    this.#offerWaiting()
    return null
  }

  #onClose(slot: Slot, reason: string): null {
    const acknowledged = slot.state === 'closing'
    const wasChannel = slot.channel !== null
    this.#slots.delete(slot.number)
    if (slot.ackTimer !== null) clearTimeout(slot.ackTimer)
    if (!acknowledged) {
      this.#write({ type: CLOSE, channel: slot.number, reason: '' })
      slot.channel?.onClose(reason)
      this.#detach(slot)
    }
    if (wasChannel && !this.busy) this.#owner.onIdle(acknowledged)
    else this.#offerWaiting()
    return null
  }

  #onLost(): void {
    this.#destroyed = true
    this.#probe.done()
    for (const joined of this.#joined.values()) if (joined.timer !== null) clearTimeout(joined.timer)
    for (const slot of this.#slots.values()) {
      if (slot.ackTimer !== null) clearTimeout(slot.ackTimer)
      if (slot.state !== 'live' || slot.channel === null) continue
      slot.channel.onClose('the link to the peer is lost')
      this.#owner.onChannelEnd(slot.joined.topic, slot.channel)
    }
    this.#slots.clear()
    this.#joined.clear()
    this.#unmatched.clear()
  }
}

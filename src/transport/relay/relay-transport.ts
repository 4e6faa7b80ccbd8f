import SecretStream from '@hyperswarm/secret-stream'
import { type DataFrame, type PeerFrame, type PeersFrame, type RelayFrame, encodeFrame } from 'peerlog-relay/frames'
import { asBuffer, equalBytes, toHex } from '../../base/bytes.ts'
import { PeerlogError } from '../../base/errors.ts'
import { DEFAULT_TIMEOUT_MS } from '../../base/limits.ts'
import type { Topic } from '../../topic/topic.ts'
import { assertTopic } from '../connection-feed.ts'
import type { Connection, NoiseKeyPair, PeerInfo, Transport } from '../transport.ts'
import { ChannelDuplex } from './channel-duplex.ts'
import { MAX_PENDING_LOOKUPS } from './limits.ts'
import { Membership } from './membership.ts'
import { RelaySocket } from './relay-socket.ts'
import { openCard, rendezvousOf } from './rendezvous.ts'
import { type RelayToken, isToken } from './token.ts'

export interface RelayTransportOptions {
  /** `ws://` or `wss://`; of several, which must be one service, the first that answers is used. */
  urls: string[]
  /** What the relay is shown as `Authorization: Bearer …`; a function is asked before every connection. */
  token?: RelayToken
  /** The identity of this peer; default a new random one. */
  keyPair?: NoiseKeyPair
  /** Milliseconds for an announcement, lookup or handshake; default 30 000. */
  timeoutMs?: number
  /** From 0 up to, not including, 1: spreads attempts over time. Default `Math.random`. */
  random?: () => number
}

export interface RelayTransport extends Transport {
  /** 32 bytes; its hex is our peer id. */
  readonly publicKey: Uint8Array
}

/**
 * Meets peers on a WebSocket relay, which learns when and how much they talk, but neither what nor about which topic.
 * The socket opens on first use, serves all topics, and is opened again for ever when it is lost. An announcement
 * that timed out is still made once a relay can be reached.
 * @throws {PeerlogError} `INVALID_CONFIG`
 */
export function relayTransport(options: RelayTransportOptions): RelayTransport {
  const keyPair = options.keyPair ?? SecretStream.keyPair()
  if (keyPair.publicKey.length !== 32 || keyPair.secretKey.length !== 64) {
    throw new PeerlogError('INVALID_CONFIG', 'keyPair must have a publicKey of 32 and a secretKey of 64 bytes')
  }
  const timeoutMs = options.timeoutMs ?? DEFAULT_TIMEOUT_MS
  if (!(timeoutMs > 0)) throw new PeerlogError('INVALID_CONFIG', `timeoutMs must be above 0, not ${timeoutMs}`)
  checkUrls(options.urls)
  const { token } = options
  if (token !== undefined && typeof token !== 'function' && !isToken(token)) {
    throw new PeerlogError('INVALID_CONFIG', 'the token for the relay is no text without spaces, in ASCII')
  }
  return new PeersOverRelay({ ...options, keyPair, timeoutMs, random: options.random ?? Math.random })
}

interface PendingLookup {
  topic: Topic
  resolve(keys: Uint8Array[]): void
}

type CheckedOptions = RelayTransportOptions & Required<Omit<RelayTransportOptions, 'token'>>

class PeersOverRelay implements RelayTransport {
  readonly name = 'relay'
  readonly publicKey: Uint8Array
  readonly #urls: string[]
  readonly #keyPair: NoiseKeyPair
  readonly #timeoutMs: number
  readonly #random: () => number
  readonly #socket: RelaySocket
  /** By rendezvous. */
  readonly #memberships: Map<string, Membership> = new Map()
  /** By channel number. */
  readonly #channels: Map<number, ChannelDuplex> = new Map()
  readonly #lookups: Map<number, PendingLookup> = new Map()
  /** Rejects what waits for an answer when the transport is disconnected. */
  readonly #abandon: Set<() => void> = new Set()
  #lastLookup = 0
  #suspended: Promise<void> | undefined
  #disconnected: Promise<void> | undefined

  constructor({ urls, token, keyPair, timeoutMs, random }: CheckedOptions) {
    this.publicKey = Uint8Array.from(keyPair.publicKey)
    this.#urls = [...urls]
    this.#keyPair = keyPair
    this.#timeoutMs = timeoutMs
    this.#random = random
    this.#socket = new RelaySocket({
      urls: this.#urls,
      token,
      timeoutMs,
      random,
      onOpen: () => this.#onOpen(),
      onFrame: (frame) => this.#onFrame(frame),
      onLost: () => this.#onLost(),
    })
  }

  async announce(topic: Topic): Promise<void> {
    assertTopic(topic)
    this.#start()
    const membership = this.#membership(topic)
    await this.#answered('announce', membership.announce(), () => membership.refusal)
  }

  async lookup(topic: Topic): Promise<PeerInfo[]> {
    assertTopic(topic)
    this.#start()
    if (this.#suspended !== undefined) {
      throw new PeerlogError('TIMEOUT', 'The transport is suspended', { hint: 'Call resume() first' })
    }
    if (this.#lookups.size >= MAX_PENDING_LOOKUPS) {
      throw new PeerlogError('TIMEOUT', `More than ${MAX_PENDING_LOOKUPS} lookups wait for an answer`)
    }
    const request = (this.#lastLookup = (this.#lastLookup + 1) >>> 0)
    const found = new Promise<Uint8Array[]>((resolve) => this.#lookups.set(request, { topic, resolve }))
    this.#sendLookup(request, topic)
    try {
      const keys = await this.#answered('lookup', found, () => undefined)
      return this.#describe(keys)
    } finally {
      this.#lookups.delete(request)
    }
  }

  connect(topic: Topic, options: { signal?: AbortSignal } = {}): AsyncIterable<Connection> {
    assertTopic(topic)
    return {
      [Symbol.asyncIterator]: () => {
        const { signal } = options
        const feed = this.#membership(topic).iterate(signal)
        if (this.#disconnected !== undefined) void feed.end()
        else if (!feed.ended) this.#socket.start()
        return feed
      },
    }
  }

  refresh(topic: Topic): void {
    assertTopic(topic)
    if (this.#disconnected !== undefined || this.#suspended !== undefined) return
    this.#socket.refresh()
    this.#memberships.get(toHex(rendezvousOf(topic)))?.refresh()
  }

  suspend(): Promise<void> {
    this.#suspended ??= (async () => {
      await Promise.all([...this.#memberships.values()].map((membership) => membership.hangUp('suspended')))
      await this.#socket.suspend()
    })()
    return this.#suspended
  }

  async resume(): Promise<void> {
    const suspended = this.#suspended
    if (suspended === undefined) return
    await suspended
    if (this.#suspended !== suspended) return
    this.#suspended = undefined
    this.#socket.resume()
  }

  disconnect(): Promise<void> {
    this.#disconnected ??= (async () => {
      for (const abandon of this.#abandon) abandon()
      await Promise.all([...this.#memberships.values()].map((membership) => membership.leave()))
      await this.#socket.close()
      for (const channel of this.#channels.values()) channel.destroy()
    })()
    return this.#disconnected
  }

  #start(): void {
    if (this.#disconnected !== undefined) throw disconnectedError()
    this.#socket.start()
  }

  #membership(topic: Topic): Membership {
    const key = toHex(rendezvousOf(topic))
    let membership = this.#memberships.get(key)
    if (membership === undefined) {
      membership = new Membership({
        topic: Uint8Array.from(topic),
        socket: this.#socket,
        keyPair: this.#keyPair,
        timeoutMs: this.#timeoutMs,
        random: this.#random,
        onIdle: () => this.#memberships.delete(key),
      })
      this.#memberships.set(key, membership)
    }
    return membership
  }

  /** The relay's answer, or an error that says why there is none. */
  async #answered<T>(what: string, answer: Promise<T>, refusal: () => string | undefined): Promise<T> {
    let cleanUp = (): void => undefined
    const failure = new Promise<never>((_resolve, reject) => {
      const late = (): void => reject(this.#timeoutError(what, refusal()))
      const timer = setTimeout(late, this.#timeoutMs)
      const abandon = (): void => reject(disconnectedError())
      this.#abandon.add(abandon)
      cleanUp = () => {
        clearTimeout(timer)
        this.#abandon.delete(abandon)
      }
    })
    try {
      return await Promise.race([answer, failure])
    } finally {
      cleanUp()
    }
  }

  #timeoutError(what: string, refusal: string | undefined): PeerlogError {
    const reason = refusal ?? (this.#socket.url === null ? this.#socket.failure : undefined)
    const text = `The relay did not answer ${what} within ${this.#timeoutMs} ms${reason === undefined ? '' : ` (${reason})`}`
    const hint = `Check that the relay is running and that its URL is right: ${this.#urls.join(', ')}`
    return new PeerlogError('TIMEOUT', text, { hint })
  }

  #onOpen(): void {
    for (const membership of this.#memberships.values()) membership.join()
    for (const [request, { topic }] of this.#lookups) this.#sendLookup(request, topic)
  }

  #onFrame(frame: RelayFrame): void {
    switch (frame.kind) {
      case 'data':
        return this.#onData(frame)
      case 'credit':
        return this.#channels.get(frame.channel)?.addCredit(frame.bytes)
      case 'close':
        return this.#channels.get(frame.channel)?.endRemotely()
      case 'peer':
        return this.#onPeer(frame)
      case 'peers':
        return this.#onPeers(frame)
      case 'joined':
        return this.#memberships.get(toHex(frame.rendezvous))?.onJoined()
      case 'refused':
        return this.#memberships.get(toHex(frame.rendezvous))?.onRefused(frame.text)
    }
  }

  #onData({ channel, payload }: DataFrame): void {
    this.#channels.get(channel)?.receive(asBuffer(payload))
  }

  #onPeer(frame: PeerFrame): void {
    if (this.#channels.has(frame.channel)) return
    const membership = this.#memberships.get(toHex(frame.rendezvous))
    const channel = new ChannelDuplex(this.#socket, frame.channel)
    this.#channels.set(frame.channel, channel)
    channel.once('close', () => {
      if (this.#channels.get(frame.channel) === channel) this.#channels.delete(frame.channel)
    })
    if (membership?.onPeer(channel, frame.initiator) !== true) channel.destroy()
  }

  #onPeers(frame: PeersFrame): void {
    const lookup = this.#lookups.get(frame.request)
    if (lookup === undefined) return
    const keys = frame.cards.map((card) => openCard(lookup.topic, card)).filter((key) => key !== null)
    lookup.resolve(keys.filter((key) => !equalBytes(key, this.publicKey)))
  }

  /** All channels end; what has arrived can still be read. */
  #onLost(): void {
    const channels = [...this.#channels.values()]
    // The numbers start again on the next socket.
    this.#channels.clear()
    for (const membership of this.#memberships.values()) membership.onLost()
    for (const channel of channels) channel.endRemotely()
  }

  #sendLookup(request: number, topic: Topic): void {
    this.#socket.send(encodeFrame({ kind: 'lookup', request, rendezvous: rendezvousOf(topic) }))
  }

  #describe(keys: Uint8Array[]): PeerInfo[] {
    const ids = new Set(keys.map((key) => toHex(key)))
    const address = this.#socket.url
    const memberships = [...this.#memberships.values()]
    return [...ids].map((id) => ({
      id,
      ...(address === null ? {} : { address }),
      connected: memberships.some(({ connections }) => connections.get(id)?.alive === true),
    }))
  }
}

function checkUrls(urls: string[]): void {
  if (urls.length === 0) {
    throw new PeerlogError('INVALID_CONFIG', 'The relay transport needs a relay URL', {
      hint: 'Give one such as wss://relay.example.org',
    })
  }
  for (const url of urls) {
    if (URL.canParse(url) && /^wss?:$/.test(new URL(url).protocol) && new URL(url).hash === '') continue
    throw new PeerlogError('INVALID_CONFIG', `${url} is not a relay URL`, {
      hint: 'It starts with ws:// or wss://, such as wss://relay.example.org',
    })
  }
}

function disconnectedError(): PeerlogError {
  return new PeerlogError('CLOSED', 'The transport has been disconnected')
}

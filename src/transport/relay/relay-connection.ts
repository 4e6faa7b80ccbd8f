import SecretStream from '@hyperswarm/secret-stream'
import { AsyncQueue } from '../../base/async-queue.ts'
import { asBuffer, equalBytes, toHex } from '../../base/bytes.ts'
import { PeerlogError } from '../../base/errors.ts'
import { MAX_MESSAGE_BYTES } from '../../base/limits.ts'
import type { Topic } from '../../topic/topic.ts'
import { type Connection, type NoiseKeyPair, SUPERSEDED } from '../transport.ts'
import { within } from '../within.ts'
import type { ChannelDuplex } from './channel-duplex.ts'
import { CLOSE_FLUSH_MS, COPY_MESSAGE_BYTES, PEER_KEEP_ALIVE_MS, PEER_SILENCE_MS } from './limits.ts'
import { bindingOf } from './rendezvous.ts'

export interface EstablishOptions {
  channel: ChannelDuplex
  initiator: boolean
  topic: Topic
  keyPair: NoiseKeyPair
  /** Milliseconds for all of it. */
  timeoutMs: number
  /** Milliseconds for the next that is heard of the peer. */
  silenceMs: number
}

/** The peer, or the relay, has said nothing more in the middle of a handshake. */
export class HandshakeSilence extends Error {}

/**
 * A connection whose peer has proven its key and that it means the same topic. Rejects when that takes longer than
 * `timeoutMs`, with `HandshakeSilence` when nothing is heard for `silenceMs`, or when the peer is ourselves or proves
 * something else; the channel is destroyed then.
 */
export function establish(options: EstablishOptions): Promise<RelayConnection> {
  const { channel, topic, keyPair } = options
  const secret = new SecretStream(options.initiator, channel, {
    keyPair: { publicKey: asBuffer(keyPair.publicKey), secretKey: asBuffer(keyPair.secretKey) },
  })
  return new Promise((resolve, reject) => {
    let connection: RelayConnection | undefined
    const begunAt = performance.now()
    const settle = (): void => {
      clearTimeout(timer)
      clearTimeout(silence)
    }
    const fail = (message: string, Kind: new (message: string) => Error = Error): void => {
      settle()
      reject(new Kind(message))
      secret.destroy()
    }
    const timer = setTimeout(() => fail('the peer did not answer in time'), options.timeoutMs)
    const watchSilence = (): NodeJS.Timeout => {
      const leftMs = Math.max(begunAt, channel.heardAt) + options.silenceMs - performance.now()
      return setTimeout(() => {
        const heardSince = channel.heardAt + options.silenceMs > performance.now()
        if (heardSince) silence = watchSilence()
        else fail('the peer fell silent', HandshakeSilence)
      }, leftMs)
    }
    let silence = watchSilence()
    // Also later errors: what they lead to is the close.
    secret.on('error', () => undefined)
    secret.on('end', () => secret.destroy())
    secret.on('close', () => {
      if (connection === undefined) fail('the channel closed during the handshake')
    })
    secret.on('connect', () => {
      if (equalBytes(secret.remotePublicKey, keyPair.publicKey)) return fail('the relay paired us with ourselves')
      secret.write(bindingOf(topic, secret.handshakeHash))
    })
    secret.on('data', (message) => {
      if (connection !== undefined) return connection.accept(message)
      if (!equalBytes(message, bindingOf(topic, secret.handshakeHash))) return fail('the peer means another topic')
      settle()
      connection = new RelayConnection(secret, channel)
      resolve(connection)
    })
  })
}

/** An established secret stream over a channel. */
export class RelayConnection implements Connection {
  readonly peerId: string
  readonly initiator: boolean
  readonly handshakeHash: Uint8Array
  /** Resolves once the connection is closed, from whichever side. */
  readonly closed: Promise<void>
  readonly #secret: SecretStream
  readonly #channel: ChannelDuplex
  readonly #received: AsyncQueue<Uint8Array>
  #held = 0
  /** Senders that wait for room. */
  #waiting: (() => void)[] = []
  #closing: Promise<void> | undefined
  #ended = false
  #superseded = false

  constructor(secret: SecretStream, channel: ChannelDuplex) {
    this.#secret = secret
    this.#channel = channel
    this.peerId = toHex(secret.remotePublicKey)
    this.initiator = secret.isInitiator
    this.handshakeHash = Uint8Array.from(secret.handshakeHash)
    this.#received = new AsyncQueue((message) => this.#hold(-message.length))
    secret.on('drain', () => this.#releaseSenders())
    this.closed = new Promise((resolve) => {
      secret.on('close', () => {
        this.#ended = true
        this.#received.end()
        this.#releaseSenders()
        resolve()
      })
    })
    secret.setKeepAlive(PEER_KEEP_ALIVE_MS)
    secret.setTimeout(PEER_SILENCE_MS)
    // A peer without credit cannot send keep-alives either.
    channel.onStalled = (stalled) => secret.setTimeout(stalled ? 0 : PEER_SILENCE_MS)
  }

  /** Whether it can still be used, as far as we know. */
  get alive(): boolean {
    return !this.#ended && this.#closing === undefined
  }

  /** When the peer was last heard of, in milliseconds of `performance.now()`. */
  get heardAt(): number {
    return this.#channel.heardAt
  }

  /**
   * Once closed: whether it is for this side to look for the peer again. If the peer ended it, that side does if it
   * wants to: it may have a better way to us.
   */
  get isOursToRenew(): boolean {
    return !this.#superseded && !this.#channel.endedByPeer
  }

  async send(message: Uint8Array): Promise<void> {
    if (!(message instanceof Uint8Array)) throw new TypeError('A message is a Uint8Array')
    if (message.length === 0) throw new PeerlogError('INVALID_ARGUMENT', 'A message has at least one byte')
    if (message.length > MAX_MESSAGE_BYTES) {
      const text = `A message of ${message.length} bytes exceeds the limit of ${MAX_MESSAGE_BYTES}`
      throw new PeerlogError('MESSAGE_TOO_LARGE', text, { hint: 'Send it in parts' })
    }
    if (!this.alive) throw closedError()
    if (this.#secret.write(asBuffer(message))) return
    await new Promise<void>((resolve) => this.#waiting.push(resolve))
    if (this.#ended) throw closedError()
  }

  receive(): Promise<Uint8Array | null> {
    return this.#received.take()
  }

  close(reason?: string): Promise<void> {
    if (this.#closing === undefined) {
      this.#superseded = reason === SUPERSEDED
      this.#closing = this.#shutDown()
    }
    return this.#closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #shutDown(): Promise<void> {
    this.#received.end()
    const handedOver = new Promise<void>((resolve) => this.#channel.once('finish', resolve))
    this.#secret.end()
    await within(CLOSE_FLUSH_MS, Promise.race([handedOver, this.closed]))
    this.#secret.destroy()
    await this.closed
  }

  /** A message arrived. */
  accept(plain: Uint8Array): void {
    const message = plain.length <= COPY_MESSAGE_BYTES ? Buffer.from(plain) : plain
    this.#held += message.length
    if (this.#received.push(message)) this.#channel.hold(this.#held)
    else this.#held -= message.length
  }

  #hold(bytes: number): void {
    this.#held += bytes
    this.#channel.hold(this.#held)
  }

  #releaseSenders(): void {
    for (const resolve of this.#waiting.splice(0)) resolve()
  }
}

function closedError(): PeerlogError {
  return new PeerlogError('CLOSED', 'The connection is closed', { hint: 'Wait for the next one from connect()' })
}

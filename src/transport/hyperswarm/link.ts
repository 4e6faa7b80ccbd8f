import type NoiseSecretStream from '@hyperswarm/secret-stream'
import { PeerlogError } from '../../base/errors.ts'
import { toHex } from '../../base/bytes.ts'
import type { Topic } from '../../topic/topic.ts'
import type { Channel } from '../channel.ts'
import { Mux } from './mux.ts'

/** Milliseconds without a sign of life (peers send one every 5 s) after which a link counts as lost. */
const SILENCE_MS = 12_000
/** Milliseconds that a side which was closed upon leaves to the other for ending the link. */
const LINGER_MS = 2000

export interface LinkOwner {
  onChannel(topic: Topic, channel: Channel): void
  onChannelEnd(topic: Topic, channel: Channel): void
  onLinkEnd(link: Link): void
}

/** One Noise connection to a peer, for as long as it carries a channel or may come to carry one. */
export class Link {
  readonly peerId: string
  readonly incoming: boolean
  readonly closed: Promise<void>
  readonly #stream: NoiseSecretStream
  readonly #mux: Mux
  readonly #timeoutMs: number
  #idleTimer: NodeJS.Timeout | null = null

  constructor(stream: NoiseSecretStream, timeoutMs: number, owner: LinkOwner) {
    this.#stream = stream
    this.#timeoutMs = timeoutMs
    this.peerId = toHex(stream.remotePublicKey)
    this.incoming = !stream.isInitiator
    stream.setTimeout(SILENCE_MS)
    this.#mux = new Mux(stream, {
      onChannel: (topic, channel) => {
        this.#clearIdle()
        owner.onChannel(topic, channel)
      },
      onChannelEnd: (topic, channel) => owner.onChannelEnd(topic, channel),
      onIdle: (acknowledged) => {
        if (acknowledged) this.destroy()
        else this.#destroyAfter(Math.min(LINGER_MS, timeoutMs))
      },
      onViolation: (reason) => this.destroy(reason),
    })
    this.closed = new Promise((resolve) => {
      stream.once('close', () => {
        this.#clearIdle()
        owner.onLinkEnd(this)
        resolve()
      })
    })
    this.#destroyAfter(timeoutMs)
  }

  /** Where the peer is, as people write it. */
  get address(): string | undefined {
    const { remoteHost, remotePort } = this.#stream.rawStream
    return typeof remoteHost === 'string' ? `${remoteHost}:${remotePort}` : undefined
  }

  join(topic: Topic): void {
    this.#mux.join(topic)
  }

  async leave(topic: Topic, reason = ''): Promise<void> {
    await this.#mux.leave(topic, reason)
    if (!this.#mux.busy && this.#idleTimer === null) this.#destroyAfter(this.#timeoutMs)
  }

  /** Gives itself up unless the peer answers soon. */
  makeSure(): void {
    this.#mux.makeSure()
  }

  /** Whether it is of no use to any topic, now: it may come to be, or is ending. */
  get idle(): boolean {
    return !this.#mux.live
  }

  get ending(): boolean {
    return this.#stream.destroying
  }

  /** Whether a channel is live, or closing and not yet acknowledged. */
  get busy(): boolean {
    return this.#mux.busy
  }

  destroy(violation?: string): void {
    this.#stream.destroy(
      violation === undefined ? null : new PeerlogError('PROTOCOL_VIOLATION', `The peer sent ${violation}`),
    )
  }

  /** Unless a channel comes to life before. */
  #destroyAfter(ms: number): void {
    this.#clearIdle()
    this.#idleTimer = setTimeout(() => this.destroy(), ms)
  }

  #clearIdle(): void {
    if (this.#idleTimer !== null) clearTimeout(this.#idleTimer)
    this.#idleTimer = null
  }
}

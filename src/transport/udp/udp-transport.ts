import { toHex } from '../../base/bytes.ts'
import { PeerlogError } from '../../base/errors.ts'
import type { Topic } from '../../topic/topic.ts'
import { assertNoIteration, assertTopic, ConnectionFeed } from '../connection-feed.ts'
import type { DatagramChannel, DatagramReader } from '../datagrams.ts'
import type { Connection, PeerInfo, Transport } from '../transport.ts'
import type { UdpAddress } from './address.ts'
import { UdpSockets } from './sockets.ts'

export interface UdpOptions {
  /** The port that everything is sent from; 0: any that is free. */
  port: number
  peers: readonly UdpAddress[]
  multicast: boolean
}

/** Where the tag is in a datagram: after its version. */
const TAG_AT = 1
const TAG_BYTES = 8

/**
 * Datagrams instead of connections: to the local network by multicast, and to addresses that are listed. `connect` yields
 * none; who replicates asks for `datagrams`.
 */
export function udpTransport(options: UdpOptions): Transport & { readonly port: number | null } {
  return new UdpTransport(options)
}

interface Reading {
  reader: DatagramReader
  topic: string
  onProblem: (error: unknown) => void
}

class UdpTransport implements Transport {
  readonly name = 'udp'
  readonly #options: UdpOptions
  readonly #feeds = new Map<string, ConnectionFeed>()
  /** By tag in hexadecimal. */
  readonly #readers = new Map<string, Reading>()
  #sockets: UdpSockets | null = null
  #opening: Promise<void> | null = null
  #isSuspended = false
  #disconnected: Promise<void> | null = null

  constructor(options: UdpOptions) {
    this.#options = options
  }

  /** Null while no socket is open. */
  get port(): number | null {
    return this.#sockets?.port ?? null
  }

  async announce(topic: Topic): Promise<void> {
    assertTopic(topic)
    this.#assertOpen()
    await this.#open()
  }

  async lookup(topic: Topic): Promise<PeerInfo[]> {
    assertTopic(topic)
    this.#assertOpen()
    const key = toHex(topic)
    return [...this.#readers.values()].flatMap((entry) => (entry.topic === key ? entry.reader.heard() : []))
  }

  connect(topic: Topic, options: { signal?: AbortSignal } = {}): AsyncIterable<Connection> {
    assertTopic(topic)
    const key = toHex(topic)
    return {
      [Symbol.asyncIterator]: () => {
        assertNoIteration(this.#feeds.get(key))
        const feed: ConnectionFeed = new ConnectionFeed(options.signal, async () => {
          if (this.#feeds.get(key) === feed) this.#feeds.delete(key)
        })
        if (this.#disconnected !== null) void feed.end()
        if (!feed.ended) this.#feeds.set(key, feed)
        return feed
      },
    }
  }

  datagrams(topic: Topic): DatagramChannel[] {
    assertTopic(topic)
    const key = toHex(topic)
    const channel: DatagramChannel = {
      name: this.name,
      open: (reader, onProblem) => this.#read(key, reader, onProblem),
      send: (bytes, to) => {
        if (to === 'all') this.#sockets?.sendToAll(bytes)
        else this.#sockets?.send(bytes, to)
      },
    }
    return [channel]
  }

  #read(topic: string, reader: DatagramReader, onProblem: (error: unknown) => void): () => void {
    this.#assertOpen()
    const tag = toHex(reader.tag)
    if (this.#readers.has(tag)) {
      throw new PeerlogError('INVALID_ARGUMENT', 'This database is being read over the transport already', {
        hint: 'Give each handle of a database a transport of its own',
      })
    }
    const entry = { reader, topic, onProblem }
    this.#readers.set(tag, entry)
    // Whoever announces hears of a failure, and tries again.
    this.#open().catch(() => {})
    return () => {
      if (this.#readers.get(tag) === entry) this.#readers.delete(tag)
    }
  }

  #onDatagram(bytes: Buffer, address: string): void {
    const tag = toHex(bytes.subarray(TAG_AT, TAG_AT + TAG_BYTES))
    this.#readers.get(tag)?.reader.receive(bytes, address)
  }

  // ---- sockets ----------------------------------------------------------------------------------------------------

  #open(): Promise<void> {
    if (this.#sockets !== null || this.#isSuspended || this.#disconnected !== null) return Promise.resolve()
    this.#opening ??= this.#openSockets().finally(() => (this.#opening = null))
    return this.#opening
  }

  async #openSockets(): Promise<void> {
    const sockets = await UdpSockets.open({
      ...this.#options,
      onDatagram: (bytes, address) => this.#onDatagram(bytes, address),
      onProblem: (error) => this.#tell(error),
    })
    if (this.#isSuspended || this.#disconnected !== null) return sockets.close()
    this.#sockets = sockets
  }

  #tell(error: unknown): void {
    for (const { onProblem } of this.#readers.values()) onProblem(error)
  }

  async #closeSockets(): Promise<void> {
    await this.#opening?.catch(() => {})
    const sockets = this.#sockets
    this.#sockets = null
    await sockets?.close()
  }

  async suspend(): Promise<void> {
    this.#isSuspended = true
    await this.#closeSockets()
  }

  async resume(): Promise<void> {
    this.#isSuspended = false
    await this.#open().catch((error: unknown) => this.#tell(error))
  }

  disconnect(): Promise<void> {
    this.#disconnected ??= this.#shutDown()
    return this.#disconnected
  }

  async #shutDown(): Promise<void> {
    await Promise.all([...this.#feeds.values()].map((feed) => feed.end()))
    this.#readers.clear()
    await this.#closeSockets()
  }

  #assertOpen(): void {
    if (this.#disconnected !== null) throw new PeerlogError('CLOSED', 'The transport has been disconnected')
  }
}

import type { Connection, PeerInfo, Topic, Transport } from 'peerlog'

/** Passes everything on to another transport, and counts the bytes of the messages that are sent over it. */
export class CountingTransport implements Transport {
  readonly #inner: Transport
  /** Bytes and messages sent on the connections so far. */
  bytes = 0
  messages = 0
  /** When the latest connection came about, in milliseconds of `performance.now()`. */
  connectedAt = 0

  constructor(inner: Transport) {
    this.#inner = inner
  }

  get name(): string {
    return this.#inner.name
  }

  announce(topic: Topic): Promise<void> {
    return this.#inner.announce(topic)
  }

  lookup(topic: Topic): Promise<PeerInfo[]> {
    return this.#inner.lookup(topic)
  }

  async *connect(topic: Topic, options?: { signal?: AbortSignal }): AsyncGenerator<Connection> {
    for await (const connection of this.#inner.connect(topic, options)) {
      this.connectedAt = performance.now()
      yield this.#counted(connection)
    }
  }

  disconnect(): Promise<void> {
    return this.#inner.disconnect()
  }

  #counted(connection: Connection): Connection {
    const { peerId, initiator, handshakeHash } = connection
    return {
      peerId,
      initiator,
      handshakeHash,
      send: (message) => {
        this.bytes += message.length
        this.messages++
        return connection.send(message)
      },
      receive: () => connection.receive(),
      close: (reason) => connection.close(reason),
      [Symbol.asyncDispose]: () => connection[Symbol.asyncDispose](),
    }
  }
}

import type { Topic } from '../../src/topic/topic.ts'
import type { Connection, PeerInfo, Transport } from '../../src/transport/transport.ts'

/**
 * A transport whose cable can be cut: what is sent from then on is lost, nothing arrives, nobody is told, and no new
 * connection comes about.
 */
export class Cable implements Transport {
  readonly name: string
  readonly #inner: Transport
  readonly #restarts: Set<() => void> = new Set()
  #isCut = false

  constructor(inner: Transport) {
    this.#inner = inner
    this.name = inner.name
  }

  cut(): void {
    this.#isCut = true
  }

  announce(topic: Topic): Promise<void> {
    return this.#inner.announce(topic)
  }

  lookup(topic: Topic): Promise<PeerInfo[]> {
    return this.#inner.lookup(topic)
  }

  /** Asks anew whoever introduces the peers, when told to refresh; also where the transport can't by itself. */
  async *connect(topic: Topic, { signal }: { signal?: AbortSignal } = {}): AsyncGenerator<Connection> {
    for (;;) {
      if (signal?.aborted === true) return
      const again = new AbortController()
      const connected = new Set<Connection>()
      const restart = (): void => {
        if (connected.size === 0) again.abort()
      }
      this.#restarts.add(restart)
      const stop = signal === undefined ? again.signal : AbortSignal.any([signal, again.signal])
      for await (const connection of this.#inner.connect(topic, { signal: stop })) {
        connected.add(connection)
        if (this.#isCut) await connection.close()
        else yield this.#cuttable(connection, () => connected.delete(connection))
      }
      this.#restarts.delete(restart)
      if (!again.signal.aborted) return
    }
  }

  refresh(topic: Topic): void {
    if (this.#inner.refresh === undefined) for (const restart of this.#restarts) restart()
    else this.#inner.refresh(topic)
  }

  disconnect(): Promise<void> {
    return this.#inner.disconnect()
  }

  #cuttable(connection: Connection, onEnd: () => void): Connection {
    const { peerId, initiator, handshakeHash } = connection
    return {
      peerId,
      initiator,
      handshakeHash,
      send: async (message) => (this.#isCut ? undefined : connection.send(message)),
      receive: async () => {
        for (;;) {
          const message = await connection.receive()
          if (message === null) onEnd()
          if (message === null || !this.#isCut) return message
        }
      },
      close: (reason) => {
        onEnd()
        return connection.close(reason)
      },
      [Symbol.asyncDispose]: () => connection.close(),
    }
  }
}

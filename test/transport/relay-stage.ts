import { type Relay, createRelay } from 'peerlog-relay'
import { afterEach, beforeEach } from 'vitest'
import type { Topic } from '../../src/topic/topic.ts'
import {
  type RelayTransport,
  type RelayTransportOptions,
  relayTransport,
} from '../../src/transport/relay/relay-transport.ts'
import type { Connection } from '../../src/transport/transport.ts'

/** A new relay for every test, and transports that are disconnected after it. */
export class RelayStage {
  relay!: Relay
  readonly topic: Topic
  #open: RelayTransport[] = []

  constructor(topic: Topic) {
    this.topic = topic
    beforeEach(async () => {
      this.relay = await createRelay({ port: 0, host: '127.0.0.1' })
    })
    afterEach(async () => {
      await Promise.all(this.#open.map((transport) => transport.disconnect()))
      this.#open = []
      await this.relay.close()
    })
  }

  peer(options: Partial<RelayTransportOptions> = {}): RelayTransport {
    const transport = relayTransport({ urls: [this.relay.url], timeoutMs: 10_000, ...options })
    this.#open.push(transport)
    return transport
  }

  /** The topic's connections, one after the other. */
  arrivals(transport: RelayTransport, topic: Topic = this.topic): () => Promise<Connection> {
    const iterator = transport.connect(topic)[Symbol.asyncIterator]()
    return async () => {
      const { value, done } = await iterator.next()
      if (done === true) throw new Error('the iteration has ended')
      return value
    }
  }

  /** Two peers that are about to be connected; A has announced. */
  async meet(url: string = this.relay.url): Promise<{
    a: RelayTransport
    b: RelayTransport
    nextA: () => Promise<Connection>
    nextB: () => Promise<Connection>
  }> {
    const [a, b] = [this.peer({ urls: [url] }), this.peer({ urls: [url] })]
    await a.announce(this.topic)
    return { a, b, nextA: this.arrivals(a), nextB: this.arrivals(b) }
  }
}

export function utf8(bytes: Uint8Array | null): string {
  return bytes === null ? 'null' : Buffer.from(bytes).toString()
}

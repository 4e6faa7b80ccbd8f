import type { Topic } from '../topic/topic.ts'
import { assertTopic, ConnectionFeed } from './connection-feed.ts'
import type { Connection, PeerInfo, Transport } from './transport.ts'

/** Local only: opens no socket, finds nobody, and fails at nothing. */
export function disabledTransport(): Transport {
  return new DisabledTransport()
}

class DisabledTransport implements Transport {
  readonly name = 'disabled'
  readonly #feeds: Set<ConnectionFeed> = new Set()
  #disconnected = false

  async announce(topic: Topic): Promise<void> {
    assertTopic(topic)
  }

  async lookup(topic: Topic): Promise<PeerInfo[]> {
    assertTopic(topic)
    return []
  }

  connect(topic: Topic, options: { signal?: AbortSignal } = {}): AsyncIterable<Connection> {
    assertTopic(topic)
    return {
      [Symbol.asyncIterator]: () => {
        const feed = new ConnectionFeed(options.signal, async () => void this.#feeds.delete(feed))
        if (this.#disconnected) void feed.end()
        if (!feed.ended) this.#feeds.add(feed)
        return feed
      },
    }
  }

  async disconnect(): Promise<void> {
    this.#disconnected = true
    await Promise.all([...this.#feeds].map((feed) => feed.end()))
  }
}

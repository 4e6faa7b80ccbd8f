import type { Connection, PeerInfo, Topic, Transport } from 'peerlog'
import { memoryNetwork } from 'peerlog/testing'

/** A transport that finds nobody: its database meets the peers it is introduced to. */
export class IntroducedTransport implements Transport {
  readonly name = 'introduced'
  readonly #waiting: Connection[] = []
  #wake: () => void = () => {}
  #ended = false

  async announce(): Promise<void> {}

  async lookup(): Promise<PeerInfo[]> {
    return []
  }

  async *connect(_topic: Topic, { signal }: { signal?: AbortSignal } = {}): AsyncGenerator<Connection> {
    signal?.addEventListener('abort', () => this.#end(), { once: true })
    while (!this.#ended) {
      const connection = this.#waiting.shift()
      if (connection === undefined) await new Promise<void>((resolve) => (this.#wake = resolve))
      else yield connection
    }
  }

  async disconnect(): Promise<void> {
    this.#end()
  }

  #end(): void {
    this.#ended = true
    this.#wake()
  }

  add(connection: Connection): void {
    this.#waiting.push(connection)
    this.#wake()
  }
}

const TOPIC = new Uint8Array(32).fill(11)

/** Connects two databases with each other, within this process. Returns the way to part them. */
export async function introduce(one: IntroducedTransport, other: IntroducedTransport): Promise<() => Promise<void>> {
  const network = memoryNetwork()
  const transports = [network.createTransport(), network.createTransport()]
  await Promise.all(transports.map((transport) => transport.announce(TOPIC)))
  const iterators = transports.map((transport) => transport.connect(TOPIC)[Symbol.asyncIterator]())
  const [first, second] = await Promise.all(iterators.map((iterator) => iterator.next()))
  one.add(first?.value as Connection)
  other.add(second?.value as Connection)
  return async () => void (await Promise.all(transports.map((transport) => transport.disconnect())))
}

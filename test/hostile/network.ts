/** The networks that scenarios take place on: a relay, or a DHT on the loopback with Hyperswarm. */
import createTestnet from 'hyperdht/testnet.js'
import { createRelay } from 'peerlog-relay'
import type { TransportChoice } from './stage.ts'

export interface Network extends AsyncDisposable {
  readonly transport: TransportChoice
}

export const networks: Record<'relay' | 'hyperswarm', () => Promise<Network>> = {
  relay: async () => {
    const relay = await createRelay({ port: 0, host: '127.0.0.1' })
    return { transport: { mode: 'relay', relayUrl: relay.url }, [Symbol.asyncDispose]: () => relay.close() }
  },
  hyperswarm: async () => {
    const testnet = await createTestnet(4)
    const transport: TransportChoice = { mode: 'hyperswarm', bootstrap: testnet.bootstrap }
    return { transport, [Symbol.asyncDispose]: () => testnet.destroy() }
  },
}

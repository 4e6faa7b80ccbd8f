import createTestnet from 'hyperdht/testnet.js'
import { createRelay } from 'peerlog-relay'
import { hyperswarmTransport } from '../../src/transport/hyperswarm/hyperswarm-transport.ts'
import { relayTransport } from '../../src/transport/relay/relay-transport.ts'
import { sessionSuite } from './suite.ts'

sessionSuite({
  name: 'hyperswarm and relay',
  meet: async () => {
    const [testnet, relay] = await Promise.all([createTestnet(4), createRelay({ port: 0, host: '127.0.0.1' })])
    return {
      createTransport: (keyPair) => [
        hyperswarmTransport({ keyPair, bootstrap: testnet.bootstrap }),
        relayTransport({ keyPair, urls: [relay.url] }),
      ],
      teardown: async () => {
        await Promise.all([testnet.destroy(), relay.close()])
      },
    }
  },
  fixed: { lost: [1], mix: [2] },
})

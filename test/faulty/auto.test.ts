import createTestnet from 'hyperdht/testnet.js'
import { createRelay } from 'peerlog-relay'
import { createTransport } from '../../src/transport/create-transport.ts'
import { sessionSuite } from './suite.ts'

sessionSuite({
  name: 'auto',
  meet: async () => {
    const [testnet, relay] = await Promise.all([createTestnet(4), createRelay({ port: 0, host: '127.0.0.1' })])
    const { bootstrap } = testnet
    return {
      createTransport: (keyPair) => createTransport({ mode: 'auto', keyPair, bootstrap, relayUrl: relay.url }),
      teardown: async () => {
        await Promise.all([testnet.destroy(), relay.close()])
      },
    }
  },
  fixed: { lost: [1], halfOpen: [2], mix: [2] },
})

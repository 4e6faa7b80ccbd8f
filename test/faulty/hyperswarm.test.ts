import createTestnet from 'hyperdht/testnet.js'
import { hyperswarmTransport } from '../../src/transport/hyperswarm/hyperswarm-transport.ts'
import { sessionSuite } from './suite.ts'

sessionSuite({
  name: 'hyperswarm',
  meet: async () => {
    const testnet = await createTestnet(4)
    return {
      createTransport: (keyPair) => hyperswarmTransport({ keyPair, bootstrap: testnet.bootstrap }),
      teardown: () => testnet.destroy(),
    }
  },
  fixed: { lost: [1], halfOpen: [2], storms: [1], mix: [2] },
})

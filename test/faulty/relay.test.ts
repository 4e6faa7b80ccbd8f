import { createRelay } from 'peerlog-relay'
import { relayTransport } from '../../src/transport/relay/relay-transport.ts'
import { sessionSuite } from './suite.ts'

sessionSuite({
  name: 'relay',
  meet: async () => {
    const relay = await createRelay({ port: 0, host: '127.0.0.1' })
    return {
      createTransport: (keyPair) => relayTransport({ keyPair, urls: [relay.url] }),
      teardown: () => relay.close(),
    }
  },
  fixed: { lost: [1], halfOpen: [2], storms: [1], mix: [2] },
})

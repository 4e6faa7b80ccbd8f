import { createRelay } from 'peerlog-relay'
import { test } from 'vitest'
import { transportConformance } from '../../src/testing.ts'
import { relayTransport } from '../../src/transport/relay/relay-transport.ts'

transportConformance({
  test,
  name: 'relay',
  setup: async () => {
    const relay = await createRelay({ port: 0, host: '127.0.0.1' })
    return { createTransport: () => relayTransport({ urls: [relay.url] }), teardown: () => relay.close() }
  },
})

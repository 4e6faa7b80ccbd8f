import createTestnet from 'hyperdht/testnet.js'
import { createRelay } from 'peerlog-relay'
import { keyPair as newKeyPair } from 'hypercore-crypto'
import { afterAll, beforeAll, test } from 'vitest'
import { memoryNetwork, transportConformance } from '../../src/testing.ts'
import { createTransport } from '../../src/transport/create-transport.ts'
import { disabledTransport } from '../../src/transport/disabled.ts'
import { combineTransports } from '../../src/transport/paths/paths-transport.ts'

let testnet: Awaited<ReturnType<typeof createTestnet>>

beforeAll(async () => {
  testnet = await createTestnet(5)
})

afterAll(() => testnet.destroy())

transportConformance({
  test,
  name: 'one memory transport',
  setup: async () => {
    const network = memoryNetwork()
    return {
      createTransport: () => combineTransports([{ transport: network.createTransport(), owned: true }]),
      teardown: async () => {},
    }
  },
})

transportConformance({
  test,
  name: 'two memory transports',
  setup: async () => {
    const networks = [memoryNetwork(), memoryNetwork()]
    return {
      createTransport: () => {
        const keyPair = newKeyPair()
        const transports = networks.map((network) => network.createTransport({ keyPair }))
        return combineTransports(transports.map((transport) => ({ transport, owned: true })))
      },
      teardown: async () => {},
    }
  },
})

transportConformance({
  test,
  name: 'auto',
  setup: async () => {
    const relay = await createRelay({ port: 0, host: '127.0.0.1' })
    return {
      createTransport: () => createTransport({ mode: 'auto', relayUrl: relay.url, bootstrap: testnet.bootstrap }),
      teardown: () => relay.close(),
    }
  },
})

transportConformance({
  test,
  name: 'a disabled transport',
  setup: async () => ({
    createTransport: () => combineTransports([{ transport: disabledTransport(), owned: true }]),
    teardown: async () => {},
  }),
  capabilities: { connects: false },
})

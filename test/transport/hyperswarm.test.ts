import createTestnet from 'hyperdht/testnet.js'
import { afterAll, beforeAll, test } from 'vitest'
import { transportConformance } from '../../src/testing.ts'
import { hyperswarmTransport } from '../../src/transport/hyperswarm/hyperswarm-transport.ts'

let testnet: Awaited<ReturnType<typeof createTestnet>>

beforeAll(async () => {
  testnet = await createTestnet(5)
})

afterAll(() => testnet.destroy())

transportConformance({
  test,
  name: 'hyperswarm',
  setup: async () => ({
    createTransport: () => hyperswarmTransport({ bootstrap: testnet.bootstrap }),
    teardown: async () => {},
  }),
})

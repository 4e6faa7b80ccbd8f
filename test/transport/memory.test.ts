import { test } from 'vitest'
import { memoryNetwork, transportConformance } from '../../src/testing.ts'

transportConformance({
  test,
  name: 'memory',
  setup: async () => {
    const network = memoryNetwork()
    return { createTransport: () => network.createTransport(), teardown: async () => {} }
  },
})

import { memoryNetwork } from '../../src/testing.ts'
import { sessionSuite } from './suite.ts'

sessionSuite({
  name: 'memory',
  meet: async () => {
    const network = memoryNetwork()
    return { createTransport: (keyPair) => network.createTransport({ keyPair }), teardown: async () => {} }
  },
  fixed: {
    none: [1],
    lost: [1, 2],
    slow: [1],
    narrow: [2],
    halfOpen: [1, 2],
    stalls: [2],
    deaf: [1],
    refused: [1],
    hostile: [2],
    storms: [1],
    twice: [1, 2],
    mix: [1, 2],
  },
})

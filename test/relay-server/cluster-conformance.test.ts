import { afterAll, beforeAll, test } from 'vitest'
import { transportConformance } from '../../src/testing.ts'
import { relayTransport } from '../../src/transport/relay/relay-transport.ts'
import { Fleet } from './cluster-stage.ts'

let fleet: Fleet

beforeAll(async () => {
  fleet = await Fleet.start()
})
afterAll(() => fleet[Symbol.asyncDispose]())

transportConformance({
  test,
  name: 'relays that share NATS, every other peer on the other one',
  setup: async () => {
    let peers = 0
    return {
      createTransport: () => relayTransport({ urls: [fleet.relays[peers++ % 2 === 0 ? 0 : 1].url] }),
      teardown: async () => {},
    }
  },
})

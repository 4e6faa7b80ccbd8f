import { afterAll, beforeAll, test } from 'vitest'
import { transportConformance } from '../../src/testing.ts'
import { relayTransport } from '../../src/transport/relay/relay-transport.ts'
import { NatsServer, type RelayProcess, startPair } from './cluster-stage.ts'

let nats: NatsServer
let relays: RelayProcess[]

beforeAll(async () => {
  nats = await NatsServer.start()
  relays = await startPair(nats)
})
afterAll(async () => {
  for (const relay of relays) await relay[Symbol.asyncDispose]()
  await nats[Symbol.asyncDispose]()
})

transportConformance({
  test,
  name: 'relays that share NATS, every other peer on the other one',
  setup: async () => {
    let peers = 0
    return {
      createTransport: () => relayTransport({ urls: [(relays[peers++ % 2] as RelayProcess).url] }),
      teardown: async () => {},
    }
  },
})

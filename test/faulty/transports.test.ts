/** A wrapped transport is a transport: with no faults, and with those that break no promise. */
import createTestnet from 'hyperdht/testnet.js'
import { createRelay } from 'peerlog-relay'
import { afterAll, beforeAll, test } from 'vitest'
import type { Faults } from '../../src/testing.ts'
import { faultyTransport, memoryNetwork, transportConformance } from '../../src/testing.ts'
import { hyperswarmTransport } from '../../src/transport/hyperswarm/hyperswarm-transport.ts'
import { relayTransport } from '../../src/transport/relay/relay-transport.ts'
import type { Transport } from '../../src/transport/transport.ts'

let testnet: Awaited<ReturnType<typeof createTestnet>>
let relay: Awaited<ReturnType<typeof createRelay>>

beforeAll(async () => {
  testnet = await createTestnet(4)
  relay = await createRelay({ port: 0, host: '127.0.0.1' })
})

afterAll(async () => {
  await testnet.destroy()
  await relay.close()
})

const transports: Record<string, () => () => Transport> = {
  memory: () => {
    const network = memoryNetwork()
    return () => network.createTransport()
  },
  relay: () => () => relayTransport({ urls: [relay.url] }),
  hyperswarm: () => () => hyperswarmTransport({ bootstrap: testnet.bootstrap }),
}

/** These watch what the whole process has, or how long nothing happens: they run by themselves. */
const BY_THEMSELVES = /sender stops|never reads|sleeps|releases/
const last: [name: string, run: () => Promise<void>][] = []

function conforms(name: string, kind: string, faults: Partial<Faults>, hubPeers: number): void {
  let seed = 0
  transportConformance({
    test: (name, run) => {
      if (BY_THEMSELVES.test(name)) last.push([name, run])
      else test.concurrent(name, run)
    },
    name: `${kind} ${name}`,
    setup: async () => {
      const create = (transports[kind] as () => () => Transport)()
      return { createTransport: () => faultyTransport(create(), { seed: seed++, faults }), teardown: async () => {} }
    },
    capabilities: { hubPeers },
  })
}

for (const kind of Object.keys(transports)) conforms('without faults', kind, {}, 8)
const delayed = process.env['PEERLOG_FAULT_SEEDS'] === undefined ? ['memory'] : Object.keys(transports)
for (const kind of delayed) conforms('with delay and jitter', kind, { delayMs: 5, jitterMs: 20 }, 8)
for (const [name, run] of last) test(name, run)

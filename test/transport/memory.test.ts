import { expect, test } from 'vitest'
import { memoryNetwork, transportConformance } from '../../src/testing.ts'
import { meet, newTopic, Stage, talk } from '../../src/transport/conformance/stage.ts'

transportConformance({
  test,
  name: 'memory',
  setup: async () => {
    const network = memoryNetwork()
    return { createTransport: () => network.createTransport(), teardown: async () => {} }
  },
})

test('memory: a suspended peer has no connections and is not found; resume brings everything back', async () => {
  const network = memoryNetwork()
  const stage = new Stage(() => network.createTransport())
  const topic = newTopic()
  const { a, b, toA, toB, ab, ba } = await stage.pair(topic)
  await Promise.all([a.transport.suspend?.(), a.transport.suspend?.()])
  expect(await Promise.all([ab.receive(), ba.receive()])).toEqual([null, null])
  b.transport.refresh?.(topic)
  expect(await b.transport.lookup(topic)).toEqual([])
  expect(await toB.within(0)).toBeNull()
  await a.transport.resume?.()
  const again = await meet(toB, toA)
  await talk(again.ab, again.ba)
  await stage.end()
})

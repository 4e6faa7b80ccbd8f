import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFailed, test } from 'vitest'
import type { PairOptions } from './pair.ts'
import { Lab } from './lab.ts'
import { Namespaces } from './namespaces.ts'
import { Pair } from './pair.ts'

// `mode: 'auto'` in the networks that people have. What is printed is what was measured; docs/NETWORKS.md has it in a table.

const obstacle = Namespaces.obstacle()
/** Milliseconds between two events of one peer, while something happens. */
const EVERY_MS = 50

/** Milliseconds in which HyperDHT has guessed ports five times. */
const LUCK_MS = 100_000

let lab: Lab

beforeAll(async () => {
  if (obstacle === null) lab = await Lab.create()
})
afterAll(async () => {
  if (obstacle === null) await lab[Symbol.asyncDispose]()
  console.log(measurements.join('\n'))
})
beforeEach((context) => {
  if (obstacle !== null) context.skip(obstacle)
})

/** Two peers that the tests of one block share. */
function pairOf(options: PairOptions): () => Pair {
  let pair: Pair
  beforeAll(async () => {
    if (obstacle === null) pair = await Pair.open(lab, options)
  })
  beforeEach(() => onTestFailed(() => console.log(pair.story())))
  return () => pair
}

const measurements: string[] = []

/** Notes what something took, and holds it against a limit that leaves room for a busy machine. */
function measured(what: string, ms: number, limitMs: number): void {
  measurements.push(`${String(ms).padStart(6)} ms  ${what}`)
  expect(ms, what).toBeLessThan(limitMs)
}

const HYPERSWARM = { transport: 'hyperswarm', reason: 'direct' } as const
const RELAY = { transport: 'relay' } as const

describe('two homes with ordinary NATs', () => {
  const pair = pairOf({ nats: ['consistent', 'consistent'] })

  test('connect directly, and leave the relay', async () => {
    const at = await pair().on(HYPERSWARM)
    measured('consistent x consistent, direct after', at - pair().openedAt, 10_000)
    await pair().leavesRelay()
    await pair().settled()
    const traffic = await pair().traffic(async () => {
      await pair().peers[0].append(100)
      await pair().settled()
    })
    expect(traffic.direct).toBeGreaterThan(100_000)
    expect(traffic.relay).toBeLessThan(10_000)
    for (const peer of pair().peers) expect(peer.told('PeerConnected')).toHaveLength(1)
  })

  test('notice nothing when the relay is killed', async () => {
    const start = Date.now()
    await pair().streaming(EVERY_MS, async () => {
      await pair().relay.kill()
      await sleep(2000)
      await pair().relay.start()
    })
    await pair().settled()
    measured('relay killed while direct, longest delay', pair().longestDelay(start), 5_000)
    for (const peer of pair().peers) {
      expect(peer.path()).toEqual(HYPERSWARM)
      expect(peer.told('PeerDisconnected')).toEqual([])
    }
  })

  test('find each other again when a cable was pulled for 8 s', async () => {
    const [home] = pair().homes
    const [a, b] = pair().peers
    let plugged = 0
    await pair().streaming(EVERY_MS, async () => {
      home.unplug()
      await sleep(8000)
      home.plug()
      plugged = Date.now()
      await Promise.all([a.hears(plugged), b.hears(plugged)])
      measured('cable put back, events again after', Date.now() - plugged, 20_000)
      measured('cable put back, direct after', Math.max(0, (await pair().on(HYPERSWARM)) - plugged), 30_000)
    })
    await pair().settled()
  })

  test('find each other again when a router was given another address', async () => {
    const [home] = pair().homes
    const [a, b] = pair().peers
    await pair().streaming(EVERY_MS, async () => {
      home.renumber()
      const renumbered = Date.now()
      // What was on its way may still arrive; so much later it is news.
      await Promise.all([a.hears(renumbered + 500), b.hears(renumbered + 500)])
      measured('router renumbered, events again after', Date.now() - renumbered, 30_000)
    })
    await pair().settled()
  })
})

describe('two peers in one home, from where the relay cannot be reached', () => {
  const pair = pairOf({ nats: ['random'], blocked: { tcp: true } })

  test('connect without leaving it', async () => {
    measured('same home, no relay, direct after', (await pair().on(HYPERSWARM)) - pair().openedAt, 10_000)
    await Promise.all(pair().peers.map((peer) => peer.append(10)))
    await pair().settled()
    expect(pair().homes[0].traffic().direct).toBe(0)
  })
})

describe('a home with an ordinary NAT and one that takes another port for each destination', () => {
  const pair = pairOf({ nats: ['consistent', 'random'] })

  // HyperDHT guesses ports at most once in 20 s: when it was unlucky, the next attempt waits for that.
  test('begin on the relay, and go on directly', { timeout: LUCK_MS + 10_000 }, async () => {
    const start = Date.now()
    await pair().streaming(EVERY_MS, async () => {
      const [a, b] = pair().peers
      await Promise.all([a.hears(1), b.hears(1)])
      const heard = Math.max(...pair().peers.map(({ arrivals }) => arrivals[0]?.at ?? 0))
      measured('consistent x random, first event after', heard - pair().openedAt, 10_000)
      measured('consistent x random, direct after', (await pair().on(HYPERSWARM)) - pair().openedAt, LUCK_MS)
    })
    await pair().settled()
    measured('consistent x random, longest delay', pair().longestDelay(start), 5_000)
    for (const peer of pair().peers) expect(peer.told('PeerConnected')).toHaveLength(1)
  })

  test('are silent while one is suspended, and meet again when it is resumed', async () => {
    const [a, b] = pair().peers
    await b.suspend()
    const traffic = await pair().traffic(() => sleep(2000))
    expect(traffic.direct + traffic.relay).toBeLessThan(5000)
    await a.append(10)
    await b.append(10)
    const resumed = Date.now()
    await b.resume()
    await pair().settled()
    measured('resumed, everything there after', Date.now() - resumed, 15_000)
  })
})

describe('two homes whose NATs take another port for each destination', () => {
  const pair = pairOf({ nats: ['random', 'random'] })

  test('stay on the relay, and say why', async () => {
    const start = Date.now()
    await pair().streaming(EVERY_MS, async () => {
      measured('random x random, on the relay after', (await pair().on(RELAY)) - pair().openedAt, 10_000)
      const at = await pair().on({ ...RELAY, reason: 'holepunch-failed' })
      measured('random x random, known to be impossible after', at - pair().openedAt, 40_000)
    })
    await pair().settled()
    measured('random x random, longest delay', pair().longestDelay(start), 5_000)
    const traffic = await pair().traffic(async () => {
      await pair().peers[0].append(100)
      await pair().settled()
    })
    expect(traffic.relay).toBeGreaterThan(100_000)
    expect(traffic.direct).toBeLessThan(50_000)
    for (const peer of pair().peers) expect(peer.told('PeerConnected')).toHaveLength(1)
  })

  test('go on when the relay was killed and has been started again', async () => {
    const [a, b] = pair().peers
    await pair().streaming(EVERY_MS, async () => {
      await pair().relay.kill()
      await sleep(2000)
      await pair().relay.start()
      const started = Date.now()
      await Promise.all([a.hears(started), b.hears(started)])
      measured('relay started again, events again after', Date.now() - started, 15_000)
    })
    await pair().settled()
  })
})

describe('a home in which UDP is blocked', () => {
  const pair = pairOf({ nats: ['consistent', 'consistent'], blocked: { udp: true } })

  test('is on the relay soon, and knows why', async () => {
    const connected = await pair().on(RELAY)
    measured('UDP blocked, on the relay after', connected - pair().openedAt, 10_000)
    const [a, b] = pair().peers
    measured('UDP blocked, known there after', (await a.on({ ...RELAY, reason: 'udp-blocked' })) - a.openedAt, 20_000)
    measured(
      'UDP blocked, known by the other after',
      (await b.on({ ...RELAY, reason: 'not-found' })) - b.openedAt,
      20_000,
    )
    await Promise.all([a.append(10), b.append(10)])
    await pair().settled()
  })

  test('moves to a direct path when UDP is opened', async () => {
    await pair().streaming(EVERY_MS, async () => {
      pair().homes[0].block({})
      const opened = Date.now()
      measured('UDP opened, direct after', (await pair().on(HYPERSWARM)) - opened, 45_000)
    })
    await pair().settled()
  })

  test('goes back to the relay when UDP is blocked in the middle', async () => {
    let start = 0
    await pair().streaming(EVERY_MS, async () => {
      // Not before the relay is out of use.
      await pair().leavesRelay()
      start = Date.now()
      pair().homes[0].block({ udp: true })
      measured('UDP blocked while direct, on the relay after', (await pair().on(RELAY)) - start, 10_000)
    })
    await pair().settled()
    measured('UDP blocked while direct, longest delay', pair().longestDelay(start), 8_000)
    for (const peer of pair().peers) {
      expect(peer.path()?.transport).toBe('relay')
      expect(peer.told('PeerConnected')).toHaveLength(1)
    }
  })
})

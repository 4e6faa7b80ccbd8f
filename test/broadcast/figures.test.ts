/** What meetings and live events cost, in bytes: the same on every machine. */
import { afterEach, describe, expect, it } from 'vitest'
import { ANNOUNCES_PER_SECOND, EAGER_PEERS, LAZY_PULL_MS } from '../../src/base/limits.ts'
import { decodeMessage } from '../../src/broadcast/messages.ts'
import type { Link, Node } from './world.ts'
import { World } from './world.ts'

const worlds: World[] = []
afterEach(() => {
  for (const world of worlds.splice(0)) world.close()
})

function pair(events: number): { world: World; a: Node; b: Node } {
  const world = new World()
  worlds.push(world)
  const a = world.node()
  const b = world.node()
  for (let left = events; left > 0; left -= 1000) a.append(Math.min(left, 1000))
  b.copy(a)
  return { world, a, b }
}

function bytesOf({ ends }: Link): number[] {
  return ends.map(({ sentBytes }) => sentBytes)
}

/** Bytes of events in the frames that were sent on a link, and how many events they are. */
function eventsSent(links: readonly Link[]): { bytes: number; count: number } {
  let bytes = 0
  let count = 0
  for (const message of links.flatMap(({ ends }) => ends.flatMap(({ sent }) => sent)).map(decodeMessage)) {
    if (message?.type !== 'frame') continue
    for (const event of message.runs.flatMap((run) => run.events)) {
      bytes += event.length
      count++
    }
  }
  return { bytes, count }
}

describe('bytes', () => {
  it('of two equal replicas that meet: at most 300 each way, at 10 events as at 100 000', () => {
    const figures = [0, 10, 100_000].map((events) => {
      const { world, a, b } = pair(events)
      const link = world.meet(a, b)
      world.settle()
      world.expectAgreement()
      return bytesOf(link)
    })
    expect(figures).toEqual([
      [70, 70],
      [70, 70],
      [70, 70],
    ])
  })

  it('of one missing event: at most 1 KB beside it, whatever the log’s length', () => {
    const figures = [10, 100_000].map((events) => {
      const { world, a, b } = pair(events)
      a.append(1, { text: 'the one that is missing' })
      const link = world.meet(a, b)
      world.settle()
      world.expectAgreement()
      const total = bytesOf(link).reduce((sum, bytes) => sum + bytes, 0)
      return total - eventsSent([link]).bytes
    })
    const [short = 0, long = 0] = figures
    expect(long).toBeLessThan(1024)
    // A few varints are longer.
    expect(long - short).toBeLessThan(16)
    console.log(`one missing event: ${short} and ${long} bytes beside it`)
  })

  it('of one live event: at most 200 beside it', () => {
    const { world, a, b } = pair(1000)
    const link = world.meet(a, b)
    world.settle()
    const [before = 0] = bytesOf(link)
    a.append()
    world.settle()
    const beside = (bytesOf(link)[0] ?? 0) - before - eventsSent([link]).bytes
    expect(beside).toBeLessThan(200)
    console.log(`one live event: ${beside} bytes beside it`)
  })
})

describe('copies', () => {
  it('of live events in a full mesh of five die out', () => {
    for (const seed of [1, 2, 3]) {
      const world = new World({ seed })
      worlds.push(world)
      const nodes = Array.from({ length: 5 }, () => world.node())
      for (const [i, node] of nodes.entries()) for (const other of nodes.slice(i + 1)) world.meet(node, other)
      world.settle()
      const live = (rounds: number): void => {
        for (let i = 0; i < rounds; i++) {
          nodes[i % 5]?.append(1, { text: 'x'.repeat(200) })
          for (let steps = world.below(10); steps > 0; steps--) world.step()
          if (i % 4 === 0) world.pass(50)
        }
        world.settle()
      }
      live(50)
      const before = eventsSent(world.links).count
      live(200)
      world.expectAgreement()
      const copies = (eventsSent(world.links).count - before) / (200 * 4)
      expect(copies, `copies per peer, seed ${seed}`).toBeLessThan(1.1)
      console.log(`full mesh of five: ${copies} copies per peer once warm`)
    }
  })

  it('of live events among many, from the first on, are few', () => {
    const size = 24
    const world = new World({ seed: 8 })
    worlds.push(world)
    const nodes = Array.from({ length: size }, () => world.node())
    for (const [i, node] of nodes.entries()) for (const other of nodes.slice(i + 1)) world.meet(node, other)
    world.settle()
    const before = eventsSent(world.links).count
    nodes[0]?.append()
    world.settle()
    world.expectAgreement()
    // Everybody to everybody would be size - 1.
    const copies = (eventsSent(world.links).count - before) / (size - 1)
    expect(copies).toBeLessThan(1 + 2 * EAGER_PEERS)
    console.log(`full mesh of ${size}: ${copies.toFixed(1)} copies of the first event per peer`)
  })

  it('through a hub with many leaves are pushed to each of them, once it has had to ask', () => {
    const world = new World({ seed: 9 })
    worlds.push(world)
    const hub = world.node()
    const leaves = Array.from({ length: 20 }, () => world.node())
    const links = leaves.map((leaf) => world.meet(hub, leaf))
    world.settle()
    const live = (): number => {
      const since = world.now
      leaves[0]?.append()
      const root = leaves[0]?.store.frontierRoot()
      world.settle({ until: () => world.nodes.every(({ store }) => store.frontierRoot().equals(root as Buffer)) })
      return world.now - since
    }
    const first = live()
    world.settle()
    expect(first).toBeLessThan(LAZY_PULL_MS + 2 * 20 * (1000 / ANNOUNCES_PER_SECOND))
    world.pass(2000)
    // Pushed on at once: no time passes.
    for (let i = 0; i < 5; i++) expect(live()).toBe(0)
    expect(eventsSent(links).count).toBe(6 * 20)
  })

  it('in a ring come by one way, and by the other once that is cut', () => {
    const world = new World({ seed: 5 })
    worlds.push(world)
    const nodes = Array.from({ length: 4 }, () => world.node())
    const links = nodes.map((node, i) => world.meet(node, nodes[(i + 1) % 4] as Node))
    const live = (rounds: number): void => {
      for (let i = 0; i < rounds; i++) {
        nodes[0]?.append()
        world.pass(100)
      }
    }
    live(20)
    world.settle()
    const before = eventsSent(world.links).count
    live(100)
    const copies = (eventsSent(world.links).count - before) / 300
    expect(copies).toBeLessThan(1.1)
    links[0]?.cut()
    nodes[0]?.append()
    world.settle()
    world.expectAgreement()
  })

  it('of a late joiner’s catch-up come from one peer each', () => {
    const world = new World({ seed: 6 })
    worlds.push(world)
    const nodes = Array.from({ length: 5 }, () => world.node())
    for (const node of nodes) for (let i = 0; i < 20; i++) node.append(50)
    for (const [i, node] of nodes.entries()) for (const other of nodes.slice(i + 1)) world.meet(node, other)
    world.settle()
    const late = world.node()
    const links = nodes.map((node) => world.meet(late, node))
    world.settle()
    world.expectAgreement()
    expect(eventsSent(links).count).toBeLessThan(5000 * 1.05)
  })
})

describe('announcements', () => {
  it('of one peer to all others keep to a rate, however many there are', () => {
    const world = new World({ seed: 7 })
    worlds.push(world)
    const nodes = Array.from({ length: 16 }, () => world.node())
    for (const [i, node] of nodes.entries()) for (const other of nodes.slice(i + 1)) world.meet(node, other)
    world.settle()
    const sent = nodes.map(() => 0)
    const count = (): void => {
      for (const [i, node] of nodes.entries()) {
        const all = [...node.ends].flatMap((end) => end.sent.splice(0))
        sent[i] = (sent[i] ?? 0) + all.filter((bytes) => decodeMessage(bytes)?.type === 'heads').length
      }
    }
    const live = (rounds: number): void => {
      for (let i = 0; i < rounds; i++) {
        nodes[0]?.append()
        world.pass(10)
      }
    }
    live(30)
    count()
    sent.fill(0)
    const seconds = 1
    live(100 * seconds)
    count()
    world.settle()
    world.expectAgreement()
    // One more each, whose turn came just before.
    for (const each of sent.slice(1)) expect(each).toBeLessThanOrEqual(ANNOUNCES_PER_SECOND * seconds + nodes.length)
    console.log(
      `full mesh of 16, 100 events a second: ${Math.max(...sent.slice(1)) / seconds} announcements a second by one peer`,
    )
  })
})

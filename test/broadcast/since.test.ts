import { afterEach, describe, expect, it } from 'vitest'
import * as fc from 'fast-check'
import * as messages from '../../src/broadcast/messages.ts'
import { headOf, foreignLog, Stranger } from './stranger.ts'
import type { Node } from './world.ts'
import { START, World } from './world.ts'

const worlds: World[] = []
afterEach(() => {
  for (const world of worlds.splice(0)) world.close()
})

function newWorld(seed = 1): World {
  const world = new World({ seed })
  worlds.push(world)
  return world
}

function startOf(node: Node, author: Node): number {
  return node.store.log(author.store.author)?.start ?? -1
}

/** Data of what a node delivers of an author, in order. */
function dataOf(node: Node, author: Node): unknown[] {
  return [...node.store.scan(null, 0, false)]
    .flat()
    .filter((event) => event.author === author.store.author)
    .map(({ data }) => data)
}

function appendEach(world: World, node: Node, count: number): void {
  for (let i = 0; i < count; i++) {
    world.now += 1000
    node.append(1, node.store.position)
  }
}

describe('a replica that begins in the middle', () => {
  it.each([
    [10, 90],
    [1, 99],
    [100, 0],
    [1000, 0],
  ])('with the last %i events of each author begins at %i, verifies all it takes, and goes on', (last, start) => {
    const world = newWorld()
    const [a, b] = [world.node(), world.node(7, 0, ':memory:', { beginning: { last } })]
    appendEach(world, a, 100)
    world.meet(a, b)
    world.settle()
    expect(startOf(b, a)).toBe(start)
    expect(dataOf(b, a)).toEqual(Array.from({ length: 100 - start }, (_, i) => start + i))
    appendEach(world, a, 3)
    b.append(2, 'mine')
    world.settle()
    world.expectAgreement([a, b])
    expect(b.lengthOf(a)).toBe(103)
    expect(dataOf(a, b)).toEqual(['mine', 'mine'])
  })

  it('with what is new since a time holds that, and the event before', () => {
    const world = newWorld()
    const [a, b] = [world.node(), world.node(7, 0, ':memory:', { beginning: { time: START + 60_500 } })]
    appendEach(world, a, 100)
    world.meet(a, b)
    world.settle()
    world.expectAgreement([a, b])
    expect(startOf(b, a)).toBe(59)
    expect(dataOf(b, a)).toEqual(Array.from({ length: 41 }, (_, i) => 59 + i))
  })

  it.each([
    [START - 1e6, 0],
    [START + 1e9, 99],
  ])('since %i begins at %i', (time, start) => {
    const world = newWorld()
    const [a, b] = [world.node(), world.node(7, 0, ':memory:', { beginning: { time } })]
    appendEach(world, a, 100)
    world.meet(a, b)
    world.settle()
    world.expectAgreement([a, b])
    expect(startOf(b, a)).toBe(start)
  })

  it('is of no use to one that needs the beginning, says so, and passes on what continues it', () => {
    const world = newWorld()
    const [a, b, c] = [world.node(), world.node(7, 0, ':memory:', { beginning: { last: 10 } }), world.node()]
    appendEach(world, a, 100)
    world.meet(a, b)
    world.settle()
    const link = world.meet(b, c)
    world.pass(60_000)
    const [, end] = link.ends
    expect(end.ended).toBe(null)
    expect(end.session.inSync).toBe(false)
    expect(end.events).toContainEqual({ type: 'unavailable', logs: 1 })
    expect(c.lengthOf(a)).toBe(0)
    world.meet(a, c)
    world.settle()
    world.expectAgreement([a, b, c])
    expect(startOf(c, a)).toBe(0)
    expect(end.session.inSync).toBe(true)
  })

  it('is continued by one that began later, from where that one begins', () => {
    const world = newWorld()
    const [a, b, c] = [
      world.node(),
      world.node(7, 0, ':memory:', { beginning: { last: 50 } }),
      world.node(8, 0, ':memory:', { beginning: { last: 5 } }),
    ]
    appendEach(world, a, 100)
    const link = world.meet(a, b)
    world.settle()
    link.cut()
    appendEach(world, a, 20)
    world.meet(a, c)
    world.settle()
    expect(startOf(c, a)).toBe(115)
    // b ends at 100, c begins at 115: what is between is nowhere to be had.
    const late = world.meet(b, c)
    world.pass(1000)
    expect(late.ends[0].session.inSync).toBe(false)
    expect(b.lengthOf(a)).toBe(100)
    world.meet(a, b)
    world.settle()
    world.expectAgreement([a, b, c])
    expect([startOf(b, a), startOf(c, a)]).toEqual([50, 115])
  })

  it('takes the forks of others for what they are', () => {
    const world = newWorld()
    const [a, twin, b] = [world.node(99), world.node(99), world.node(7, 0, ':memory:', { beginning: { last: 5 } })]
    const source = world.node(99)
    appendEach(world, source, 40)
    for (const node of [a, twin]) node.copy(source)
    world.now += 1000
    a.append(2, 'one')
    world.now += 1000
    twin.append(3, 'two')
    world.meet(a, b)
    world.settle()
    expect(startOf(b, a)).toBe(37)
    world.meet(twin, b)
    world.settle()
    for (const node of [a, b, twin]) expect(node.store.log(a.store.author)?.fork, node.name).not.toBe(null)
    world.expectAgreement([a, twin, b])
  })

  it('is not moved by a peer that begins elsewhere than it was asked to, with a history that nobody signed', () => {
    const world = newWorld()
    const b = world.node(7, 0, ':memory:', { beginning: { last: 5 } })
    const log = foreignLog(60, 20)
    const stranger = new Stranger(world, b).meet([headOf(log)])
    expect(stranger.ranges()).toMatchObject([{ from: 15, want: 'peaks' }])
    const peaks = Buffer.from(log.mmrs[15]?.peaks() as Buffer)
    peaks[0] = (peaks[0] as number) ^ 1
    stranger.send(messages.encodeFrame([{ ...log.run(15, 20), peaks }])).expectEnd('invalid-events')
    expect(b.store.position).toBe(0)
    expect(b.store.logs()).toEqual([])
  })

  it('is begun whole by a peer that says nothing of peaks', () => {
    const world = newWorld()
    const b = world.node(7, 0, ':memory:', { beginning: { last: 5 } })
    const log = foreignLog(60, 20)
    const stranger = new Stranger(world, b).meet([headOf(log)])
    stranger.send(messages.encodeFrame([log.run(0, 20)]))
    expect(b.store.log(log.keys.publicKey.toString('hex'))).toMatchObject({ start: 0, mmr: { length: 20 } })
  })
})

it('replicas that begin anywhere, meet and part, agree in the end, and hold what they say', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 1e6 }),
      fc.array(fc.constantFrom('append', 'meet', 'cut', 'pass'), { minLength: 10, maxLength: 40 }),
      (seed, steps) => {
        const world = newWorld(seed)
        const beginnings = [null, null, { last: 3 }, { time: START + 5000 }, { last: 1 }]
        const nodes = beginnings.map((beginning, i) => world.node(i + 1, 0, ':memory:', { beginning }))
        const any = (): Node => nodes[world.below(nodes.length)] as Node
        for (const step of steps) {
          if (step === 'append') appendEach(world, any(), 1 + world.below(4))
          if (step === 'pass') world.pass(world.below(5000))
          if (step === 'cut') world.links[world.below(world.links.length)]?.cut()
          const [one, other] = [any(), any()]
          if (
            step === 'meet' &&
            one !== other &&
            !world.links.some(({ ends }) => ends.every((end) => [one, other].includes(end.node)))
          ) {
            world.meet(one, other)
          }
        }
        for (const link of world.links.slice()) link.cut()
        const [first] = nodes as [Node, ...Node[]]
        for (const node of nodes.slice(1)) world.meet(first, node)
        world.settle({
          withinMs: 120_000,
          until: () => nodes.every((node) => node.store.frontierRoot().equals(first.store.frontierRoot())),
        })
        for (const node of nodes) node.expectSound()
        for (const node of nodes.slice(0, 2)) for (const log of node.store.logs()) expect(log.start).toBe(0)
        world.close()
      },
    ),
    { seed: Number(process.env['PEERLOG_SEED'] ?? 20261120), numRuns: Number(process.env['PEERLOG_ROUNDS'] ?? 60) },
  )
})

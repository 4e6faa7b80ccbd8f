import { afterEach, describe, expect, it } from 'vitest'
import { MARK_INTERVAL_MS, MAX_MARKS, MAX_REMEMBERED_MARKS } from '../../src/base/limits.ts'
import * as messages from '../../src/broadcast/messages.ts'
import { foreignLog } from './stranger.ts'
import type { End, Link, Node } from './world.ts'
import { World } from './world.ts'

const worlds: World[] = []
afterEach(() => {
  for (const world of worlds.splice(0)) world.close()
})

const AUTHORS = 150

/** Two nodes that hold the same logs of many authors, as copies. */
function crowd(): { world: World; a: Node; b: Node } {
  const world = new World()
  worlds.push(world)
  const [a, b] = [world.node(), world.node()]
  for (let author = 60; author < 60 + AUTHORS; author++) {
    for (const { store } of [a, b]) expect(store.ingest([foreignLog(author, 3).run(0, 3)])).toEqual(['stored'])
  }
  return { world, a, b }
}

/** Heads that an end has told at its meeting. */
function headsTold(end: End): number {
  let heads = 0
  for (const bytes of end.sent) {
    const message = messages.decodeMessage(bytes)
    if (message?.type === 'heads' && message.kind !== 'news') heads += message.heads.length
  }
  return heads
}

function meetAndSettle(world: World, a: Node, b: Node): Link {
  const link = world.meet(a, b)
  world.settle()
  world.expectAgreement([a, b])
  return link
}

describe('two replicas of many authors', () => {
  it('tell all heads when they first meet, and then only what has changed since', () => {
    const { world, a, b } = crowd()
    a.append(2)
    const first = meetAndSettle(world, a, b)
    expect(first.ends.map(headsTold)).toEqual([AUTHORS + 1, AUTHORS])
    first.cut()
    b.append(3)
    a.append(1)
    const log = foreignLog(220, 4)
    a.store.ingest([log.run(0, 4)])
    const second = meetAndSettle(world, a, b)
    expect(second.ends.map(headsTold)).toEqual([2, 1])
    second.cut()
    const third = meetAndSettle(world, a, b)
    expect(third.ends.map(headsTold)).toEqual([0, 0])
  })

  it('do so too after equal roots, and after whatever came while they were connected', () => {
    const { world, a, b } = crowd()
    const first = meetAndSettle(world, a, b)
    expect(first.ends.map(headsTold)).toEqual([0, 0])
    for (let i = 0; i < 5; i++) {
      a.append(1)
      world.pass(MARK_INTERVAL_MS)
    }
    first.cut()
    a.append(1)
    const second = meetAndSettle(world, a, b)
    expect(second.ends.map(headsTold)).toEqual([1, 0])
  })

  it('tell all heads again when one has lost its memory, or was restored from a copy', () => {
    const { world, a, b } = crowd()
    const old = world.node()
    old.copy(b)
    a.append(2)
    meetAndSettle(world, a, b).cut()
    const reborn = world.node()
    reborn.copy(old)
    // The same peer, by its name, with another file.
    Object.assign(reborn, { name: b.name })
    a.append(1)
    const again = meetAndSettle(world, a, reborn)
    expect(again.ends.map(headsTold)).toEqual([AUTHORS + 1, AUTHORS])
  })

  it('forget what they had in common when a log is found to be forked', () => {
    const { world, a, b } = crowd()
    a.append(1)
    meetAndSettle(world, a, b).cut()
    const [one, two] = [foreignLog(230, 2, '1'), foreignLog(230, 2, '2')]
    a.store.ingest([one.run(0, 2)])
    expect(a.store.ingest([{ ...two.run(1, 2), peaks: two.mmrs[1]?.peaks() ?? null }])).toEqual(['forked'])
    expect(a.store.marks.of(b.name)).toEqual([])
    const link = meetAndSettle(world, a, b)
    expect(link.ends.map(headsTold)).toEqual([AUTHORS + 2, AUTHORS + 1])
    expect(b.store.log(one.keys.publicKey.toString('hex'))?.fork).not.toBe(null)
  })
})

it('a peer that invents marks, or repeats them, gains nothing and costs nothing', () => {
  const { world, a, b } = crowd()
  const link = meetAndSettle(world, a, b)
  const [end] = link.ends
  for (let i = 0; i < 100; i++) end.session.receive(messages.encodeMark(Buffer.alloc(16, i)), world.now)
  expect(end.ended).toBe(null)
  expect(a.store.marks.of(b.name)).toHaveLength(1)
})

it('no more marks are kept than there is room for', () => {
  const world = new World()
  worlds.push(world)
  const { store } = world.node()
  for (let i = 1; i <= 10; i++) store.marks.remember('peer', { root: Buffer.alloc(16, i), position: i })
  expect(store.marks.of('peer').map(({ position }) => position)).toEqual(
    Array.from({ length: MAX_MARKS }, (_, i) => 10 - i),
  )
  for (let i = 0; i < MAX_REMEMBERED_MARKS; i++) {
    store.marks.remember(`peer ${i}`, { root: Buffer.alloc(16), position: 20 + i })
  }
  expect(store.marks.of('peer')).toEqual([])
  expect(store.marks.of('peer 0')).toHaveLength(1)
})

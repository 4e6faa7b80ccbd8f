// Frames are as large as the connection can carry in good time.
import { afterEach, expect, it } from 'vitest'
import { FRAME_SLOW_MS, FRAME_START_BYTES, FRAME_TARGET_BYTES } from '../../src/base/limits.ts'
import * as messages from '../../src/broadcast/messages.ts'
import { Stranger } from './stranger.ts'
import { World } from './world.ts'

const worlds: World[] = []
afterEach(() => {
  for (const world of worlds.splice(0)) world.close()
})

const EVENT_BYTES = 1000

/** A stranger that has asked for 8 MB of small events, and the bytes of the frames that it is sent when it acknowledges. */
function asking(): { world: World; sizes: () => number[]; acknowledge: (frames: number) => void } {
  const world = new World()
  worlds.push(world)
  const node = world.node()
  for (let i = 0; i < 8000; i++) node.append(1, 'x'.repeat(EVENT_BYTES - 200))
  const stranger = new Stranger(world, node).meet()
  const author = Buffer.from(node.store.author, 'hex')
  stranger.read()
  stranger.send(messages.encodeRequest([{ author, from: 0, want: 'events' }]))
  let read = 0
  return {
    world,
    sizes: () => {
      const frames = stranger.end.sent.filter((bytes) => messages.decodeMessage(bytes)?.type === 'frame')
      return frames.slice(read, (read = frames.length)).map(({ length }) => length)
    },
    acknowledge: (frames) => void stranger.send(messages.encodeAck(frames)),
  }
}

it('they begin small, and grow with what is acknowledged', () => {
  const { sizes, acknowledge } = asking()
  const first = sizes()
  for (const size of first) expect(size).toBeLessThan(FRAME_START_BYTES + 2 * EVENT_BYTES)
  acknowledge(first.length)
  const next = sizes()
  expect(Math.max(...next)).toBeGreaterThan(FRAME_TARGET_BYTES)
  expect(Math.max(...next)).toBeLessThan(FRAME_TARGET_BYTES + 2 * EVENT_BYTES)
})

it('they become small again where each takes long', () => {
  const { world, sizes, acknowledge } = asking()
  acknowledge(sizes().length)
  let large = sizes().length
  for (; large > 0; large--) {
    world.pass(FRAME_SLOW_MS + 1)
    acknowledge(1)
  }
  expect(sizes().at(-1)).toBeLessThan(FRAME_START_BYTES + 2 * EVENT_BYTES)
})

import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { ChannelDuplex } from '../../src/transport/relay/channel-duplex.ts'
import { MIN_MESSAGE_PROGRESS_BYTES, PEER_SILENCE_MS } from '../../src/transport/relay/limits.ts'

// What a relay's dropped frame leaves behind: a length that the bytes after it never fill.

function openChannel(): ChannelDuplex {
  const channel = new ChannelDuplex({ send: () => {}, congested: false, onceWritable: () => {} }, 1)
  channel.resume()
  return channel
}

/** The beginning of a message of so many bytes, as secret-stream frames it. */
function beginning(length: number, bytes: number): Buffer {
  const part = Buffer.alloc(3 + bytes)
  part.writeUIntLE(length, 0, 3)
  return part
}

describe('a message that stays incomplete', () => {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  })
  afterEach(() => {
    vi.useRealTimers()
  })

  test('ends the channel when only keep-alives come', () => {
    const channel = openChannel()
    channel.receive(beginning(1_000_000, 10))
    vi.advanceTimersByTime(PEER_SILENCE_MS - 1)
    channel.receive(Buffer.alloc(23))
    expect(channel.destroyed).toBe(false)
    vi.advanceTimersByTime(1)
    expect(channel.destroyed).toBe(true)
  })

  test('may take its time as long as it gets on', () => {
    const channel = openChannel()
    channel.receive(beginning(1_000_000, 10))
    for (let i = 0; i < 5; i++) {
      channel.receive(Buffer.alloc(MIN_MESSAGE_PROGRESS_BYTES))
      vi.advanceTimersByTime(PEER_SILENCE_MS)
    }
    expect(channel.destroyed).toBe(false)
    channel.destroy()
  })

  test('is forgotten once it is complete', () => {
    const channel = openChannel()
    channel.receive(beginning(100, 50))
    channel.receive(Buffer.alloc(50))
    vi.advanceTimersByTime(2 * PEER_SILENCE_MS)
    expect(channel.destroyed).toBe(false)
    expect(vi.getTimerCount()).toBe(0)
    channel.destroy()
  })
})

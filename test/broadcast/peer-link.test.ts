import { afterEach, describe, expect, it, vi } from 'vitest'
import { PeerlogError } from '../../src/base/errors.ts'
import { FRAME_TARGET_BYTES, MAX_RUN_EVENTS, SILENCE_TIMEOUT_MS } from '../../src/base/limits.ts'
import { ClaimTable } from '../../src/broadcast/claims.ts'
import * as messages from '../../src/broadcast/messages.ts'
import type { SessionEnd } from '../../src/broadcast/peer-link.ts'
import { PeerLink } from '../../src/broadcast/peer-link.ts'
import { SharedPace } from '../../src/broadcast/pace.ts'
import { Session } from '../../src/broadcast/session.ts'
import type { Run } from '../../src/event/run.ts'
import { Turns } from '../../src/broadcast/turns.ts'
import type { Connection } from '../../src/transport/transport.ts'
import { admissionProof } from '../../src/broadcast/admission.ts'
import { keys, World } from './world.ts'
import { Rounds } from './rounds.ts'

afterEach(() => vi.useRealTimers())

const HASH = Buffer.alloc(64, 3)

/** A connection of which a test decides what it does. */
class TestConnection implements Connection {
  readonly peerId = 'peer'
  readonly initiator = false
  readonly handshakeHash = HASH
  readonly sent: Buffer[] = []
  readonly #inbox: Uint8Array[] = []
  #waiting: ((message: Uint8Array | null) => void) | null = null
  closedFor: string | null = null
  send: (message: Uint8Array) => Promise<void> = async (message) => void this.sent.push(Buffer.from(message))

  deliver(message: Uint8Array): void {
    if (this.#waiting === null) this.#inbox.push(message)
    else this.#waiting(message)
    this.#waiting = null
  }

  receive(): Promise<Uint8Array | null> {
    const message = this.#inbox.shift()
    if (message !== undefined) return Promise.resolve(message)
    if (this.closedFor !== null) return Promise.resolve(null)
    return new Promise((resolve) => (this.#waiting = resolve))
  }

  async close(reason = ''): Promise<void> {
    this.closedFor ??= reason
    this.#waiting?.(null)
    this.#waiting = null
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }
}

function link(): {
  connection: TestConnection
  link: PeerLink
  end: Promise<SessionEnd>
  ingest: ReturnType<typeof vi.fn>
} {
  const world = new World()
  const replica = world.node().store
  const claims = new ClaimTable(() => {})
  const connection = new TestConnection()
  const admissionKey = keys.admission
  const pace = new SharedPace(() => 1)
  const session = new Session({ initiator: false, handshakeHash: HASH, admissionKey, replica, claims, pace, marks: [] })
  const ingest = vi.fn()
  const turns = new Turns()
  const turn = (bringsNews: boolean): Promise<void> => turns.next(bringsNews)
  const nothing = (): void => {}
  const opening = (runs: readonly Run[]): Iterable<void> => replica.opening(runs)
  const handlers = {
    now: () => Date.now(),
    opening,
    ingest,
    notice: nothing,
    pumped: nothing,
    onManyWanted: nothing,
    turn,
  }
  const link = new PeerLink(connection, session, 'test', handlers)
  return { connection, link, end: link.run(), ingest }
}

const hello = messages.encodeHello(admissionProof(keys.admission, HASH, true))
/** What a member says until its session is open. */
const meeting = [hello, messages.encodeRoot(Buffer.alloc(32, 1)), messages.encodeHeads('last', [])]

describe('PeerLink', () => {
  it('ends when the connection refuses a message, whatever for', async () => {
    const { connection, end } = link()
    connection.send = () => Promise.reject(new PeerlogError('MESSAGE_TOO_LARGE', 'too large'))
    connection.deliver(hello)
    expect(await end).toMatchObject({ reason: 'connection-lost' })
    expect(connection.closedFor).toBe('cannot send')
  })

  it('ends, with a farewell, although the connection takes nothing any more', async () => {
    vi.useFakeTimers()
    const { connection, end } = link()
    connection.send = (message) => {
      connection.sent.push(Buffer.from(message))
      return new Promise(() => {})
    }
    for (const bytes of meeting) connection.deliver(bytes)
    // The peer is alive: it pings, but reads nothing.
    for (let ms = 0; ms < SILENCE_TIMEOUT_MS; ms += 5000) {
      await vi.advanceTimersByTimeAsync(5000)
      connection.deliver(messages.PING_MESSAGE)
    }
    await vi.advanceTimersByTimeAsync(1000)
    expect(await end).toMatchObject({ reason: 'silence', detail: 'does not read what it is sent', byPeer: false })
    expect(connection.sent.map((bytes) => messages.decodeMessage(bytes)?.type)).toEqual(['hello', 'root', 'goodbye'])
    expect(vi.getTimerCount()).toBe(0)
  })

  it('does what is received although nothing can be sent', async () => {
    const { connection, link: it, end, ingest } = link()
    for (const bytes of meeting) connection.deliver(bytes)
    await vi.waitFor(() => expect(connection.sent.length).toBeGreaterThanOrEqual(3))
    connection.send = () => new Promise(() => {})
    const run = { author: Buffer.alloc(32), from: 0, peaks: null, signature: { suite: 1, bytes: Buffer.alloc(64) } }
    const frame = messages.encodeFrame([{ ...run, events: [Buffer.alloc(40)] }])
    for (let i = 0; i < 20; i++) connection.deliver(frame)
    await vi.waitFor(() => expect(ingest).toHaveBeenCalledTimes(20))
    it.session.close()
    it.pump()
    expect(await end).toMatchObject({ reason: 'closing', byPeer: false })
  })

  it('opens a large frame in several rounds of the event loop, before it is stored; not that of a stranger', async () => {
    const author = new World().node()
    author.append(MAX_RUN_EVENTS, { text: 'x'.repeat(200) })
    const runs: Run[] = []
    for (let from = 0; from < MAX_RUN_EVENTS; from += runs.at(-1)?.events.length ?? 0) {
      runs.push(author.store.readRun(author.store.author, from, FRAME_TARGET_BYTES, false) as Run)
    }
    const frame = messages.encodeFrame(runs)
    for (const start of [meeting, []]) {
      const { connection, link: it, end, ingest } = link()
      for (const bytes of start) connection.deliver(bytes)
      const rounds = new Rounds()
      connection.deliver(frame)
      if (start.length === 0) {
        expect(await end).toMatchObject({ reason: 'protocol-violation' })
        expect(rounds.count).toBeLessThanOrEqual(2)
      } else {
        await vi.waitFor(() => expect(ingest).toHaveBeenCalledOnce(), { timeout: 10_000 })
        const received = ingest.mock.calls[0]?.[1] as { runs: Run[] }
        expect(received.runs.map(({ opened }) => opened?.length)).toEqual(runs.map(({ events }) => events.length))
        expect(rounds.count).toBeGreaterThan(2)
        it.session.close()
        it.pump()
        await end
      }
      rounds.stop()
    }
  })

  it('keeps one timer while idle, and none afterwards', async () => {
    vi.useFakeTimers()
    const { connection, end } = link()
    await vi.advanceTimersByTimeAsync(0)
    expect(vi.getTimerCount()).toBe(1)
    await connection.close('gone')
    await end
    expect(vi.getTimerCount()).toBe(0)
  })

  it('passes on a bug of ours, and leaves nothing open', async () => {
    const { connection, link: it, end } = link()
    it.session.receive = () => {
      throw new Error('a bug')
    }
    connection.deliver(hello)
    await expect(end).rejects.toThrow('a bug')
    expect(connection.closedFor).not.toBe(null)
    expect(it.session.ended).toBe(true)
  })
})

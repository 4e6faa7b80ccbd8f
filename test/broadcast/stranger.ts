/** A peer that says whatever a test wants it to say, to a real session over a real store. */
import { expect } from 'vitest'
import { hash } from '../../src/base/hash.ts'
import { admissionProof } from '../../src/broadcast/admission.ts'
import type { Head, Message, RangeRequest } from '../../src/broadcast/messages.ts'
import * as messages from '../../src/broadcast/messages.ts'
import type { Run } from '../../src/event/run.ts'
import type { AuthorLog } from '../arbitraries.ts'
import { makeLog, plainBody, testAuthor } from '../arbitraries.ts'
import type { Node, World } from './world.ts'
import { End, keys } from './world.ts'

/** A log that exists outside of any store. */
export function foreignLog(author: number, events: number, data: string | Buffer = '1'): AuthorLog {
  const bodies = Array.from({ length: events }, (_, i) =>
    plainBody({ time: 1_700_000_000_000 + i, data: Buffer.from(data) }),
  )
  return makeLog(bodies, { keys: testAuthor(author), databaseTag: keys.tag })
}

export function headOf(log: AuthorLog, length: number = log.events.length): Head {
  const root = log.mmrs[length]?.root()
  if (root === undefined) throw new Error('no such length')
  return { author: log.keys.publicKey, length, start: 0, tag: root.subarray(0, 8) }
}

export function withBadSignature(run: Run): Run {
  const bytes = Buffer.from(run.signature.bytes)
  bytes[3] = (bytes[3] as number) ^ 1
  return { ...run, signature: { ...run.signature, bytes } }
}

let strangers = 0

export class Stranger {
  readonly world: World
  readonly end: End
  readonly handshakeHash: Buffer = hash(Buffer.from(`stranger ${strangers++}`))
  #read = 0

  /** The stranger is the initiator. */
  constructor(world: World, node: Node) {
    this.world = world
    this.end = new End(world, node, this.handshakeHash, false, `stranger ${strangers}`)
    this.end.start()
  }

  get proof(): Buffer {
    return admissionProof(keys.admission, this.handshakeHash, true)
  }

  send(...all: Buffer[]): this {
    for (const bytes of all) {
      this.end.session.receive(Buffer.from(bytes), this.world.now)
      this.end.pump()
    }
    return this
  }

  hello(): this {
    return this.send(messages.encodeHello(this.proof))
  }

  /** Is admitted, says that it holds `heads`, and nothing else; the session is open afterwards. */
  meet(heads: Head[] = []): this {
    this.hello().send(messages.encodeRoot(Buffer.alloc(32, 0xee)), messages.encodeHeads('last', heads))
    expect(this.end.ended).toBe(null)
    return this
  }

  /** Is admitted, and says that it holds just what the other side does. */
  meetEqual(): this {
    this.hello().send(messages.encodeRoot(this.end.node.store.frontierRoot()))
    return this
  }

  /** What it has been sent since it last read, but for marks, which a session sends whenever it is in sync. */
  read(): Message[] {
    return this.readAll().filter(({ type }) => type !== 'mark')
  }

  readAll(): Message[] {
    const sent = this.end.sent.slice(this.#read)
    this.#read = this.end.sent.length
    return sent.map((bytes) => {
      const message = messages.decodeMessage(bytes)
      if (message === null) throw new Error('the session sent something malformed')
      return message
    })
  }

  readTypes(): string[] {
    return this.read().map(({ type }) => type)
  }

  /** The ranges that it was asked for since it last read. */
  ranges(): RangeRequest[] {
    return this.read().flatMap((message) => (message.type === 'request' ? message.ranges : []))
  }

  /** Time passes; the stranger shows that it is there, and acknowledges nothing. */
  linger(ms: number): this {
    for (let passed = 0; passed < ms && this.end.ended === null; passed += 1000) {
      this.world.pass(1000)
      this.end.session.wake(this.world.now)
      this.end.pump()
      if (this.end.ended === null && passed % 5000 === 0) this.send(messages.PING_MESSAGE)
    }
    return this
  }

  expectEnd(reason: string, detail: RegExp | string = ''): void {
    expect(this.end.ended).toMatchObject({ reason, byPeer: false })
    expect(this.end.ended?.detail).toMatch(detail)
    expect(this.end.node.claims.size).toBe(0)
    const last = this.end.sent.at(-1)
    if (!this.end.isStuck) expect(messages.decodeMessage(last ?? Buffer.alloc(0))?.type).toBe('goodbye')
    expect(this.end.session.wakeAt).toBe(Infinity)
    // Nothing that is said afterwards has any effect.
    const before = this.end.sent.length
    this.send(messages.PING_MESSAGE)
    expect(this.end.sent).toHaveLength(before)
  }

  expectFine(): void {
    expect(this.end.ended).toBe(null)
  }
}

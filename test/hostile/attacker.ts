/** An attacker: a real transport with a key of its own, and a script instead of a session. */
import { keyPair as newKeyPair } from 'hypercore-crypto'
import { asBuffer, toHex } from '../../src/base/bytes.ts'
import { admissionProof } from '../../src/broadcast/admission.ts'
import type { Head, Message } from '../../src/broadcast/messages.ts'
import * as messages from '../../src/broadcast/messages.ts'
import { encodeEvent } from '../../src/event/event.ts'
import type { DatabaseKeys } from '../../src/event/keys.ts'
import { Mmr } from '../../src/event/mmr.ts'
import type { Run } from '../../src/event/run.ts'
import { authorKeyPair, signHead } from '../../src/event/signature.ts'
import { hash } from '../../src/base/hash.ts'
import { createTransport } from '../../src/transport/create-transport.ts'
import { combineTransports } from '../../src/transport/paths/paths-transport.ts'
import type { Connection, Transport } from '../../src/transport/transport.ts'
import type { Scene } from './stage.ts'

/** One connection to the victim. */
export class Raw {
  readonly connection: Connection
  readonly #keys: DatabaseKeys
  /** Bytes sent and received, and messages received by type. */
  sentBytes = 0
  receivedBytes = 0
  readonly heard: Map<Message['type'], number> = new Map()

  constructor(connection: Connection, keys: DatabaseKeys) {
    this.connection = connection
    this.#keys = keys
  }

  /** False once the connection is gone. */
  async send(bytes: Buffer): Promise<boolean> {
    try {
      await this.connection.send(bytes)
      this.sentBytes += bytes.length
      return true
    } catch {
      return false
    }
  }

  /** Proves that it is a member. */
  hello(): Promise<boolean> {
    const { handshakeHash, initiator } = this.connection
    return this.send(messages.encodeHello(admissionProof(this.#keys.admission, handshakeHash, initiator)))
  }

  /** Opens the session as one who holds `heads`, and nothing else. */
  async meet(heads: readonly Head[] = []): Promise<void> {
    await this.hello()
    await this.send(messages.encodeRoot(Buffer.alloc(32, 0xee)))
    for (let n = 0; n < heads.length; n += 1000) await this.send(messages.encodeHeads('more', heads.slice(n, n + 1000)))
    await this.send(messages.encodeHeads('last', []))
  }

  /** The next message, or null at the end. */
  async read(): Promise<Message | null> {
    const bytes = await this.connection.receive()
    if (bytes === null) return null
    this.receivedBytes += bytes.length
    const message = messages.decodeMessage(asBuffer(bytes))
    if (message === null) throw new Error('the victim sent something malformed')
    this.heard.set(message.type, (this.heard.get(message.type) ?? 0) + 1)
    return message
  }

  /** Reads to the end, and lets `react` answer. */
  async listen(react: (message: Message) => unknown = () => undefined): Promise<void> {
    for (let message; (message = await this.read()) !== null;) await react(message)
  }

  /** Says now and then that it is there, until the connection is gone. */
  async ping(everyMs = 2000): Promise<void> {
    const timer = setInterval(() => void this.send(messages.PING_MESSAGE), everyMs)
    await this.listen()
    clearInterval(timer)
  }
}

export type Script = (raw: Raw) => Promise<unknown>

export class Attacker implements AsyncDisposable {
  readonly peerId: string
  /** Every connection to the victim, in order. */
  readonly raws: Raw[] = []
  readonly #transport: Transport
  readonly #running: Promise<void>
  #onMet: () => void = () => {}
  /** Resolves at the first connection to the victim. */
  readonly met: Promise<void> = new Promise((resolve) => (this.#onMet = resolve))

  constructor(scene: Scene, victim: string, script: Script) {
    const keyPair = newKeyPair()
    this.peerId = toHex(keyPair.publicKey)
    const transport = createTransport({ keyPair, ...scene.transport })
    this.#transport = combineTransports([{ transport, owned: true }])
    this.#running = this.#run(scene, victim, script)
  }

  async #run(scene: Scene, victim: string, script: Script): Promise<void> {
    const scripts: Promise<unknown>[] = []
    // Not announced: it meets those who are, not other attackers.
    for await (const connection of this.#transport.connect(scene.topic)) {
      if (connection.peerId !== victim) {
        void connection.close()
        continue
      }
      const raw = new Raw(connection, scene.keys)
      this.raws.push(raw)
      this.#onMet()
      scripts.push(script(raw).finally(() => void connection.close()))
    }
    await Promise.all(scripts)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#transport.disconnect()
    await this.#running
  }
}

/** One event of an author that nobody has heard of, validly signed. */
export function inventedRun(keys: DatabaseKeys, number: number): Run {
  const seed = Buffer.alloc(32, 0xa5)
  seed.writeUInt32LE(number)
  const author = authorKeyPair(seed)
  const body = { time: 1_700_000_000_000 + number, tick: 0, subject: 'x', type: '', links: [], json: true, data: ONE }
  const event = encodeEvent(author.publicKey, 0, body, keys.seal, (into) => void into.fill(number % 256))
  const mmr = new Mmr()
  mmr.append(hash(event))
  const head = { databaseTag: keys.tag, author: author.publicKey, length: 1, root: mmr.root() }
  return { author: author.publicKey, from: 0, peaks: null, signature: signHead(head, author), events: [event] }
}

const ONE = Buffer.from('1')

/** A head of an author that does not exist. */
export function inventedHead(number: number, length = 1_000_000_000): Head {
  return { author: hash(Buffer.from(`invented ${number}`)), length, start: 0, tag: Buffer.alloc(messages.TAG_BYTES, 1) }
}

import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import type { Topic } from '../../topic/topic.ts'
import type { Connection, Transport } from '../transport.ts'

/** What one case of the suite plays on: makes transports, and disconnects them when the case is over. */
export class Stage {
  readonly #createTransport: () => Transport | Promise<Transport>
  readonly #transports: Transport[] = []

  constructor(createTransport: () => Transport | Promise<Transport>) {
    this.#createTransport = createTransport
  }

  async peer(): Promise<Peer> {
    const transport = await this.#createTransport()
    this.#transports.push(transport)
    return new Peer(transport)
  }

  /** Two peers, one announced, connected to each other. */
  async pair(topic: Topic = newTopic()): Promise<Pair> {
    const [a, b] = [await this.peer(), await this.peer()]
    await a.transport.announce(topic)
    const [toB, toA] = [a.connect(topic), b.connect(topic)]
    return { topic, a, b, toB, toA, ...(await meet(toB, toA)) }
  }

  async end(): Promise<void> {
    await Promise.all(this.#transports.map((transport) => transport.disconnect()))
  }
}

export interface Pair {
  topic: Topic
  a: Peer
  b: Peer
  /** A's connections. */
  toB: Arrivals
  /** B's connections. */
  toA: Arrivals
  /** A's end of their connection. */
  ab: Connection
  /** B's end of their connection. */
  ba: Connection
}

export class Peer {
  readonly transport: Transport

  constructor(transport: Transport) {
    this.transport = transport
  }

  connect(topic: Topic, signal?: AbortSignal): Arrivals {
    return new Arrivals(this.transport.connect(topic, signal === undefined ? {} : { signal }))
  }
}

/** The connections of one iteration. */
export class Arrivals {
  readonly #iterator: AsyncIterator<Connection>
  #early: Promise<IteratorResult<Connection>> | null = null

  constructor(connections: AsyncIterable<Connection>) {
    this.#iterator = connections[Symbol.asyncIterator]()
  }

  async next(): Promise<Connection> {
    const result = await this.#take()
    assert.ok(result.done !== true, 'the iteration ended while a connection was expected')
    return result.value
  }

  /** Resolves when the iteration ends; connections that come before are let go. */
  async ended(): Promise<void> {
    while ((await this.#take()).done !== true);
  }

  /** The next connection if one comes within the time, else null; none is lost. */
  async within(ms: number): Promise<Connection | null> {
    if (!(await orElse(this.ready(), ms, false))) return null
    const result = await this.#take()
    return result.done === true ? null : result.value
  }

  /** Resolves when there is something to take, without taking it. */
  async ready(): Promise<true> {
    this.#early ??= this.#iterator.next()
    await this.#early
    return true
  }

  /** What leaving a `for await` loop does. */
  async break(): Promise<void> {
    await this.#iterator.return?.()
  }

  #take(): Promise<IteratorResult<Connection>> {
    const next = this.#early ?? this.#iterator.next()
    this.#early = null
    return next
  }
}

/** The two ends of one connection. Links that were replaced while two peers dialled each other are passed over. */
export async function meet(first: Arrivals, second: Arrivals): Promise<{ ab: Connection; ba: Connection }> {
  const [ofFirst, ofSecond] = [new Map<string, Connection>(), new Map<string, Connection>()]
  for (;;) {
    const arrived = await Promise.race([first.ready().then(() => first), second.ready().then(() => second)])
    const connection = await arrived.next()
    const key = Buffer.from(connection.handshakeHash).toString('hex')
    const seen = arrived === first ? ofFirst : ofSecond
    seen.set(key, connection)
    const [ab, ba] = [ofFirst.get(key), ofSecond.get(key)]
    if (ab !== undefined && ba !== undefined) return { ab, ba }
  }
}

export function newTopic(): Topic {
  return randomBytes(32)
}

export function bytes(length: number): Uint8Array {
  return randomBytes(length)
}

/** A message that carries its number. */
export function numbered(number: number, length = 16): Uint8Array {
  const message = Buffer.alloc(length, number & 255)
  message.writeUInt32BE(number)
  return message
}

export function numberOf(message: Uint8Array | null): number | null {
  return message === null ? null : Buffer.from(message).readUInt32BE()
}

export function same(actual: Uint8Array | null, expected: Uint8Array, what: string): void {
  assert.ok(actual !== null, `${what}: the connection closed instead`)
  assert.equal(actual.length, expected.length, `${what}: another length`)
  assert.equal(Buffer.compare(actual, expected), 0, `${what}: other bytes`)
}

/** A message and its answer, both ways. */
export async function talk(first: Connection, second: Connection): Promise<void> {
  for (const [from, to] of [
    [first, second],
    [second, first],
  ] as const) {
    const message = bytes(32)
    await from.send(message)
    same(await to.receive(), message, 'a message')
  }
}

export async function rejectsWith(code: string, promise: Promise<unknown>): Promise<void> {
  await assert.rejects(promise, (error: { code?: unknown }) => {
    assert.equal(error.code, code)
    return true
  })
}

/** Reads until the connection is closed. */
export async function drain(connection: Connection): Promise<Uint8Array[]> {
  const messages: Uint8Array[] = []
  for (let message; (message = await connection.receive()) !== null;) messages.push(message)
  return messages
}

/** The promise's value, or the other when it takes longer; for asserting that nothing happens. */
export async function orElse<T, U>(promise: Promise<T>, ms: number, other: U): Promise<T | U> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<U>((resolve) => (timer = setTimeout(() => resolve(other), ms)))
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}

/** Sends until nothing more fits; resolves to how many messages were accepted and the one that still waits. */
export async function sendUntilStalled(
  connection: Connection,
  options: { messageBytes: number; quietMs?: number; maxBytes: number },
): Promise<{ sent: number; last: Promise<void> }> {
  for (let sent = 1; sent * options.messageBytes <= options.maxBytes; sent++) {
    const last = connection.send(numbered(sent - 1, options.messageBytes))
    if ((await orElse(last, options.quietMs ?? 700, 'stalled')) === 'stalled') return { sent, last }
  }
  throw new assert.AssertionError({
    message: `${options.maxBytes} bytes were accepted although the receiver reads nothing: there is no backpressure`,
  })
}

import { randomBytes } from 'node:crypto'
import net from 'node:net'
import {
  RENDEZVOUS_BYTES,
  SUBPROTOCOL,
  WINDOW_BYTES,
  allocDataFrame,
  dataCost,
  decodeFrame,
  encodeFrame,
} from 'peerlog-relay/frames'
import { WebSocket } from 'ws'

/** A server under load: a relay, or the bare forwarder that stands beside it. */
export interface Target {
  kind: 'relay' | 'forwarder'
  port: number
}

/** Bytes that a receiver takes before it returns them as CREDIT, as a peer of peerlog does. */
const CREDIT_STEP_BYTES = WINDOW_BYTES / 4
/** Bytes of frames that are written at once, if frames are smaller. */
const BATCH_BYTES = 65_536

/**
 * A client that speaks the relay's frames, with as little work of its own as possible: what is measured is the server.
 * With the forwarder it speaks the same frames; there the path that it connects to says whom it is paired with.
 */
export class LoadClient {
  /** The numbers of the channels to the others of its topic. */
  readonly channels: number[] = []
  onData: (payload: Uint8Array, channel: number) => void = () => {}
  onCredit: (bytes: number) => void = () => {}
  readonly #target: Target
  readonly #topic: string
  readonly #place: number | undefined
  readonly #socket: WebSocket
  readonly #tcp: net.Socket
  /** By channel: cost of what arrived and was not returned. */
  readonly #taken = new Map<number, number>()
  #onPaired: () => void = () => {}
  #closing = false

  private constructor(target: Target, topic: string, place: number | undefined) {
    this.#target = target
    this.#topic = topic
    this.#place = place
    const tcp = net.connect({ port: target.port, host: '127.0.0.1', noDelay: true })
    this.#tcp = tcp
    const path = place === undefined ? `/pair/${topic}` : `/room/${topic}/${place}`
    this.#socket = new WebSocket(`ws://127.0.0.1:${target.port}${path}`, SUBPROTOCOL, {
      perMessageDeflate: false,
      createConnection: () => tcp,
    })
    this.#socket.on('message', (bytes: Buffer) => this.#receive(bytes))
    this.#socket.on('close', (code, reason) => {
      if (!this.#closing) throw new Error(`the ${target.kind} ended a connection: ${code} ${reason.toString()}`)
    })
  }

  /**
   * Connects. The clients of a topic are two, or each has its place among them, from 1 on.
   * @throws if the server refuses; whatever goes wrong later ends the process.
   */
  static async open(target: Target, topic: string, place?: number): Promise<LoadClient> {
    const client = new LoadClient(target, topic, place)
    await new Promise<void>((resolve, reject) => {
      client.#socket.once('open', resolve)
      client.#socket.once('error', reject)
    })
    return client
  }

  /** Joins the topic and waits until there is a channel to each of so many others, who have to be connected. */
  async join(others: number): Promise<void> {
    if (this.#target.kind === 'forwarder') {
      const places = this.#place === undefined ? [1] : Array.from({ length: others + 1 }, (_, i) => i + 1)
      this.channels.push(...places.filter((place) => place !== this.#place))
      return
    }
    const rendezvous = Buffer.alloc(RENDEZVOUS_BYTES)
    rendezvous.write(this.#topic)
    const paired = new Promise<void>((resolve) => {
      this.#onPaired = () => {
        if (this.channels.length >= others) resolve()
      }
    })
    const card = new Uint8Array(0)
    this.#socket.send(encodeFrame({ kind: 'join', rendezvous, announce: true, connect: true, card }))
    await paired
  }

  send(channel: number, payload: Uint8Array): void {
    this.#socket.send(encodeFrame({ kind: 'data', channel, payload }))
  }

  /** Writes what `readyMade` returned. */
  write(bytes: Buffer): void {
    this.#tcp.write(bytes)
  }

  /** Stops reading from the network. */
  pause(): void {
    this.#socket.pause()
  }

  resume(): void {
    this.#socket.resume()
  }

  /** Ends the connection at once. */
  close(): void {
    this.#closing = true
    this.#socket.terminate()
  }

  #receive(bytes: Buffer): void {
    const frame = decodeFrame(bytes)
    if (frame?.kind === 'data') {
      const { channel, payload } = frame
      this.onData(payload, channel)
      const taken = (this.#taken.get(channel) ?? 0) + dataCost(payload.length)
      this.#taken.set(channel, taken < CREDIT_STEP_BYTES ? taken : 0)
      if (taken >= CREDIT_STEP_BYTES) this.#socket.send(encodeFrame({ kind: 'credit', channel, bytes: taken }))
    } else if (frame?.kind === 'credit') {
      this.onCredit(frame.bytes)
    } else if (frame?.kind === 'peer') {
      this.channels.push(frame.channel)
      this.#onPaired()
    } else if (frame?.kind !== 'joined') {
      throw new Error(`the ${this.#target.kind} sent ${frame?.kind ?? 'what is no frame'}`)
    }
  }
}

/** Sends to one channel at full speed, as far as the window allows. One for each client. */
export class Stream {
  readonly #client: LoadClient
  readonly #batch: Buffer
  readonly #cost: number
  #outstanding = 0
  #running = false
  #onFull: () => void = () => {}

  constructor(client: LoadClient, payloadBytes: number) {
    const frames = Math.max(1, Math.floor(BATCH_BYTES / payloadBytes))
    this.#client = client
    this.#batch = readyMade(client.channels[0] as number, payloadBytes, frames)
    this.#cost = frames * dataCost(payloadBytes)
    client.onCredit = (bytes) => {
      this.#outstanding -= bytes
      this.#pump()
    }
  }

  start(): void {
    this.#running = true
    this.#pump()
  }

  stop(): void {
    this.#running = false
  }

  /** Resolves when the window is used up. */
  full(): Promise<void> {
    return new Promise((resolve) => {
      this.#onFull = resolve
      this.#pump()
    })
  }

  #pump(): void {
    if (!this.#running) return
    for (; this.#outstanding + this.#cost <= WINDOW_BYTES; this.#outstanding += this.#cost) {
      this.#client.write(this.#batch)
    }
    this.#onFull()
  }
}

/** The bytes of so many WebSocket messages with a DATA frame each, masked once, so that sending costs no more than a write. */
function readyMade(channel: number, payloadBytes: number, frames: number): Buffer {
  const frame = allocDataFrame(channel, payloadBytes)
  randomBytes(payloadBytes).copy(frame, frame.length - payloadBytes)
  const mask = randomBytes(4)
  const masked = frame.map((byte, i) => byte ^ (mask[i % 4] as number))
  return Buffer.concat(Array.from({ length: frames }, () => [headerOf(frame.length), mask, masked]).flat())
}

/** The head of a masked binary message. */
function headerOf(length: number): Buffer {
  const FINAL_BINARY = 0x82
  const MASKED = 0x80
  if (length < 126) return Buffer.from([FINAL_BINARY, MASKED | length])
  const header = Buffer.alloc(length < 65_536 ? 4 : 10)
  header[0] = FINAL_BINARY
  header[1] = MASKED | (length < 65_536 ? 126 : 127)
  if (length < 65_536) header.writeUInt16BE(length, 2)
  else header.writeBigUInt64BE(BigInt(length), 2)
  return header
}

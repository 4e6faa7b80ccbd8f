import type { MessagePort } from 'node:worker_threads'
import { MessageChannel, receiveMessageOnPort, Worker } from 'node:worker_threads'
import { SEALING_TIMEOUT_MS } from '../../base/limits.ts'
import type { Mmr } from '../../event/mmr.ts'
import type { Chunk } from './chunk.ts'

/** The log that the next chunks continue. */
export interface BeginMessage {
  sealKey: Uint8Array | null
  length: number
  peaks: Uint8Array
}

/** The buffer changes hands: it is here or there, never in both threads. */
export interface ChunkMessage {
  bytes: ArrayBuffer
  lengths: Uint32Array
}

/** Ids of events that were sealed here, to be appended to the MMR. */
export interface IdsMessage {
  ids: Uint8Array
}

export interface SealedMessage {
  /** Null: these were only ids. */
  sealed: { bytes: ArrayBuffer; ids: ArrayBuffer } | null
  /** Of the log after the chunk. */
  peaks: Uint8Array
}

export interface ThreadData {
  port: MessagePort
  /** Shared: at `READY` 1 once the thread takes messages, at `ANSWERS` how many it has given, modulo 2^32. */
  signals: Int32Array
}

export const READY = 0
export const ANSWERS = 1

/**
 * A second thread that seals and hashes what this one encodes and stores. It starts in the background and keeps no
 * process alive. The answers are waited for without a turn of the event loop, so that a transaction stays one piece.
 */
export class SealingThread {
  readonly #signals = new Int32Array(new SharedArrayBuffer(8))
  #worker: Worker | null = null
  #port: MessagePort | null = null
  #received = 0
  #state: 'new' | 'started' | 'failed' = 'new'

  /** True if chunks can be sent. The first question starts the thread. */
  get ready(): boolean {
    if (this.#state === 'new') this.#start()
    return this.#state === 'started' && Atomics.load(this.#signals, READY) === 1
  }

  #start(): void {
    const { port1, port2 } = new MessageChannel()
    const fromSource = import.meta.url.endsWith('.ts')
    const data: ThreadData = { port: port2, signals: this.#signals }
    try {
      const worker = new Worker(new URL(`./sealing-worker.${fromSource ? 'ts' : 'js'}`, import.meta.url), {
        name: 'peerlog sealing',
        workerData: data,
        transferList: [port2],
        // What the process was told to preload is not for this thread, unless it has to read TypeScript.
        execArgv: fromSource ? process.execArgv : [],
      })
      worker.unref()
      worker.on('error', () => this.#fail())
      worker.on('exit', () => this.#fail())
      port1.unref()
      this.#worker = worker
      this.#port = port1
      this.#state = 'started'
    } catch {
      this.#fail()
    }
  }

  #fail(): void {
    this.#state = 'failed'
    this.#port?.close()
    void this.#worker?.terminate()
    this.#port = this.#worker = null
  }

  begin(mmr: Mmr, sealKey: Uint8Array | null): void {
    const message: BeginMessage = { sealKey, length: mmr.length, peaks: mmr.peaks() }
    this.#port?.postMessage(message)
  }

  /** @param chunk its bytes are alone in their ArrayBuffer, and gone from here afterwards. */
  send({ bytes, lengths }: Chunk): void {
    const message: ChunkMessage = { bytes: bytes.buffer as ArrayBuffer, lengths }
    this.#port?.postMessage(message, [message.bytes])
  }

  sendIds(ids: Buffer): void {
    const message: IdsMessage = { ids: new Uint8Array(ids) }
    this.#port?.postMessage(message)
  }

  /** True if `receive` need not wait. */
  get hasAnswer(): boolean {
    return Atomics.load(this.#signals, ANSWERS) !== this.#received
  }

  /** The chunks come back in their order. Null, now and for good: the thread does not answer. */
  receive(): SealedMessage | null {
    if (this.#port === null) return null
    Atomics.wait(this.#signals, ANSWERS, this.#received, SEALING_TIMEOUT_MS)
    const answer = receiveMessageOnPort(this.#port)
    if (answer === undefined) {
      this.#fail()
      return null
    }
    this.#received = (this.#received + 1) | 0
    return answer.message as SealedMessage
  }
}

/** One for all stores: they take turns, a transaction each. */
export const sealingThread: SealingThread = new SealingThread()

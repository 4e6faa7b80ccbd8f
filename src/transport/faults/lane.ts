import { AsyncQueue } from '../../base/async-queue.ts'
import { PeerlogError } from '../../base/errors.ts'
import { CONNECTION_WINDOW_BYTES, MAX_MESSAGE_BYTES } from '../../base/limits.ts'
import { MESSAGE_COST_BYTES } from '../channel.ts'
import type { Injection } from './faults.ts'
import type { Plan } from './plan.ts'

/** Bytes that one direction of a connection holds back before its sender must wait. */
const LANE_WINDOW_BYTES: number = CONNECTION_WINDOW_BYTES

export interface LaneOwner {
  /** Hands a message on; resolves when the next may follow. */
  deliver(message: Uint8Array): Promise<void>
  /** For an injection that must be refused; resolves when it was, or was not. */
  refuse(message: Uint8Array, code: 'INVALID_ARGUMENT' | 'MESSAGE_TOO_LARGE'): Promise<void>
  /** The connection is to be lost now. */
  lose(): void
}

interface Entry {
  message: Uint8Array
  /** Not before, as `performance.now()` tells. */
  due: number
}

interface Waiting {
  resolve(): void
  reject(error: PeerlogError): void
}

/** One direction of a faulty connection: messages in order, each with its fate. */
export class Lane {
  readonly #plan: Plan
  readonly #direction: 'send' | 'receive'
  readonly #owner: LaneOwner
  readonly #random: () => number
  readonly #queue: AsyncQueue<Entry> = new AsyncQueue()
  #bytes = 0
  #number = 0
  #lastDue = 0
  #lineFreeAt = 0
  #blockedUntil = 0
  #waiting: Waiting[] = []
  #drained: (() => void)[] = []
  #timer: NodeJS.Timeout | undefined
  #wake: (() => void) | null = null
  /** A message that comes after the next one. */
  #overtaken: Uint8Array | null = null
  #vanished = false
  #harmed = false
  #ended = false

  constructor(plan: Plan, connection: number, direction: 'send' | 'receive', owner: LaneOwner) {
    this.#plan = plan
    this.#direction = direction
    this.#owner = owner
    this.#random = plan.dice(connection, direction)
    void this.#run()
  }

  /** Whether everything vanishes by now. */
  get vanished(): boolean {
    return this.#vanished
  }

  /** Whether something did not arrive as it was sent: an honest transport would have ended the connection. */
  get harmed(): boolean {
    return this.#harmed || this.#vanished
  }

  /** Resolves when more may follow. @throws {PeerlogError} `CLOSED` if the lane ends before. */
  push(message: Uint8Array): Promise<void> {
    if (this.#ended) return Promise.reject(laneClosed())
    this.#bytes += message.length + MESSAGE_COST_BYTES
    const due = this.#due(message.length)
    const room = new Promise<void>((resolve, reject) => this.#waiting.push({ resolve, reject }))
    // Senders need not wait: the lane's end must not become an unhandled rejection.
    room.catch(() => {})
    this.#queue.push({ message, due })
    // One that can go at once is waited for, with what holds it up; one on its way only takes up room.
    if (due > performance.now()) this.#settle()
    return room
  }

  /** Resolves when everything was handed on, or the lane has ended. */
  drained(): Promise<void> {
    if (this.#ended || this.#bytes === 0) return Promise.resolve()
    return new Promise((resolve) => this.#drained.push(resolve))
  }

  /** Nothing is held up any more. */
  release(): void {
    this.#blockedUntil = 0
    this.#wakeUp()
    this.#settle()
  }

  /** What has not been handed on never will be. Idempotent. */
  end(): void {
    if (this.#ended) return
    this.#ended = true
    this.#queue.end({ discard: true })
    this.#bytes = 0
    this.#wakeUp()
    for (const { reject } of this.#waiting.splice(0)) reject(laneClosed())
    for (const resolve of this.#drained.splice(0)) resolve()
  }

  #due(bytes: number): number {
    const { delayMs, jitterMs, bytesPerSecond, direction } = this.#plan.faults
    const now = performance.now()
    if (direction !== 'both' && direction !== this.#direction) return now
    const transmitted = Math.max(now, this.#lineFreeAt) + (bytes / bytesPerSecond) * 1000
    this.#lineFreeAt = bytesPerSecond === Infinity ? 0 : transmitted
    const jitter = jitterMs === 0 ? 0 : this.#random() * jitterMs
    this.#lastDue = Math.max(this.#lastDue, transmitted + delayMs + jitter)
    return this.#lastDue
  }

  async #run(): Promise<void> {
    for (let entry; (entry = await this.#queue.take()) !== null;) {
      await this.#until(entry.due)
      if (!this.#ended) await this.#pass(entry.message)
      if (this.#ended) return
      this.#bytes -= entry.message.length + MESSAGE_COST_BYTES
      this.#settle()
    }
  }

  async #pass(message: Uint8Array): Promise<void> {
    const fate = this.#plan.fate(this.#number++, this.#direction, this.#random)
    const { counts, faults } = this.#plan
    if (this.#vanished) return
    if (fate.has('lose')) {
      counts.lose++
      return this.#owner.lose()
    }
    if (fate.has('vanish')) {
      counts.vanish++
      this.#vanished = true
      return
    }
    for (const kind of ['stall', 'deaf'] as const) {
      if (!fate.has(kind)) continue
      counts[kind]++
      this.#blockedUntil = kind === 'deaf' ? Infinity : performance.now() + faults.stallMs
      await this.#until(0)
      if (this.#ended) return
    }
    const changed = fate.has('inject') ? await this.#inject(message) : message
    if (fate.has('drop')) {
      counts.drop++
      this.#harmed = true
      return
    }
    if (fate.has('reorder') && this.#overtaken === null) {
      counts.reorder++
      this.#overtaken = changed
      return
    }
    await this.#deliver(changed)
    if (fate.has('duplicate')) {
      counts.duplicate++
      await this.#deliver(changed)
    }
    const late = this.#overtaken
    this.#overtaken = null
    if (late !== null) await this.#deliver(late)
  }

  /** Returns the message that takes the place of the one whose turn it is. */
  async #inject(message: Uint8Array): Promise<Uint8Array> {
    const { injections } = this.#plan.faults
    const kind = injections[Math.floor(this.#random() * injections.length)] as Injection
    const byte = Math.floor(this.#random() * 256)
    this.#plan.counts.inject++
    // What must be refused harms nothing; what a receiver gets, no transport has refused.
    const refused = this.#direction === 'send'
    switch (kind) {
      case 'empty':
        if (refused) await this.#owner.refuse(new Uint8Array(0), 'INVALID_ARGUMENT')
        else await this.#deliver(new Uint8Array(0))
        break
      case 'oversize': {
        const oversize = new Uint8Array(MAX_MESSAGE_BYTES + 1).fill(byte)
        if (refused) await this.#owner.refuse(oversize, 'MESSAGE_TOO_LARGE')
        else await this.#deliver(oversize)
        break
      }
      case 'byte':
        await this.#deliver(Uint8Array.of(byte))
        break
      case 'largest':
        await this.#deliver(new Uint8Array(MAX_MESSAGE_BYTES).fill(byte))
        break
      case 'flip': {
        const place = Math.floor(this.#random() * message.length)
        message = Uint8Array.from(message)
        message[place] = (message[place] as number) ^ (1 << (byte & 7))
      }
    }
    this.#harmed ||= !(refused && (kind === 'empty' || kind === 'oversize'))
    return message
  }

  async #deliver(message: Uint8Array): Promise<void> {
    if (this.#ended) return
    await this.#owner.deliver(message)
  }

  get #isBlocked(): boolean {
    return performance.now() < this.#blockedUntil
  }

  /** Lets those who wait for room go on, if there is some. */
  #settle(): void {
    if (this.#bytes === 0) for (const resolve of this.#drained.splice(0)) resolve()
    if (this.#bytes > LANE_WINDOW_BYTES || this.#isBlocked) return
    for (const { resolve } of this.#waiting.splice(0)) resolve()
  }

  /** Waits for the time, and for the end of a stall. */
  async #until(due: number): Promise<void> {
    for (;;) {
      const ms = Math.max(due, this.#blockedUntil) - performance.now()
      if (ms <= 0 || this.#ended) return
      await new Promise<void>((resolve) => {
        this.#wake = resolve
        if (ms < Infinity) this.#timer = setTimeout(() => this.#wakeUp(), Math.ceil(ms))
      })
    }
  }

  #wakeUp(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#wake?.()
    this.#wake = null
  }
}

function laneClosed(): PeerlogError {
  return new PeerlogError('CLOSED', 'The connection is closed')
}

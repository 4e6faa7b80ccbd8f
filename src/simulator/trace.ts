import { hash } from '../base/hash.ts'

const CHUNK_BYTES = 64 * 1024
const HEADER_BYTES = 20

/** A hash over everything that happens: equal for two runs exactly if the same happened in both, at the same times. */
export class Trace {
  #state: Buffer = Buffer.alloc(32)
  readonly #chunk = Buffer.alloc(CHUNK_BYTES)
  #used = 0

  /**
   * @param kind what happened, as a number of its own.
   * @param a @param b to whom: numbers of devices.
   */
  add(kind: number, at: number, a: number, b: number, bytes: Uint8Array): void {
    const body = bytes.length <= 1024 ? bytes : hash(bytes)
    if (this.#used + HEADER_BYTES + body.length > CHUNK_BYTES) this.#fold()
    const chunk = this.#chunk
    let used = chunk.writeDoubleLE(at, this.#used)
    used = chunk.writeUInt16LE(kind, used)
    used = chunk.writeInt16LE(a, used)
    used = chunk.writeInt16LE(b, used)
    used = chunk.writeUInt32LE(bytes.length, used)
    chunk.set(body, used)
    this.#used = used + body.length
  }

  text(kind: number, at: number, a: number, text: string): void {
    this.add(kind, at, a, -1, Buffer.from(text, 'utf8'))
  }

  #fold(): void {
    this.#state = hash([this.#state, this.#chunk.subarray(0, this.#used)])
    this.#used = 0
  }

  /** Hex, 64 digits. */
  digest(): string {
    this.#fold()
    return this.#state.toString('hex')
  }
}

/** Kinds of what is traced. */
export const TRACED = { world: 1, packet: 2, lost: 3, message: 4, commit: 5, session: 6, failure: 7 } as const

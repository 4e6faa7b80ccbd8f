import { Reader } from '../../src/base/codec.ts'

/**
 * What one decoding costs, in units that are the same on every machine: reads of its input, and bytes that it had
 * allocated. It stands between a decoder and everything that reads or allocates bytes, for as long as the process lives.
 */
export class Watch {
  #on = false
  /** Reads: of a number, a slice, a text. */
  steps = 0
  /** Bytes of the largest buffer or string that was made. */
  largest = 0

  constructor() {
    const step = (): void => void (this.#on && this.steps++)
    const made = (length: number): void => {
      if (this.#on && length > this.largest) this.largest = length
    }
    for (const name of ['u8', 'varint', 'bytes', 'text'] as const) before(Reader.prototype, name, step)
    const buffers = Buffer.prototype as Buffer
    for (const name of ['subarray', 'readUIntBE', 'readUInt32BE', 'compare', 'equals'] as const) {
      before(buffers, name, step)
    }
    after(buffers, 'toString', (text: string) => made(text.length))
    for (const name of ['alloc', 'allocUnsafe', 'allocUnsafeSlow', 'concat'] as const) {
      after(Buffer, name, (bytes: Uint8Array) => made(bytes.length))
    }
    // Of bytes that are there already it makes a view.
    after(Buffer, 'from', (bytes: Uint8Array, source) => source instanceof ArrayBuffer || made(bytes.length))
    after(Uint8Array.prototype, 'slice', (bytes: Uint8Array) => made(bytes.length))
  }

  /** What the call does is counted, from zero. */
  during<T>(call: () => T): T {
    this.steps = 0
    this.largest = 0
    this.#on = true
    try {
      return call()
    } finally {
      this.#on = false
    }
  }
}

type Method = (this: unknown, ...values: unknown[]) => unknown

function before(owner: object, name: string, told: () => void): void {
  const methods = owner as Record<string, Method>
  const original = methods[name] as Method
  methods[name] = function (...values) {
    told()
    return Reflect.apply(original, this, values)
  }
}

function after<T>(owner: object, name: string, told: (result: T, source: unknown) => unknown): void {
  const methods = owner as Record<string, Method>
  const original = methods[name] as Method
  methods[name] = function (...values) {
    const result = Reflect.apply(original, this, values)
    told(result as T, values[0])
    return result
  }
}

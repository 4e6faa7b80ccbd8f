import { hash } from '../../base/hash.ts'
import { STAGED_PIECE_BYTES } from './limits.ts'
import { partsOf } from './messages.ts'

/** What a part of something large is named by in filters: the id of the whole ‖ u32 index. */
export function partId(id: Buffer, index: number): Buffer {
  const name = Buffer.allocUnsafe(36)
  name.set(id, 0)
  name.writeUInt32BE(index, 32)
  return name
}

/** Something large, as far as its parts have come. */
export class Assembly {
  readonly id: Buffer
  readonly total: number
  /** Where the parts came from. */
  readonly senders: Set<string> = new Set()
  readonly #parts: (Buffer | undefined)[]
  #missing: number

  constructor(id: Buffer, total: number) {
    this.id = id
    this.total = total
    this.#missing = partsOf(total)
    this.#parts = Array.from<Buffer | undefined>({ length: this.#missing })
  }

  get isWhole(): boolean {
    return this.#missing === 0
  }

  /** False if the part was here. Bytes are copied. */
  add(index: number, bytes: Buffer, sender: string): boolean {
    if (this.#parts[index] !== undefined) return false
    this.#parts[index] = Buffer.from(bytes)
    this.#missing--
    this.senders.add(sender)
    return true
  }

  /** Names of the parts that are here. */
  *partIds(): Generator<Buffer> {
    for (const [index, part] of this.#parts.entries()) if (part !== undefined) yield partId(this.id, index)
  }

  /** The whole, once it is; null if it is not what its id says. */
  whole(): Buffer | null {
    const bytes = Buffer.concat(this.#parts as Buffer[])
    return hash(bytes).equals(this.id) ? bytes : null
  }
}

/** Memory that so many bytes are counted for. */
export function stagedBytes(bytes: number): number {
  return bytes + STAGED_PIECE_BYTES
}

import { Reader } from '../../base/codec.ts'
import { hash } from '../../base/hash.ts'

/** Bytes of a filter's salt. */
export const SALT_BYTES = 16
/** Bytes of an encoded filter besides its bits. */
export const FILTER_OVERHEAD_BYTES: number = SALT_BYTES + 1
/** Bits that one id may set. */
export const MAX_HASHES = 16
/** The share of ids that a filter takes for its own by mistake, unless asked otherwise. */
export const FALSE_POSITIVES = 0.01

/** How large a filter becomes: as large as `count` and `falsePositives` ask for, and `maxBytes` allows. */
export interface BloomSize {
  /** Ids that are to be added. */
  count: number
  /** The share of other ids that may be taken for one of them, if there is room; default 1 %. */
  falsePositives?: number
  /** Bytes that the bits may take at most: with too few, there are more false positives. */
  maxBytes: number
}

/**
 * A Bloom filter (Bloom, 1970) over ids that are hashes: what it says is not in it was not added; of what was not added it
 * takes a share for its own, another share with each salt. A fresh salt for each filter is therefore what makes a
 * sequence of them complete. A filter that has everything proves nothing: compare fingerprints too.
 *
 * An id is hashed whole with BLAKE2b-256, keyed with the salt; its places are a + i·b + (i³ − i)/6 modulo the number of bits
 * (enhanced double hashing: Dillinger and Manolios, 2004), with a and b the first two 48-bit numbers of that hash.
 *
 *   salt  16 bytes
 *   k     u8        places of each id, 1 … 16
 *   bits  the rest  bit n is bit n mod 8 (the lowest first) of byte n div 8; none at all for an empty filter
 */
export class BloomFilter {
  /** 16 bytes that make this filter err about other ids than any other. */
  readonly salt: Buffer
  /** Bits that each id sets, 1 … 16. */
  readonly hashes: number
  readonly #bits: Buffer

  private constructor(salt: Buffer, hashes: number, bits: Buffer) {
    this.salt = salt
    this.hashes = hashes
    this.#bits = bits
  }

  /** An empty filter. @param salt 16 fresh random bytes. */
  static create({ count, falsePositives = FALSE_POSITIVES, maxBytes }: BloomSize, salt: Uint8Array): BloomFilter {
    const bytes = Math.min(maxBytes, bloomBytes(count, falsePositives))
    const hashes = count === 0 ? 1 : Math.round(((bytes * 8) / count) * Math.LN2)
    return new BloomFilter(Buffer.from(salt), Math.max(1, Math.min(MAX_HASHES, hashes)), Buffer.alloc(bytes))
  }

  /** Null for bytes that are no filter. The bits stay a view of the bytes. */
  static decode(bytes: Buffer): BloomFilter | null {
    const reader = new Reader(bytes)
    const salt = reader.bytes(SALT_BYTES)
    const hashes = reader.u8()
    if (!reader.ok || hashes < 1 || hashes > MAX_HASHES) return null
    return new BloomFilter(salt, hashes, reader.rest())
  }

  /** As the class says: 17 bytes and its bits. */
  encode(): Buffer {
    return Buffer.concat([this.salt, Uint8Array.of(this.hashes), this.#bits])
  }

  /** Bytes of its bits. */
  get bytes(): number {
    return this.#bits.length
  }

  /** Adds an id, a hash of at least 16 bytes, all of which count. */
  add(id: Uint8Array): void {
    const bits = this.#bits.length * 8
    if (bits === 0) return
    const digest = hash(id, this.salt)
    let [place, step] = placesOf(digest, bits)
    for (let i = 1; i <= this.hashes; i++) {
      this.#bits[place >>> 3] = (this.#bits[place >>> 3] as number) | (1 << (place & 7))
      place = (place + step) % bits
      step = (step + i) % bits
    }
  }

  /** False: it was not added. True: it was, or is one of the few that are taken for it. */
  has(id: Uint8Array): boolean {
    const bits = this.#bits.length * 8
    if (bits === 0) return false
    const digest = hash(id, this.salt)
    let [place, step] = placesOf(digest, bits)
    for (let i = 1; i <= this.hashes; i++) {
      if (((this.#bits[place >>> 3] as number) & (1 << (place & 7))) === 0) return false
      place = (place + step) % bits
      step = (step + i) % bits
    }
    return true
  }
}

function placesOf(digest: Buffer, bits: number): [place: number, step: number] {
  return [digest.readUIntLE(0, 6) % bits, digest.readUIntLE(6, 6) % bits]
}

/** Bytes that the bits take for so many ids: −n ln p / (ln 2)², in bits. */
export function bloomBytes(count: number, falsePositives: number): number {
  return Math.ceil((-count * Math.log(falsePositives)) / (8 * Math.LN2 ** 2))
}

/** Ids that so many bytes of bits hold. */
export function bloomCapacity(bytes: number, falsePositives: number = FALSE_POSITIVES): number {
  return Math.floor((bytes * 8 * Math.LN2 ** 2) / -Math.log(falsePositives))
}

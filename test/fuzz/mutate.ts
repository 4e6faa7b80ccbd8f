import { MAX_MESSAGE_BYTES } from '../../src/base/limits.ts'
import type { Chance } from './chance.ts'

/** Makes other bytes of some, with the help of another input. */
type Mutator = (chance: Chance, bytes: Buffer, other: Buffer) => Buffer

/** What lengths, counts and numbers are set to: varints and fixed widths at their edges, and longer forms than allowed. */
const EXTREMES = [
  '00 01 7f 80 ff 8000 ff7f 8001 8100 0000 ffff 00000000 ffffffff 7fffffff 80000000 00000001 00010001',
  'ffffffff0f 8080808010 ffffffffffff3f 80808080808040 ffffffffffffff0f ffffffffffffff10 8080808080808010',
  'ffffffffffffffff ffffffffffffffff01 000000000000 ffffffffffff',
]
  .flatMap((line) => line.split(' '))
  .map((hex) => Buffer.from(hex, 'hex'))

/** Bytes of the longest input. */
export const LONGEST_INPUT = MAX_MESSAGE_BYTES + 64
/** Bytes of an input that was not meant to be too long. */
const USUAL_LENGTH = 80_000

const MUTATORS: readonly Mutator[] = [
  function flipBits(chance, bytes) {
    const copy = Buffer.from(bytes)
    for (let flips = 1 + chance.below(4); flips > 0 && copy.length > 0; flips--) {
      const at = chance.below(copy.length)
      copy[at] = (copy[at] as number) ^ (1 << chance.below(8))
    }
    return copy
  },
  function setBytes(chance, bytes) {
    const copy = Buffer.from(bytes)
    // More often near the start, where types, counts and lengths are.
    if (copy.length > 0) copy[chance.below(chance.pick([1, 8, 64, copy.length]))] = chance.below(256)
    return copy.subarray(0, bytes.length)
  },
  function truncate(chance, bytes) {
    return bytes.subarray(0, chance.below(bytes.length + 1))
  },
  function shorten(chance, bytes) {
    return bytes.subarray(0, Math.max(0, bytes.length - 1 - chance.below(3)))
  },
  function extend(chance, bytes) {
    return Buffer.concat([bytes, chance.bytes(1 + chance.below(40))])
  },
  function splice(chance, bytes, other) {
    return Buffer.concat([
      bytes.subarray(0, chance.below(bytes.length + 1)),
      other.subarray(chance.below(other.length + 1)),
    ])
  },
  function swapStart(chance, bytes, other) {
    const length = chance.below(Math.min(bytes.length, other.length, 80) + 1)
    return Buffer.concat([other.subarray(0, length), bytes.subarray(length)])
  },
  function overwriteNumber(chance, bytes) {
    const at = chance.below(Math.min(bytes.length, chance.pick([4, 48, 4096])) + 1)
    const extreme = chance.pick(EXTREMES)
    return Buffer.concat([bytes.subarray(0, at), extreme, bytes.subarray(at + extreme.length)])
  },
  function replaceNumber(chance, bytes) {
    const at = chance.below(Math.min(bytes.length, chance.pick([4, 48, 4096])) + 1)
    return Buffer.concat([bytes.subarray(0, at), chance.pick(EXTREMES), bytes.subarray(at + 1 + chance.below(4))])
  },
  function removeSome(chance, bytes) {
    const at = chance.below(bytes.length + 1)
    return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + 1 + chance.below(40))])
  },
  function repeatSome(chance, bytes) {
    const at = chance.below(bytes.length + 1)
    const some = bytes.subarray(at, at + 1 + chance.below(300))
    return Buffer.concat([bytes.subarray(0, at), ...chance.list(8, () => some), bytes.subarray(at)])
  },
  function noiseAfterStart(chance, bytes) {
    return Buffer.concat([bytes.subarray(0, chance.below(8)), chance.bytes(chance.below(300))])
  },
]

/** One to three mutations of the bytes; rarely all zeros, or longer than any message. */
export function mutate(chance: Chance, bytes: Buffer, other: Buffer): Buffer {
  if (chance.oneIn(2000)) return Buffer.concat([bytes, Buffer.alloc(chance.below(LONGEST_INPUT - bytes.length))])
  let result = bytes
  for (let times = 1 + chance.below(3); times > 0; times--) {
    result = chance.pick(MUTATORS)(chance, result, other)
    if (result.length > USUAL_LENGTH && result.length > bytes.length) return result.subarray(0, LONGEST_INPUT)
  }
  return result
}

import v8 from 'node:v8'
import vm from 'node:vm'
import { Chance } from './chance.ts'
import { mutate } from './mutate.ts'
import { Watch } from './watch.ts'

/** Something that turns bytes from outside into a value. */
export interface Decoder<T = unknown> {
  name: string
  /** Bytes that must be accepted. */
  valid(chance: Chance): Buffer
  /** Bytes that are almost valid, in ways that chance hardly finds: counts beyond a limit, parts that contradict. */
  odd?(chance: Chance): Buffer
  /** The value, or null for bytes that are none. Never throws. */
  decode(bytes: Buffer): T | null | Promise<T | null>
  /** The bytes that the value has, where it has only these; null for one that more bytes than these stand for. */
  encode?(value: T): Buffer | null
  /** Bytes that decoding allocates at once, besides as many as the input has. */
  slack?: number
}

/** Gives a decoder a place among others, whatever its values are. */
export function decoder<T>(entry: Decoder<T>): Decoder {
  return entry
}

export interface Budget {
  seed: number
  /** Ends at the first of the two that is used up. */
  inputs?: number
  milliseconds?: number
}

export interface Outcome {
  name: string
  inputs: number
  accepted: number
  rejected: number
  /** Bytes by which the heap has grown after the first inputs. */
  growth: number
  /** Reads for each byte of an input, at most. */
  steps: number
  /** Bytes of the largest allocation. */
  largest: number
}

/** Reads of a decoder for each byte of its input, and for an input of no bytes. */
export const STEPS_PER_BYTE = 4
export const STEPS_AT_LEAST = 64
/** Parts of a decoded value for each byte of its input, and for an input of no bytes. */
export const PARTS_PER_BYTE = 2
export const PARTS_AT_LEAST = 64
/** Bytes of one allocation besides the length of the input. */
export const USUAL_SLACK = 512
/** Bytes by which the heap may have grown when all inputs are gone. */
export const MAX_GROWTH: number = 24 * 1024 * 1024
/** Inputs after which whatever is made once has been made. */
const WARM_UP = 500
/** Inputs between two looks at the clock. */
const CLOCK_INTERVAL = 16
/** Valid inputs that are remembered, to splice with. */
const REMEMBERED = 64
/** Bytes of an input that a failure prints. */
const MAX_PRINTED = 600

const watch = new Watch()
v8.setFlagsFromString('--expose-gc')
const gc = vm.runInNewContext('gc') as () => void

/** Memory that is still in use when what was dropped is gone; that of buffers goes a little later. */
async function heapBytes(): Promise<number> {
  for (let times = 0; times < 3; times++) {
    gc()
    await new Promise(setImmediate)
  }
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}

/** Gives a decoder valid, damaged and odd bytes until the budget is used up. @throws Error with the input that it failed on. */
export async function fuzz(
  entry: Decoder,
  { seed, inputs = Infinity, milliseconds = Infinity }: Budget,
): Promise<Outcome> {
  const chance = new Chance(seed)
  const outcome: Outcome = { name: entry.name, inputs: 0, accepted: 0, rejected: 0, growth: 0, steps: 0, largest: 0 }
  const known: Buffer[] = [entry.valid(chance)]
  const end = performance.now() + milliseconds
  let warm = 0
  for (; outcome.inputs < inputs; outcome.inputs++) {
    if (outcome.inputs % CLOCK_INTERVAL === 0 && performance.now() >= end) break
    if (outcome.inputs === WARM_UP) warm = await heapBytes()
    const kind = chance.below(10)
    let bytes = kind === 0 || kind === 1 ? entry.valid(chance) : chance.pick(known)
    const isValid = kind < 2
    if (isValid) known[known.length < REMEMBERED ? known.length : chance.below(REMEMBERED)] = bytes
    else if (kind < 4 && entry.odd !== undefined) bytes = entry.odd(chance)
    else bytes = mutate(chance, bytes, chance.pick(known))
    // A copy of its own: a decoder that reads beyond its input finds nothing there.
    const input = Buffer.from(new Uint8Array(bytes))
    try {
      const accepted = await checkOne(entry, input, outcome)
      if (isValid && !accepted) throw new Error('valid bytes were rejected')
    } catch (error) {
      const hex = bytes.subarray(0, MAX_PRINTED).toString('hex')
      throw new Error(`${entry.name}, seed ${seed}, input ${outcome.inputs} (${bytes.length} bytes): ${hex}`, {
        cause: error,
      })
    }
  }
  if (outcome.inputs > WARM_UP) outcome.growth = (await heapBytes()) - warm
  if (outcome.growth > MAX_GROWTH) throw new Error(`${entry.name}: the heap has grown by ${outcome.growth} bytes`)
  return outcome
}

/** @returns whether the bytes were accepted. */
async function checkOne(entry: Decoder, input: Buffer, outcome: Outcome): Promise<boolean> {
  const before = Buffer.from(input)
  const decoded = watch.during(() => entry.decode(input))
  const { steps, largest } = watch
  const value = decoded instanceof Promise ? await decoded : decoded
  outcome.steps = Math.max(outcome.steps, steps / (input.length + STEPS_AT_LEAST))
  outcome.largest = Math.max(outcome.largest, largest)
  if (steps > STEPS_AT_LEAST + STEPS_PER_BYTE * input.length) throw new Error(`${steps} steps`)
  if (largest > input.length + (entry.slack ?? USUAL_SLACK)) throw new Error(`${largest} bytes were allocated at once`)
  if (!before.equals(input)) throw new Error('the input was changed')
  if (value === null) {
    outcome.rejected++
    return false
  }
  outcome.accepted++
  const parts = partsOf(value, PARTS_AT_LEAST + PARTS_PER_BYTE * input.length)
  if (parts < 0) throw new Error('the value has more parts than its bytes explain')
  const again = entry.encode?.(value) ?? null
  if (again !== null && !again.equals(input)) {
    throw new Error(`it is encoded as ${again.subarray(0, MAX_PRINTED).toString('hex')}`)
  }
  return true
}

/** Objects and entries of a value; −1 if there are more than `most`. */
function partsOf(value: unknown, most: number): number {
  let parts = 0
  const waiting = [value]
  while (waiting.length > 0) {
    const one = waiting.pop()
    if (++parts > most) return -1
    if (typeof one === 'object' && one !== null && !ArrayBuffer.isView(one)) {
      for (const part of Object.values(one)) waiting.push(part)
    }
  }
  return parts
}

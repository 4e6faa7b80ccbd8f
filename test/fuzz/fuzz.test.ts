/**
 * Every decoder of bytes from outside, and whether every branch that rejects is taken: in a process of its own, whose
 * decoders tell of their branches. The inputs are the same in every run; PEERLOG_FUZZ_SECONDS makes it so many seconds
 * for each decoder, PEERLOG_SEED another seed. `npm run fuzz` is the long run.
 */
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { run } from '../../scripts/lib/processes.ts'
import type { Branch } from './branches.ts'
import { instrument } from './branches.ts'
import { COVERED } from './covered.ts'
import type { Decoder } from './fuzz.ts'
import { fuzz, MAX_GROWTH, STEPS_AT_LEAST } from './fuzz.ts'
import { TakenBranches } from './taken.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
/** Inputs of each decoder: all branches are taken after a fifth of them. */
const INPUTS = 30_000
const SECONDS = process.env['PEERLOG_FUZZ_SECONDS']
const LIMIT_MS = 600_000 + Object.keys(COVERED).length * 1000 * Number(SECONDS ?? 0)

it('no decoder breaks its promises, and all branches that reject are taken', { timeout: LIMIT_MS }, async () => {
  const budget = SECONDS === undefined ? ['--inputs', String(INPUTS)] : ['--seconds', SECONDS]
  const args = ['--import', 'ts-blank-space/register', 'test/fuzz/main.ts', ...budget]
  const { code, output } = await run(process.execPath, args, { cwd: ROOT, limitMs: LIMIT_MS })
  console.log(output)
  expect(code, output).toBe(0)
  for (const name of Object.keys(COVERED)) expect(output).toContain(`\n${name} `)
  expect(output).toMatch(/: (\d+) of \1 branches that reject were taken/)
})

describe('the fuzzer', () => {
  /** A byte that counts what follows it. */
  const sound: Decoder = {
    name: 'sound',
    valid: (chance) => {
      const rest = chance.bytes(chance.below(9))
      return Buffer.concat([Buffer.of(rest.length), rest])
    },
    decode: (bytes) => (bytes.length > 0 && bytes[0] === bytes.length - 1 ? { rest: bytes.subarray(1) } : null),
    encode: (value) => {
      const { rest } = value as { rest: Buffer }
      return Buffer.concat([Buffer.of(rest.length), rest])
    },
  }
  const kept: Buffer[] = []
  const broken: [string, Partial<Decoder>, RegExp][] = [
    ['throws', { decode: (bytes) => bytes.readUInt32BE(0) }, /outside buffer bounds|out of range/],
    ['refuses what is valid', { decode: () => null }, /valid bytes were rejected/],
    ['takes two encodings for one', { decode: (bytes) => ({ rest: bytes.subarray(1) }) }, /it is encoded as/],
    ['changes its input', { decode: (bytes) => bytes.fill(1) }, /the input was changed/],
    ['believes a length', { decode: () => Buffer.alloc(1_000_000) }, /1000000 bytes were allocated at once/],
    [
      'reads for ever',
      {
        decode: (bytes) => {
          for (let i = 0; i <= STEPS_AT_LEAST + bytes.length ** 2 * 8; i++) bytes.subarray(i)
          return {}
        },
      },
      /steps/,
    ],
    ['makes much of little', { decode: () => Array.from({ length: 5000 }, () => 0) }, /more parts/],
    [
      'keeps what it made',
      {
        decode: (bytes) => {
          kept.push(Buffer.alloc(40_000))
          return sound.decode(bytes)
        },
        slack: 40_000,
      },
      /heap has grown/,
    ],
  ]

  it('is content with one that is sound, and does the same for the same seed', async () => {
    const outcome = await fuzz(sound, { seed: 5, inputs: 3000 })
    expect(outcome).toMatchObject({ name: 'sound', inputs: 3000 })
    expect(outcome.accepted).toBeGreaterThan(300)
    expect(outcome.rejected).toBeGreaterThan(300)
    expect(outcome.growth).toBeLessThan(MAX_GROWTH)
    const again = await fuzz(sound, { seed: 5, inputs: 3000 })
    expect([again.accepted, again.rejected]).toEqual([outcome.accepted, outcome.rejected])
  })

  it.each(broken)('finds one that %s', async (_what, fault, expected) => {
    const entry: Decoder = { ...sound, ...fault }
    const failure = await fuzz(entry, { seed: 6, inputs: 3000 }).then(
      () => null,
      (error: unknown) => error as Error,
    )
    expect(`${failure?.message} ${String(failure?.cause)}`).toMatch(expected)
    kept.length = 0
  })
})

describe('branches that reject', () => {
  const source = `
export function decode(bytes) {
  if (bytes.length > 9 || (bytes[0] === 1 && bytes[1] === 2)) return null
  if (!(bytes.length > 2 && bytes[2] !== 3)) bytes.fail()
  return bytes[3] === 4 ? 'a fault' : bytes
}
function encode(value) {
  return value === 0 ? null : value
}
return decode
`
  it('are each condition that leads to one, and count when it does', () => {
    const taken = new TakenBranches()
    let list: readonly Branch[] = []
    const code = instrument(source.replace('export ', ''), (branches) => {
      list = branches
      return 'tell'
    })
    // It is our own text, two lines above.
    // oxlint-disable-next-line typescript/no-implied-eval
    const make = new Function('tell', code) as (tell: unknown) => (bytes: unknown) => unknown
    const decode = make(taken.of(['decoder', [...list]]))
    expect(list.map(({ line, text }) => `${line}: ${text}`)).toEqual([
      '3: bytes.length > 9',
      '3: bytes[0] === 1 && bytes[1] === 2',
      '3: null',
      '4: not (bytes.length > 2)',
      '4: not (bytes[2] !== 3)',
      '4: bytes.fail()',
      '5: bytes[3] === 4',
      "5: 'a fault'",
    ])
    const bytes = (...values: number[]): unknown => Object.assign(values, { fail: () => {} })
    expect(decode(bytes(0, 0, 0, 0))).toHaveLength(4)
    expect(taken.total(['decoder'])).toEqual({ taken: 0, all: 8 })
    expect(decode(bytes(1, 2, 0, 0))).toBe(null)
    expect(decode(bytes(0, 0, 3, 4))).toBe('a fault')
    expect(taken.missed().map(({ branch }) => branch.text)).toEqual(['bytes.length > 9', 'not (bytes.length > 2)'])
  })
})

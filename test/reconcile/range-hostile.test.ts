/** What a peer may send instead of an honest message. PEERLOG_SEED says from which seed the noise is. */
import { describe, expect, it } from 'vitest'
import { dice } from '../../src/base/dice.ts'
import { ItemIndex } from '../../src/reconcile/item-index.ts'
import { RANGE_FRAME_BYTES } from '../../src/reconcile/limits.ts'
import type { RangeOptions } from '../../src/reconcile/range/options.ts'
import type { RangeFault } from '../../src/reconcile/range/range-reconciler.ts'
import { RangeReconciler } from '../../src/reconcile/range/range-reconciler.ts'
import { SEED } from '../arbitraries.ts'
import { THOROUGH } from '../faults/scale.ts'
import { compare, pairOf, stepOf } from './pairs.ts'

const MESSAGES = THOROUGH ? 1_000_000 : 60_000
const NOTHING = '7f9c9e31ac8256ca2f258583df262dbc'
const INFINITE_SKIP = '000000'
const MAX = 'ff'.repeat(9) + '7f'

function indexOf(count: number): ItemIndex {
  const random = dice(count)
  const index = new ItemIndex()
  while (index.size < count) {
    const id = Buffer.allocUnsafe(32)
    for (let at = 0; at < 32; at += 4) id.writeUInt32LE(random() * 2 ** 32, at)
    index.insert(Math.floor(random() * 1000), id)
  }
  return index
}

function faultOf(hex: string, options: RangeOptions = {}, initiate = false): RangeFault | null {
  const reconciler = new RangeReconciler(indexOf(100), options)
  if (initiate) reconciler.initiate()
  const step = reconciler.receive(Buffer.from(hex, 'hex'))
  return step.type === 'violation' ? step.fault : null
}

describe('a message that no honest peer sends', () => {
  it.each<[string, RangeFault, string]>([
    ['nothing', 'empty', ''],
    ['no version', 'bad-version', '5f'],
    ['no version either', 'bad-version', '70'],
    ['half a bound', 'cut-short', '6101'],
    ['a bound without its id', 'cut-short', '610104aabbcc'],
    ['a bound without a mode', 'cut-short', '610000'],
    ['half a fingerprint', 'cut-short', `61000001${NOTHING.slice(2)}`],
    ['ids without a number', 'cut-short', '61000002'],
    ['fewer ids than it says', 'cut-short', `6100000202${'ee'.repeat(63)}`],
    ['2^64 − 1 ids', 'cut-short', `6100000281${MAX.slice(2)}`],
    ['an endless number', 'bad-number', `61${'81'.repeat(11)}`],
    ['a number above 2^64 − 1', 'bad-number', `6182${'80'.repeat(8)}000000`],
    ['a number longer than necessary', 'bad-number', '6180010000'],
    ['a timestamp of 2^64 − 1', 'bad-timestamp', `6102000081${'ff'.repeat(8)}7f0000`],
    ['a bound with 33 bytes of id', 'bad-prefix', `610121${'ee'.repeat(33)}00`],
    ['infinity with an id', 'bad-prefix', '6100010100'],
    ['mode 3', 'bad-mode', '61000003'],
    ['mode 128', 'bad-mode', '6100008001'],
    ['the first bound at the very beginning', 'out-of-order', '61010000'],
    ['the same bound twice', 'out-of-order', '61020000010000'],
    ['the same bound in more bytes', 'out-of-order', '610201aa000102aa0000'],
    ['an earlier id', 'out-of-order', '610201bb000101aa00'],
    ['a shorter id', 'out-of-order', '610202bb01000101bb00'],
    ['something after infinity', 'out-of-order', `61${INFINITE_SKIP}020000`],
    ['infinity twice', 'out-of-order', `61${INFINITE_SKIP}${INFINITE_SKIP}`],
    ['a fingerprint of something after infinity', 'out-of-order', `61${INFINITE_SKIP}000001${'ab'.repeat(16)}`],
    ['more after the end', 'out-of-order', `61${INFINITE_SKIP}000001${NOTHING}00`],
  ])('%s: %s', (_, fault, hex) => {
    expect(faultOf(hex)).toBe(fault)
    expect(faultOf(hex, {}, true)).toBe(fault)
  })

  it.each<[string, string]>([
    ['a close that says again that nothing is left', `61${INFINITE_SKIP}000001${NOTHING}`],
    ['infinity with zeros for an id', `610020${'00'.repeat(32)}00`],
    ['2^64 − 2', `6181${'ff'.repeat(8)}7f0000`],
    ['the last id of the last timestamp', `6181${'ff'.repeat(8)}7f20${'ff'.repeat(32)}00${INFINITE_SKIP}`],
    ['bounds a byte apart', '610201aa000102aa0100000000'],
  ])('but not %s', (_, hex) => {
    expect(faultOf(hex)).toBe(null)
  })

  it('is one of a version that we do not speak, in answer to ours', () => {
    expect(faultOf('62', {}, true)).toBe('bad-version')
    expect(faultOf('60', {}, false)).toBe(null)
  })

  it('is one beyond a limit', () => {
    const skips = (count: number): string => `61${'020000'.repeat(count)}`
    expect(faultOf(skips(5), { maxRanges: 5 })).toBe(null)
    expect(faultOf(skips(6), { maxRanges: 5 })).toBe('too-many-ranges')
    const ids = (...counts: number[]): string =>
      `61${counts.map((count) => `0200020${count}${'ee'.repeat(32 * count)}`).join('')}`
    expect(faultOf(ids(2, 3), { maxIds: 5 })).toBe(null)
    expect(faultOf(ids(2, 4), { maxIds: 5 })).toBe('too-many-ids')
    expect(faultOf(skips(33), { maxMessageBytes: 100 })).toBe(null)
    expect(faultOf(skips(34), { maxMessageBytes: 100 })).toBe('too-long')
  })

  it('is one too many; and after it there is nothing else, until the next beginning', () => {
    const reconciler = new RangeReconciler(indexOf(100), { maxRounds: 3 })
    const message = Buffer.of(0x61)
    for (let round = 0; round < 3; round++) expect(reconciler.receive(message).type).toBe('step')
    for (let round = 0; round < 2; round++) {
      expect(reconciler.receive(message)).toEqual({ type: 'violation', fault: 'too-many-rounds' })
    }
    reconciler.initiate()
    expect(reconciler.receive(message).type).toBe('step')
    expect(reconciler.receive(Buffer.of(0)).type).toBe('violation')
    expect(reconciler.receive(message)).toEqual({ type: 'violation', fault: 'bad-version' })
  })
})

it('five bytes get no more than a frame', () => {
  const index = indexOf(140_000)
  const ask = Buffer.from('6100000200', 'hex')
  const reply = (options: RangeOptions): number =>
    (stepOf(new RangeReconciler(index, options).receive(ask)).reply as Buffer).length
  expect(reply({})).toBeLessThanOrEqual(RANGE_FRAME_BYTES)
  expect(reply({ frameLimit: 4096 })).toBeLessThanOrEqual(4096)
  expect(reply({ frameLimit: 0 })).toBeLessThan(32 * 131_072 + 100)
  expect(reply({ frameLimit: 0, maxItems: Number.POSITIVE_INFINITY })).toBe(32 * 140_000 + 7)
})

it('many ranges of nothing cost little', () => {
  const index = indexOf(1000)
  let searches = 0
  const source = {
    size: index.size,
    timestamp: (place: number) => index.timestamp(place),
    id: (place: number) => index.id(place),
    fingerprint: (from: number, to: number) => index.fingerprint(from, to),
    lowerBound: (timestamp: bigint, prefix: Uint8Array) => {
      searches++
      return index.lowerBound(timestamp, prefix)
    },
  }
  const count = 50_000
  const flood = (range: string): Buffer => Buffer.from(`61${range.repeat(count)}`, 'hex')
  stepOf(new RangeReconciler(source).receive(flood('020000')))
  expect(searches).toBe(0)
  // Empty lists, and fingerprints of nothing.
  for (const range of ['02000200', `020001${NOTHING}`]) {
    for (const initiates of [true, false]) {
      searches = 0
      const reconciler = new RangeReconciler(source, { maxItems: 4096 })
      if (initiates) reconciler.initiate()
      stepOf(reconciler.receive(flood(range)))
      expect(searches).toBeLessThan(1000)
    }
  }
})

it(`survives ${MESSAGES} damaged messages`, { timeout: 600_000 }, () => {
  const random = dice(SEED)
  const below = (n: number): number => Math.floor(random() * n)
  const pick = <T>(list: readonly T[]): T => list[below(list.length)] as T
  const honest: Buffer[] = []
  for (let seed = 0; seed < 60; seed++) {
    const { ours, theirs, limits } = pairOf(seed, 400)
    honest.push(...compare(ItemIndex.from(ours), ItemIndex.from(theirs), { frameLimit: limits[0] }).messages)
  }
  const noise = (length: number): Buffer =>
    Buffer.from(Array.from({ length }, () => (below(4) === 0 ? below(4) : below(256))))
  const damage: ((bytes: Buffer) => Buffer)[] = [
    (bytes) => bytes,
    (bytes) => bytes.subarray(0, below(bytes.length + 1)),
    (bytes) => Buffer.concat([bytes, noise(1 + below(40))]),
    (bytes) => {
      const copy = Buffer.from(bytes)
      for (let flips = 1 + below(4); flips > 0; flips--) copy.writeUInt8(below(256), below(copy.length))
      return copy
    },
    (bytes) => {
      const at = below(bytes.length)
      return Buffer.concat([bytes.subarray(0, at), noise(below(20)), bytes.subarray(at + below(20))])
    },
    (bytes) => Buffer.concat([bytes.subarray(0, 1), noise(below(300))]),
    () => noise(below(300)),
  ]
  const { ours, theirs } = pairOf(11, 3000)
  const sources = [ItemIndex.from(ours), ItemIndex.from(theirs), indexOf(1500), new ItemIndex()]
  const options = { frameLimit: 8192, maxItems: 4096, maxRanges: 20, maxIds: 60, maxMessageBytes: 4000 }
  const faults = new Map<string, number>()
  for (let sent = 0; sent < MESSAGES;) {
    const reconciler = new RangeReconciler(pick(sources), options)
    const isInitiator = below(2) === 0
    if (isInitiator) reconciler.initiate()
    for (let turns = 1 + below(4); turns > 0; turns--, sent++) {
      const message = pick(damage)(pick(honest))
      const before = Buffer.from(message)
      const step = reconciler.receive(message)
      expect(message.equals(before)).toBe(true)
      if (step.type === 'violation') {
        faults.set(step.fault, (faults.get(step.fault) ?? 0) + 1)
        continue
      }
      expect(step.reply?.length ?? 0).toBeLessThanOrEqual(options.frameLimit)
      expect(step.need.length).toBeLessThanOrEqual(options.maxIds)
      expect(step.have.length).toBeLessThanOrEqual(options.maxItems)
      if (!isInitiator) expect(step.have.length + step.need.length).toBe(0)
    }
  }
  // Noise comes upon everything but too many rounds.
  expect([...faults.keys()].toSorted()).toEqual([
    'bad-mode',
    'bad-number',
    'bad-prefix',
    'bad-timestamp',
    'bad-version',
    'cut-short',
    'empty',
    'out-of-order',
    'too-long',
    'too-many-ids',
    'too-many-ranges',
  ])
})

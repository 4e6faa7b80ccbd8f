import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Reader, varintBytes, Writer, writeVarint } from '../../src/base/codec.ts'
import { anyBytes, count, holds, varint } from '../arbitraries.ts'

const MAX = Number.MAX_SAFE_INTEGER

/** LEB128 with big integers, from its definition. */
function slowVarint(value: number): number[] {
  const bytes: number[] = []
  for (let rest = BigInt(value); ; rest >>= 7n) {
    if (rest < 0x80n) return [...bytes, Number(rest)]
    bytes.push(Number(rest & 0x7fn) | 0x80)
  }
}

function readVarint(bytes: number[] | Buffer): number | null {
  const reader = new Reader(Buffer.from(bytes))
  const value = reader.varint()
  return reader.finished ? value : null
}

describe('varints', () => {
  it('are LEB128 and come back', () => {
    holds(
      fc.property(count(), (value) => {
        const expected = slowVarint(value)
        const into = Buffer.alloc(12, 0xee)
        expect(writeVarint(into, 2, value)).toBe(2 + expected.length)
        expect([...into.subarray(2, 2 + expected.length)]).toEqual(expected)
        expect([into[1], into[2 + expected.length]]).toEqual([0xee, 0xee])
        expect(varintBytes(value)).toBe(expected.length)
        expect([...new Writer().varint(value).finish()]).toEqual(expected)
        expect(readVarint(expected)).toBe(value)
      }),
      1000,
    )
  })

  it.each([
    ['0', '00', 0],
    ['127', '7f', 127],
    ['128', '8001', 128],
    ['2^31 − 1', 'ffffffff07', 2 ** 31 - 1],
    ['2^31', '8080808008', 2 ** 31],
    ['2^32', '8080808010', 2 ** 32],
    ['2^49 − 1', 'ffffffffffff7f', 2 ** 49 - 1],
    ['2^53 − 1', 'ffffffffffffff0f', MAX],
    ['2^53', '8080808080808010', null],
    ['2^53 + 1', '8180808080808010', null],
    ['2^56 − 1', 'ffffffffffffff7f', null],
    ['nine bytes', 'ffffffffffffffff01', null],
    ['nothing', '', null],
    ['an end that is missing', '80', null],
    ['0 in two bytes', '8000', null],
    ['1 in two bytes', '8100', null],
    ['0 in eight bytes', '8080808080808000', null],
    ['0 in nine bytes', '808080808080808000', null],
    ['a byte too many', '0000', null],
  ])('%s', (_, hex, value) => {
    expect(readVarint(Buffer.from(hex, 'hex'))).toBe(value)
  })

  it('have one form only', () => {
    holds(
      fc.property(anyBytes(10), (bytes) => {
        const value = readVarint(bytes)
        if (value !== null) expect([...bytes]).toEqual(slowVarint(value))
      }),
      2000,
    )
    holds(
      fc.property(count(), fc.integer({ min: 1, max: 3 }), (value, extra) => {
        expect(readVarint(varint(value, extra))).toBe(null)
      }),
    )
  })
})

describe('Reader', () => {
  const READS = ['u8', 'u16', 'u32', 'u48', 'varint', 'rest', 'text', 'bytes', 'fail'] as const

  it('never throws; after a fault everything is empty and nothing is left', () => {
    const read = fc.record({ kind: fc.constantFrom(...READS), size: fc.oneof(fc.nat({ max: 20 }), count()) })
    holds(
      fc.property(anyBytes(60), fc.array(read, { maxLength: 20 }), (bytes, reads) => {
        const reader = new Reader(bytes)
        for (const { kind, size } of reads) {
          const wasOk = reader.ok
          const before = reader.offset
          const value = kind === 'text' ? reader.text(size) : kind === 'bytes' ? reader.bytes(size) : reader[kind]()
          expect(reader.offset + reader.remaining).toBe(bytes.length)
          expect(reader.offset).toBeGreaterThanOrEqual(before)
          if (!reader.ok) expect(reader.remaining).toBe(0)
          if (!wasOk) {
            expect(reader.ok).toBe(false)
            expect(value === undefined || value === 0 || value === '' || (value as Buffer).length === 0).toBe(true)
          }
          expect(reader.finished).toBe(reader.ok && reader.remaining === 0)
        }
      }),
      2000,
    )
  })

  it('reads fixed widths big-endian', () => {
    const reader = new Reader(Buffer.from('ff0102fffffffeffffffffffff', 'hex'))
    expect([reader.u8(), reader.u16(), reader.u32(), reader.u48()]).toEqual([255, 0x0102, 0xfffffffe, 2 ** 48 - 1])
    expect(reader.finished).toBe(true)
    for (const [kind, bytes] of [
      ['u8', 1],
      ['u16', 2],
      ['u32', 4],
      ['u48', 6],
    ] as const) {
      const short = new Reader(Buffer.alloc(bytes - 1, 0xff))
      expect([short[kind](), short.ok]).toEqual([0, false])
    }
  })

  it('reads views, and stays within a view that it was given', () => {
    const whole = Buffer.from('0011223344', 'hex')
    const reader = new Reader(whole.subarray(1, 4))
    const view = reader.bytes(2)
    expect([...view]).toEqual([0x11, 0x22])
    expect(view.buffer).toBe(whole.buffer)
    expect([...reader.rest()]).toEqual([0x33])
    expect(reader.bytes(0)).toHaveLength(0)
    expect(reader.finished).toBe(true)
    expect(reader.bytes(1)).toHaveLength(0)
    expect(reader.ok).toBe(false)
  })

  it('reads well-formed UTF-8 and nothing else', () => {
    const read = (bytes: Buffer, max = 1000): string | null => {
      const reader = new Reader(new Writer().varint(bytes.length).bytes(bytes).finish())
      const text = reader.text(max)
      return reader.finished ? text : null
    }
    holds(
      fc.property(fc.string({ unit: 'binary', maxLength: 20 }), (text) => {
        expect(read(Buffer.from(text))).toBe(text)
      }),
    )
    const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
    holds(
      fc.property(anyBytes(8), (bytes) => {
        let expected: string | null
        try {
          expected = strict.decode(bytes)
        } catch {
          expected = null
        }
        expect(read(bytes)).toBe(expected)
      }),
      3000,
    )
    for (const text of ['', '\ufffd', '\ufeff', 'a\ufffdb', '\0']) expect(read(Buffer.from(text))).toBe(text)
    for (const hex of [
      'ff',
      'c0af',
      'c1a1',
      'eda080',
      'edbfbf',
      'e0809f',
      'f4908080',
      'f0808080',
      'c3',
      'efbfbdff',
      '80',
    ]) {
      expect(read(Buffer.from(hex, 'hex'))).toBe(null)
    }
    expect(read(Buffer.from('abc'), 3)).toBe('abc')
    expect(read(Buffer.from('abc'), 2)).toBe(null)
    expect(read(Buffer.from('é'), 1)).toBe(null)
  })
})

describe('Writer', () => {
  it('joins what it was given, and knows the length', () => {
    const writer = new Writer()
      .u8(7)
      .varint(300)
      .text('é')
      .bytes(Buffer.of(1, 2))
      .u8(256 + 5)
    expect(writer.length).toBe(9)
    expect(writer.finish().toString('hex')).toBe('07ac0202c3a9010205')
    expect(new Writer().finish()).toHaveLength(0)
  })
})

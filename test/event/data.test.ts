import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { PeerlogError } from '../../src/base/errors.ts'
import { decodeData, encodeData } from '../../src/event/data.ts'
import { anyBytes, holds } from '../arbitraries.ts'

function roundTrip(data: unknown): unknown {
  const { json, bytes } = encodeData(data)
  return decodeData(json, bytes)
}

describe('data', () => {
  it('gives JSON values back', () => {
    holds(
      fc.property(fc.jsonValue(), (value) => {
        expect(roundTrip(value)).toEqual(JSON.parse(JSON.stringify(value)))
      }),
      500,
    )
  })

  it('gives any bytes back, as a Uint8Array that shares nothing', () => {
    holds(
      fc.property(anyBytes(), (bytes) => {
        const { json, bytes: encoded } = encodeData(new Uint8Array(bytes))
        expect(json).toBe(false)
        const decoded = decodeData(json, encoded) as Uint8Array
        expect(decoded.constructor).toBe(Uint8Array)
        expect(Buffer.from(decoded)).toEqual(bytes)
        encoded.fill(0)
        expect(Buffer.from(decoded)).toEqual(bytes)
      }),
    )
    const given = Uint8Array.of(1, 2, 3)
    const { bytes } = encodeData(given)
    given.fill(9)
    expect([...bytes]).toEqual([1, 2, 3])
    expect(roundTrip(Buffer.from('ab'))).toEqual(Uint8Array.of(97, 98))
  })

  it.each([null, true, 0, '', 'é😀', [], {}, { a: [1, { b: null }] }, '\ud800', '\ufeff', '__proto__'])(
    'keeps %j',
    (value) => {
      expect(roundTrip(value)).toEqual(value)
    },
  )

  it('keeps a key named __proto__ without touching the prototype', () => {
    const value = JSON.parse('{"__proto__":{"polluted":1}}') as object
    const got = roundTrip(value) as object
    expect(Object.keys(got)).toEqual(['__proto__'])
    expect(Object.getPrototypeOf(got)).toBe(Object.prototype)
  })

  const cycle: unknown[] = []
  cycle.push(cycle)
  let deep: unknown = 0
  for (let i = 0; i < 200_000; i++) deep = [deep]
  it.each([
    ['undefined', undefined],
    ['a function', () => 1],
    ['a symbol', Symbol('x')],
    ['a bigint', 1n],
    ['a bigint inside', { a: [1n] }],
    ['a cycle', cycle],
    ['nesting that JSON.stringify cannot follow', deep],
    ['toJSON that gives nothing', { toJSON: () => undefined }],
    [
      'toJSON that throws',
      {
        toJSON: () => {
          throw new Error('no')
        },
      },
    ],
    [
      'toJSON that throws what is no error',
      {
        toJSON: () => {
          throw Symbol('no') as unknown
        },
      },
    ],
  ])('refuses %s', (_, value) => {
    expect(() => encodeData(value)).toThrow(PeerlogError)
    expect(() => encodeData(value)).toThrow(expect.objectContaining({ code: 'INVALID_DATA', hint: expect.any(String) }))
  })

  it('says why, with the cause', () => {
    try {
      encodeData(1n)
      expect.unreachable()
    } catch (error) {
      expect((error as Error).cause).toBeInstanceOf(TypeError)
      expect((error as Error).message).toContain('BigInt')
    }
  })

  it('gives undefined for bytes of another author that are no JSON text in UTF-8', () => {
    for (const text of ['', '{', 'undefined', '{"a":1}x', '\ufeff1', "'a'"]) {
      expect(decodeData(true, Buffer.from(text))).toBe(undefined)
    }
    for (const hex of ['22ff22', '22c3', '22eda08022', '22c0af22', '22f490808022']) {
      expect(decodeData(true, Buffer.from(hex, 'hex'))).toBe(undefined)
    }
    expect(decodeData(true, Buffer.from('"\ufffd"'))).toBe('\ufffd')
  })

  it('never throws on any bytes', () => {
    holds(
      fc.property(fc.boolean(), anyBytes(), (json, bytes) => {
        decodeData(json, bytes)
      }),
    )
    expect(decodeData(true, Buffer.from('['.repeat(1_000_000)))).toBe(undefined)
  })
})

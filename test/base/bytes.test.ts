import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { asBuffer, equalBytes, fromHex, toHex } from '../../src/base/bytes.ts'
import { anyBytes, holds } from '../arbitraries.ts'

describe('bytes', () => {
  it('become lower-case hexadecimal and come back', () => {
    holds(
      fc.property(anyBytes(), (bytes) => {
        const hex = toHex(new Uint8Array(bytes))
        expect(hex).toMatch(/^[0-9a-f]*$/)
        expect(fromHex(hex)).toEqual(bytes)
        expect(fromHex(hex.toUpperCase())).toEqual(bytes)
      }),
    )
    expect(toHex(Uint8Array.of(0, 0xab, 0xff))).toBe('00abff')
  })

  it.each(['0', '0g', 'abc', ' ab', 'ab ', 'ab\n', '0x00', 'é'])('are not in %j', (text) => {
    expect(fromHex(text)).toBe(null)
  })

  it('are wrapped without a copy, also when they are part of something larger', () => {
    const whole = Uint8Array.of(1, 2, 3, 4)
    const wrapped = asBuffer(whole.subarray(1, 3))
    expect([...wrapped]).toEqual([2, 3])
    wrapped[0] = 9
    expect(whole[1]).toBe(9)
    const buffer = Buffer.of(1)
    expect(asBuffer(buffer)).toBe(buffer)
  })

  it('are equal when their values are', () => {
    expect(equalBytes(Uint8Array.of(1, 2), Buffer.of(1, 2))).toBe(true)
    expect(equalBytes(Uint8Array.of(1, 2), Uint8Array.of(1, 3))).toBe(false)
    expect(equalBytes(Uint8Array.of(1), Uint8Array.of(1, 0))).toBe(false)
    expect(equalBytes(Uint8Array.of(), Uint8Array.of())).toBe(true)
  })
})

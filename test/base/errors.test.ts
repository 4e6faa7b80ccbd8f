import { describe, expect, it } from 'vitest'
import { assert, PeerlogError } from '../../src/base/errors.ts'

describe('PeerlogError', () => {
  it('has a code, a message, and no cause or hint of its own', () => {
    const error = new PeerlogError('CLOSED', 'the database is closed')
    expect(error).toBeInstanceOf(Error)
    expect([error.name, error.code, error.message, error.hint]).toEqual([
      'PeerlogError',
      'CLOSED',
      'the database is closed',
      undefined,
    ])
    expect(Object.hasOwn(error, 'cause')).toBe(false)
    expect(String(error)).toBe('PeerlogError: the database is closed')
    expect(error.stack).toContain('errors.test.ts')
  })

  it('ends its message with the hint, and keeps the cause', () => {
    const cause = new TypeError('inner')
    const error = new PeerlogError('FILE_UNUSABLE', 'the file cannot be opened', {
      hint: 'Check its permissions',
      cause,
    })
    expect(error.message).toBe('the file cannot be opened. Check its permissions')
    expect(error.hint).toBe('Check its permissions')
    expect(error.cause).toBe(cause)
  })
})

describe('assert', () => {
  it('throws for our own mistakes only', () => {
    assert(1, 'never said')
    expect(() => assert(0, 'the sky fell')).toThrow('peerlog bug: the sky fell')
    expect(() => assert(null, 'x')).not.toThrow(PeerlogError)
  })
})

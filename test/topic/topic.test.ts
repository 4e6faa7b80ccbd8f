import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { toHex } from '../../src/base/bytes.ts'
import { hash } from '../../src/base/hash.ts'
import { MAX_DATABASE_ID_BYTES } from '../../src/base/limits.ts'
import { PeerlogError } from '../../src/base/errors.ts'
import { deriveTopic, TOPIC_BYTES } from '../../src/topic/topic.ts'
import { readTopics } from '../vectors/vectors.ts'

// Computed with Python's hashlib.blake2b(digest_size=32), keyed with the bytes 0 … 31.
const HASHLIB: [id: string, unkeyed: string, keyed: string][] = [
  [
    'abc',
    'bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319',
    'd63a32d3e44738d7907f964316c241adaba0abfeabc32349677578a15a203f7f',
  ],
  [
    'The quick brown fox jumps over the lazy dog',
    '01718cec35cd3d796dd00020e0bfecb473ad23457d063b75eff29c0ffa2e58a9',
    '5d9461aff732d77d0cc98725ea29298c914fd5193b4c08ec9e3ad6b28c3e2faf',
  ],
  [
    'a',
    '8928aae63c84d87ea098564d1e03ad813f107add474e56aedd286349c0c03ea4',
    '84691b3bbd1807d0b242d61d1dfdaa4aa2714041c222a225e4521da5b158d14f',
  ],
  [
    'my-notes',
    '3593b30dc6241062aeead0fba9e37691444b0e759fad30e2c6cd314f6dafa233',
    'c060c0d0b9dbde2d5e5c2a1cc76dabcf8d5bd43a7492e643eda2ac4112b46b5e',
  ],
  [
    'caf\u00e9',
    'be072a4adc859cf9e2329c7092acbc6bbd9d0f65d0317f00549917d8285522b9',
    '3c4ee4801db785f6d70b6a4ddbc2d65b538699ebc0538e708bc4df8b38f50c81',
  ],
  [
    'cafe\u0301',
    '5ea6e2967d413d32785b89df602157e4b84a892767acac55f58abc9a4d200029',
    '10cd09d7e443c2182865d8564729641e82ba793a30659a7901295358b7f17d07',
  ],
  [
    '日本語',
    '8b3bfe5f336de292052b9f023a45c7b6dd80628516dbad47f5c0a0ff3b429bc0',
    'd755605674de9097a0d5d3a02ac77b08535ea17ce0b23d0e5d8356acedf94498',
  ],
  [
    '\u{1f469}\u200d\u{1f467}',
    'e83f7dd80f31bc6e3c1eda538b44d77dd7d29b5b2b5c2f663ef3df86755681bd',
    '999ef665a59135699c4eaa5098ce0c98e72671d489628ed21500c0aa0aee5640',
  ],
  [
    'x'.repeat(1024),
    '7a2441a92975e96cbb52d4532e0a38e54db8f88d8528443f54de5701a99734d9',
    '787b62ba213a5d23ef92fc7c915d99a8058d368b727235f4ea457e82debc262c',
  ],
]
const KEY = Uint8Array.from({ length: 32 }, (_, i) => i)

describe('deriveTopic', () => {
  it.each(HASHLIB)('%s', (id, unkeyed, keyed) => {
    expect(toHex(deriveTopic(id))).toBe(unkeyed)
    expect(toHex(deriveTopic(id, KEY))).toBe(keyed)
  })

  it('gives the golden vectors', () => {
    const vectors = readTopics()
    expect(vectors.length).toBeGreaterThan(10)
    for (const { databaseId, key, topic } of vectors) {
      expect(toHex(key === null ? deriveTopic(databaseId) : deriveTopic(databaseId, Buffer.from(key, 'hex')))).toBe(
        topic,
      )
    }
  })

  it('gives fresh bytes of its own: a plain Uint8Array of 32', () => {
    const topic = deriveTopic('my-notes')
    expect(topic.constructor).toBe(Uint8Array)
    expect(topic.buffer.byteLength).toBe(TOPIC_BYTES)
    topic.fill(0)
    expect(deriveTopic('my-notes')).not.toEqual(topic)
  })

  it('does not normalise: ids that look alike but differ in bytes are different databases', () => {
    expect(deriveTopic('caf\u00e9')).not.toEqual(deriveTopic('cafe\u0301'))
  })

  it.each([0, 1n, null, undefined, {}, [], true, Buffer.from('abc'), Symbol('x')])('refuses the id %s', (id) => {
    expect(() => deriveTopic(id as never)).toThrow(TypeError)
    expect(() => deriveTopic(id as never)).toThrow('databaseId must be a string')
  })

  it.each([
    ['empty', ''],
    ['lone high surrogate', 'a\ud800'],
    ['lone low surrogate', '\udc00a'],
    ['surrogates in the wrong order', '\udc00\ud800'],
    ['MAX_DATABASE_ID_BYTES exceeded', 'x'.repeat(MAX_DATABASE_ID_BYTES + 1)],
    ['MAX_DATABASE_ID_BYTES exceeded in bytes, not in characters', '語'.repeat(MAX_DATABASE_ID_BYTES / 3 + 1)],
  ])('refuses an id: %s', (_, id) => {
    expect(() => deriveTopic(id)).toThrow(PeerlogError)
    expect(() => deriveTopic(id)).toThrow(
      expect.objectContaining({ code: 'INVALID_ARGUMENT', hint: expect.any(String) }),
    )
  })

  it.each([0, 16, 31, 33, 64])('refuses a key of %i bytes', (length) => {
    expect(() => deriveTopic('a', new Uint8Array(length))).toThrow(
      expect.objectContaining({ code: 'INVALID_ARGUMENT' }),
    )
  })

  it.each(['a'.repeat(32), 32, null, {}, new ArrayBuffer(32), Array(32).fill(0)])('refuses a key that is %s', (key) => {
    expect(() => deriveTopic('a', key as never)).toThrow(TypeError)
  })
})

describe('hash', () => {
  // RFC 7693, appendix A: BLAKE2b-512 of 'abc', to show that the platform's BLAKE2b is the one of the RFC.
  it('agrees with the RFC where Node offers the 512-bit form', () => {
    expect(createHash('blake2b512').update('abc').digest('hex')).toBe(
      'ba80a53f981c4d0d6a2797b69f12f6e94c212f14685ac4b74b12bb6fdbffa2d1' +
        '7d87c5392aab792dc252d5de4533cc9518d38aa8dbf1925ab92386edd4009923',
    )
  })

  it('is BLAKE2b-256: hashlib.blake2b(digest_size=32)', () => {
    expect(toHex(hash(Buffer.alloc(0)))).toBe('0e5751c026e543b2e8ab2eb06099daa1d1e5df47778f7787faab45cdf12fe3a8')
    expect(toHex(hash(Buffer.alloc(0), KEY))).toBe('4e51e7a913fc80137da52880fecca175bf81e117d5c68126dc2774033517ea0d')
    expect(toHex(hash(Buffer.alloc(1)))).toBe('03170a2e7597b7b7e3d84c05391d139a62b157e78786d8c082f29dcf4c111314')
    for (const [id, unkeyed, keyed] of HASHLIB) {
      const bytes = Buffer.from(id, 'utf8')
      expect(toHex(hash(bytes))).toBe(unkeyed)
      expect(toHex(hash(bytes, KEY))).toBe(keyed)
    }
  })

  it('joins its parts', () => {
    const bytes = Buffer.from('The quick brown fox')
    for (let split = 0; split <= bytes.length; split++) {
      const parts = [bytes.subarray(0, split), bytes.subarray(split)]
      expect(hash(parts)).toEqual(hash(bytes))
      expect(hash(parts, KEY)).toEqual(hash(bytes, KEY))
    }
    expect(hash([])).toEqual(hash(Buffer.alloc(0)))
  })
})

import blake2b from 'blake2b'
import fc from 'fast-check'
import { createCipheriv } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { hash } from '../../src/base/hash.ts'
import { MAX_EVENT_BYTES, MAX_LINKS } from '../../src/base/limits.ts'
import { MAX_TICK, MAX_TIME } from '../../src/event/clock.ts'
import type { EventBody, EventFault, EventHeader } from '../../src/event/event.ts'
import { decodeEventBody, decodeEventHeader, encodeEvent, eventHeaderAt } from '../../src/event/event.ts'
import {
  anyBytes,
  authorKeys,
  count,
  countingFill,
  damage,
  eventBody,
  flipBit,
  holds,
  plainBody,
  sealKey,
  testAuthor,
  varint,
} from '../arbitraries.ts'
import type { EventVector } from '../vectors/vectors.ts'
import { readEvents } from '../vectors/vectors.ts'

const FAULTS: ReadonlySet<string> = new Set<EventFault>([
  'TOO_LARGE',
  'UNKNOWN_VERSION',
  'MALFORMED_HEADER',
  'NOT_SEALED',
  'CANNOT_UNSEAL',
  'MALFORMED_BODY',
  'INVALID_SUBJECT',
  'CLOCK_NOT_AFTER_LINK',
])
const AUTHOR = testAuthor(0).publicKey
const KEY = Buffer.alloc(32, 9)

interface Decoded {
  header: EventHeader
  body: EventBody
}

function decode(bytes: Buffer, key: Uint8Array | null): Decoded | EventFault {
  const header = decodeEventHeader(bytes)
  if (typeof header === 'string') return header
  const body = decodeEventBody(bytes, header, key)
  return typeof body === 'string' ? body : { header, body }
}

/** The bytes that say the same, made anew with the nonce they had. */
function encodeAgain(bytes: Buffer, { header, body }: Decoded, key: Buffer | null): Buffer {
  return encodeEvent(header.author, header.seq, body, header.sealed ? key : null, (into) => {
    into.set(bytes.subarray(header.headerBytes, header.headerBytes + 24))
  })
}

/** Only header or a known fault; whatever can be read is written in no other way. */
function expectSound(bytes: Buffer, key: Buffer | null): Decoded | EventFault {
  const result = decode(bytes, key)
  if (typeof result === 'string') expect(FAULTS.has(result)).toBe(true)
  else expect(encodeAgain(bytes, result, key).equals(bytes)).toBe(true)
  expectHeaderAt(bytes)
  return result
}

/** Looking for the header of one author and place finds what decoding does, and nothing at any other. */
function expectHeaderAt(bytes: Buffer): void {
  const header = decodeEventHeader(bytes)
  if (typeof header === 'string') {
    for (const seq of [0, 1, 127, 128, 300, 2 ** 40]) {
      const author = Buffer.alloc(32)
      author.set(bytes.subarray(2, 34))
      expect(eventHeaderAt(bytes, author, seq)).toBe(null)
    }
    return
  }
  const { author, seq } = header
  expect(eventHeaderAt(bytes, author, seq)).toEqual(header)
  for (const other of [seq + 1, seq - 1, seq * 128, seq % 128, Math.floor(seq / 128)]) {
    if (other !== seq && other >= 0) expect(eventHeaderAt(bytes, author, other)).toBe(null)
  }
  for (const bit of [0, 100, 255]) expect(eventHeaderAt(bytes, flipBit(author, bit), seq)).toBe(null)
}

const anyEvent = fc
  .record({ keys: authorKeys(), seq: count(), body: eventBody(), key: fc.option(sealKey()) })
  .map(({ keys, seq, body, key }) => ({
    author: keys.publicKey,
    seq,
    body,
    key,
    bytes: encodeEvent(keys.publicKey, seq, body, key, countingFill()),
  }))

describe('events', () => {
  it('come back as they were written', () => {
    holds(
      fc.property(anyEvent, ({ author, seq, body, key, bytes }) => {
        const result = expectSound(bytes, key) as Decoded
        expect(result.header).toMatchObject({ author, seq, sealed: key !== null })
        expect(result.body).toEqual(body)
      }),
      500,
    )
  })

  it('give a header and body, or a fault, on any bytes', () => {
    const start = fc.constantFrom(...['', '0100', '0101', '0102', '02'].map((hex) => Buffer.from(hex, 'hex')))
    const anyStart = fc.tuple(start, anyBytes(400)).map((two) => Buffer.concat(two))
    holds(
      fc.property(anyStart, fc.option(sealKey()), (bytes, key) => {
        expectSound(bytes, key)
      }),
      3000,
    )
  })

  it('give a body or a fault on anything that may have been written and sealed as one', () => {
    const fields = fc.tuple(
      anyBytes(10),
      fc.oneof(
        anyBytes(20),
        fc.constantFrom('016100', '0161000', '016100' + '01', '0161000100').map((hex) => Buffer.from(hex, 'hex')),
      ),
      anyBytes(200),
    )
    holds(
      fc.property(fields, fc.boolean(), (parts, sealed) => {
        const body = Buffer.concat(parts)
        expectSound(
          sealed ? sealBytes(body) : Buffer.concat([Buffer.of(1, 0), AUTHOR, Buffer.of(0), body]),
          sealed ? KEY : null,
        )
      }),
      2000,
    )
  })

  it('give a header and body, or a fault, after any damage; a damaged seal never opens', () => {
    const damages = fc.array(damage(), { minLength: 1, maxLength: 3 })
    holds(
      fc.property(anyEvent, damages, ({ bytes, key }, all) => {
        const bad = all.reduce((damaged, one) => one(damaged), bytes)
        const result = expectSound(bad, key)
        if (key !== null && !bad.equals(bytes)) expect(typeof result).toBe('string')
      }),
      2000,
    )
  })

  it('never read with another key, or without one', () => {
    holds(
      fc.property(anyEvent, sealKey(), ({ bytes, key }, other) => {
        fc.pre(key === null || !key.equals(other))
        expect(decode(bytes, other)).toBe(key === null ? 'NOT_SEALED' : 'CANNOT_UNSEAL')
        if (key !== null) expect(decode(bytes, null)).toBe('CANNOT_UNSEAL')
      }),
    )
  })

  it('refuse every flipped bit of a sealed one', () => {
    const bytes = encodeEvent(AUTHOR, 300, plainBody(), KEY, countingFill())
    const headerBits = (2 + 32 + 2) * 8
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const result = decode(flipBit(bytes, bit), KEY)
      if (bit >= headerBits) expect(result).toBe('CANNOT_UNSEAL')
      else expect(['CANNOT_UNSEAL', 'MALFORMED_HEADER', 'UNKNOWN_VERSION', 'NOT_SEALED']).toContain(result)
    }
  })

  it('are sound after every flipped bit of an unsealed one', () => {
    const links = [1, 2].map((n) => ({ author: Buffer.alloc(32, n), seq: 200, time: 5, tick: n }))
    const bytes = encodeEvent(AUTHOR, 300, plainBody({ type: 't', links }), null, countingFill())
    for (let bit = 0; bit < bytes.length * 8; bit++) expectSound(flipBit(bytes, bit), null)
    for (let end = 0; end < bytes.length; end++) expectSound(bytes.subarray(0, end), null)
  })

  it('do not share bytes with what is decoded or encoded after them', () => {
    const first = plainBody({
      links: [{ author: Buffer.alloc(32, 1), seq: 1, time: 1, tick: 1 }],
      json: false,
      data: Buffer.alloc(5000, 0xaa),
      type: 'first',
    })
    const bytes = encodeEvent(AUTHOR, 0, first, KEY, countingFill())
    const { body } = decode(bytes, KEY) as Decoded
    const noise = plainBody({ json: false, data: Buffer.alloc(60_000, 0x55), subject: 'z'.repeat(500) })
    const other = encodeEvent(AUTHOR, 1, noise, KEY, countingFill())
    decode(other, KEY)
    decode(flipBit(other, 5000), KEY)
    bytes.fill(0)
    expect(body).toEqual(first)
    // Nor does a result hold on to the megabyte that bodies pass through.
    expect(body.data.buffer.byteLength).toBeLessThan(MAX_EVENT_BYTES)
    for (const link of body.links) expect(link.author.buffer.byteLength).toBeLessThan(MAX_EVENT_BYTES)
  })

  it('draw a nonce of 24 bytes for every seal, and nothing without one', () => {
    const asked: number[] = []
    const fill = (into: Uint8Array): void => {
      asked.push(into.length)
      into.fill(asked.length)
    }
    const one = encodeEvent(AUTHOR, 0, plainBody(), KEY, fill)
    const two = encodeEvent(AUTHOR, 0, plainBody(), KEY, fill)
    encodeEvent(AUTHOR, 0, plainBody(), null, fill)
    expect(asked).toEqual([24, 24])
    expect(one.subarray(35, 59)).toEqual(Buffer.alloc(24, 1))
    expect(one.subarray(59).equals(two.subarray(59))).toBe(false)
  })

  it.each([null, KEY])('reach MAX_EVENT_BYTES and not a byte more (key %s)', (key) => {
    const empty = encodeEvent(AUTHOR, 0, plainBody({ json: false, data: Buffer.alloc(0) }), key, countingFill()).length
    const data = Buffer.alloc(MAX_EVENT_BYTES - empty, 0x61)
    const largest = encodeEvent(AUTHOR, 0, plainBody({ json: false, data }), key, countingFill())
    expect(largest.length).toBe(MAX_EVENT_BYTES)
    expect((decode(largest, key) as Decoded).body.data.equals(data)).toBe(true)
    const more = plainBody({ json: false, data: Buffer.alloc(data.length + 1) })
    expect(() => encodeEvent(AUTHOR, 0, more, key, countingFill())).toThrow(
      expect.objectContaining({ name: 'PeerlogError', code: 'EVENT_TOO_LARGE', hint: expect.any(String) }),
    )
    expect(decode(Buffer.concat([largest, Buffer.of(0)]), key)).toBe('TOO_LARGE')
  })

  it('are decoded in bounded time', () => {
    const header = Buffer.concat([Buffer.of(1, 0), AUTHOR, Buffer.of(0), Buffer.alloc(9)])
    const worst = [
      Buffer.alloc(MAX_EVENT_BYTES),
      Buffer.alloc(MAX_EVENT_BYTES, 0xff),
      Buffer.concat([Buffer.of(1, 1), Buffer.alloc(MAX_EVENT_BYTES - 2)]),
      Buffer.concat([header, Buffer.from('01610000', 'hex'), Buffer.alloc(MAX_EVENT_BYTES - 100, 0xff)]),
      Buffer.concat([header, Buffer.of(1, 0x61, 0), varint(Number.MAX_SAFE_INTEGER), Buffer.alloc(1_000_000)]),
      Buffer.concat([header, varint(Number.MAX_SAFE_INTEGER), Buffer.alloc(1_000_000)]),
      Buffer.alloc(64 * 1024 * 1024),
    ]
    const start = performance.now()
    for (const bytes of worst) for (const key of [null, KEY]) decode(bytes, key)
    expect(performance.now() - start).toBeLessThan(1000)
  })

  it('carry MAX_LINKS links and the largest numbers', () => {
    const links = Array.from({ length: MAX_LINKS }, (_, i) => ({
      author: Buffer.alloc(32, i),
      seq: Number.MAX_SAFE_INTEGER - i,
      time: MAX_TIME,
      tick: MAX_TICK - 1,
    }))
    const body = plainBody({ time: MAX_TIME, tick: MAX_TICK, links })
    for (const key of [null, KEY]) {
      const bytes = encodeEvent(AUTHOR, Number.MAX_SAFE_INTEGER, body, key, countingFill())
      const { header, body: got } = decode(bytes, key) as Decoded
      expect(header.seq).toBe(Number.MAX_SAFE_INTEGER)
      expect(got).toEqual(body)
    }
  })

  it('have a clock after every one of their links', () => {
    const at = (time: number, tick: number): Decoded | EventFault => {
      const links = [
        { author: Buffer.alloc(32, 1), seq: 0, time: 1, tick: 1 },
        { author: Buffer.alloc(32, 2), seq: 0, time, tick },
      ]
      return decode(encodeEvent(AUTHOR, 0, plainBody({ time: 1000, tick: 5, links }), null, countingFill()), null)
    }
    for (const [time, tick] of [
      [1000, 4],
      [999, 65_535],
      [0, 0],
    ] as const) {
      expect(at(time, tick)).toHaveProperty('body')
    }
    for (const [time, tick] of [
      [1000, 5],
      [1000, 6],
      [1001, 0],
    ] as const) {
      expect(at(time, tick)).toBe('CLOCK_NOT_AFTER_LINK')
    }
  })

  it('may be sealed around nothing, which is malformed rather than unopened', () => {
    expect(decode(sealBytes(Buffer.alloc(0)), KEY)).toBe('MALFORMED_BODY')
  })
})

describe('golden vectors of events', () => {
  const { events, refused } = readEvents()
  const unhex = (hex: string | null): Buffer | null => (hex === null ? null : Buffer.from(hex, 'hex'))

  it.each(events)('$name', (vector) => {
    const key = unhex(vector.sealKey)
    const { format, links, data, ...rest } = vector.body
    const body: EventBody = {
      ...rest,
      json: format === 'json',
      links: links.map((link) => ({ ...link, author: Buffer.from(link.author, 'hex') })),
      data: Buffer.from(data, 'hex'),
    }
    const bytes = encodeEvent(Buffer.from(vector.author, 'hex'), vector.seq, body, key, (into) => {
      into.set(unhex(vector.nonce) as Buffer)
    })
    expect(bytes.toString('hex')).toBe(vector.bytes)
    expect(hash(bytes).toString('hex')).toBe(vector.id)
    expect((decode(bytes, key) as Decoded).body).toEqual(body)
  })

  it.each(refused)('refused: $name', ({ bytes, sealKey: key, fault }) => {
    expect(decode(Buffer.from(bytes, 'hex'), unhex(key))).toBe(fault)
  })

  it('are what the tables of docs/PROTOCOL.md say, byte by byte, sealed by another implementation', () => {
    const vector = events.find(({ name }) => name === 'links, sealed') as EventVector
    const authorHex = '03a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8'
    const header = Buffer.from(`0101${authorHex}808001`, 'hex')
    const body = Buffer.from(
      [
        '019a9ec06400', // time 1763600000000
        'ffff', // tick 65535
        '00', // JSON
        '0f', // 15 bytes of subject: chat/café/😀
        '636861742f636166c3a92ff09f9880',
        '07', // 7 bytes of type: message
        '6d657373616765',
        '03', // 3 links
        `${'01'.repeat(32)}00019a9ec06400fffe`,
        `${'02'.repeat(32)}8080808010019a9ec063ffffff`,
        `${'ff'.repeat(32)}ffffffffffffff0f0000000000000000`,
        '7b2274657874223a226d696c6b227d', // {"text":"milk"}
      ].join(''),
      'hex',
    )
    const nonce = Buffer.from('404142434445464748494a4b4c4d4e4f5051525354555657', 'hex')
    const key = Buffer.from(vector.sealKey as string, 'hex')
    const bytes = Buffer.concat([header, nonce, sealWithNode(key, nonce, body, header)])
    expect(bytes.toString('hex')).toBe(vector.bytes)
    expect(blake2b(32).update(bytes).digest('hex')).toBe(vector.id)
  })
})

/** An event of AUTHOR at seq 0 whose seal has these bytes in it. */
function sealBytes(body: Buffer): Buffer {
  const header = Buffer.concat([Buffer.of(1, 1), AUTHOR, Buffer.of(0)])
  const nonce = Buffer.alloc(24, 3)
  return Buffer.concat([header, nonce, sealWithNode(KEY, nonce, body, header)])
}

/** XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha-03) on top of Node's ChaCha20-Poly1305. */
function sealWithNode(key: Buffer, nonce: Buffer, body: Buffer, associated: Buffer): Buffer {
  const inner = Buffer.concat([Buffer.alloc(4), nonce.subarray(16)])
  const cipher = createCipheriv('chacha20-poly1305', hchacha20(key, nonce.subarray(0, 16)), inner, {
    authTagLength: 16,
  })
  cipher.setAAD(associated, { plaintextLength: body.length })
  return Buffer.concat([cipher.update(body), cipher.final(), cipher.getAuthTag()])
}

function hchacha20(key: Buffer, nonce: Buffer): Buffer {
  const start = Buffer.concat([Buffer.from('expand 32-byte k'), key, nonce])
  const state = Uint32Array.from({ length: 16 }, (_, i) => start.readUInt32LE(4 * i))
  const mix = (a: number, b: number, d: number, bits: number): void => {
    state[a] = (state[a] as number) + (state[b] as number)
    const word = (state[d] as number) ^ state[a]
    state[d] = (word << bits) | (word >>> (32 - bits))
  }
  const quarter = (a: number, b: number, c: number, d: number): void => {
    mix(a, b, d, 16)
    mix(c, d, b, 12)
    mix(a, b, d, 8)
    mix(c, d, b, 7)
  }
  for (let round = 0; round < 10; round++) {
    for (let i = 0; i < 4; i++) quarter(i, 4 + i, 8 + i, 12 + i)
    for (let i = 0; i < 4; i++) quarter(i, 4 + ((i + 1) % 4), 8 + ((i + 2) % 4), 12 + ((i + 3) % 4))
  }
  const out = Buffer.alloc(32)
  for (let i = 0; i < 4; i++) {
    out.writeUInt32LE(state[i] as number, 4 * i)
    out.writeUInt32LE(state[12 + i] as number, 16 + 4 * i)
  }
  return out
}

import fc from 'fast-check'
import { createPrivateKey, createPublicKey, sign as nodeSign, verify as nodeVerify } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import type { HeadStatement } from '../../src/event/signature.ts'
import { authorKeyPair, SUITE_ED25519, signatureBytes, signHead, verifyHead } from '../../src/event/signature.ts'
import { authorSeed, bytesOf, count, flipBit, holds } from '../arbitraries.ts'
import { readLogs } from '../vectors/vectors.ts'

const seed = Buffer.alloc(32, 3)
const keys = authorKeyPair(seed)
const head: HeadStatement = {
  databaseTag: Buffer.alloc(32, 0x11),
  author: keys.publicKey,
  length: 300,
  root: Buffer.alloc(32, 0x22),
}

/** The statement as docs/PROTOCOL.md has it. */
function statement(of: HeadStatement): Buffer {
  return Buffer.from(
    '706565726c6f672031206865616400' +
      '01' +
      Buffer.from(of.databaseTag).toString('hex') +
      Buffer.from(of.author).toString('hex') +
      of.length.toString(16).padStart(16, '0') +
      Buffer.from(of.root).toString('hex'),
    'hex',
  )
}

describe('heads', () => {
  it("are signed as Node's own Ed25519 signs the statement", () => {
    const der = Buffer.concat([Buffer.from('302e020100300506032b657004220420', 'hex'), seed])
    const privateKey = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' })
    const signature = signHead(head, keys)
    expect(signature.suite).toBe(SUITE_ED25519)
    expect(signature.bytes).toEqual(nodeSign(null, statement(head), privateKey))
    expect(nodeVerify(null, statement(head), createPublicKey(privateKey), signature.bytes)).toBe(true)
  })

  it('give the golden vectors', () => {
    const { databaseTag, authorSeed, author, heads } = readLogs()
    const pair = authorKeyPair(Buffer.from(authorSeed, 'hex'))
    expect(pair.publicKey.toString('hex')).toBe(author)
    for (const { length, root, signature } of heads) {
      const of = {
        databaseTag: Buffer.from(databaseTag, 'hex'),
        author: pair.publicKey,
        length,
        root: Buffer.from(root, 'hex'),
      }
      expect(signHead(of, pair).bytes.toString('hex')).toBe(signature)
    }
  })

  it('verify, for any of them', () => {
    holds(
      fc.property(authorSeed(), bytesOf(32), count(), bytesOf(32), (by, databaseTag, length, root) => {
        const pair = authorKeyPair(by)
        const of = { databaseTag, author: pair.publicKey, length, root }
        expect(verifyHead(of, signHead(of, pair))).toBe(true)
      }),
      100,
    )
  })

  it('fail with any one bit changed in tag, author, root, signature or length', () => {
    const signature = signHead(head, keys)
    expect(verifyHead(head, signature)).toBe(true)
    for (let bit = 0; bit < 256; bit++) {
      expect(verifyHead({ ...head, databaseTag: flipBit(head.databaseTag, bit) }, signature)).toBe(false)
      expect(verifyHead({ ...head, author: flipBit(head.author, bit) }, signature)).toBe(false)
      expect(verifyHead({ ...head, root: flipBit(head.root, bit) }, signature)).toBe(false)
    }
    for (let bit = 0; bit < 512; bit++) {
      expect(verifyHead(head, { ...signature, bytes: flipBit(signature.bytes, bit) })).toBe(false)
    }
    for (let bit = 0; bit < 53; bit++) {
      const length = Number(BigInt(head.length) ^ (1n << BigInt(bit)))
      expect(verifyHead({ ...head, length }, signature)).toBe(false)
    }
  })

  it('fail, without an exception, with another suite or size', () => {
    const signature = signHead(head, keys)
    for (let suite = 0; suite < 256; suite++) {
      if (suite === SUITE_ED25519) continue
      expect(signatureBytes(suite)).toBe(null)
      expect(verifyHead(head, { ...signature, suite })).toBe(false)
    }
    for (const size of [0, 1, 63, 65, 128]) {
      expect(verifyHead(head, { suite: SUITE_ED25519, bytes: Buffer.alloc(size) })).toBe(false)
    }
  })

  it('fail for keys of small order and for a signature with a larger scalar', () => {
    const small = ['00'.repeat(32), `01${'00'.repeat(31)}`, `ec${'ff'.repeat(30)}7f`, 'ff'.repeat(32)]
    for (const hex of small) {
      const of = { ...head, author: Buffer.from(hex, 'hex') }
      expect(verifyHead(of, { suite: 1, bytes: Buffer.alloc(64) })).toBe(false)
      expect(verifyHead(of, { suite: 1, bytes: Buffer.concat([of.author, Buffer.alloc(32)]) })).toBe(false)
    }
    const { bytes } = signHead(head, keys)
    const order = 2n ** 252n + 27742317777372353535851937790883648493n
    const scalar = BigInt(`0x${Buffer.from(bytes.subarray(32)).reverse().toString('hex')}`) + order
    const larger = Buffer.from(scalar.toString(16).padStart(64, '0'), 'hex').reverse()
    expect(verifyHead(head, { suite: 1, bytes: Buffer.concat([bytes.subarray(0, 32), larger]) })).toBe(false)
  })

  it('fail where the equation holds only up to the cofactor, and for R of small order', () => {
    // By the author of `head`: R = rB + T with T of order 8; and R the neutral element.
    const r1 = '6b1d413207e30c9a8b1a05d86cc39effbd67569b763e075d8e3f78e7d953c3d7'
    const s1 = '82510fd322f493c1b3de1213d95ba54cc871ef91649846f09683d7ddbadecf05'
    const r2 = '0100000000000000000000000000000000000000000000000000000000000000'
    const s2 = 'f11c91e5dc209c6715bd411000eefdc2e17a6de8081ad8a2fc9034f3aec6400b'
    expect(verifyHead(head, { suite: 1, bytes: Buffer.from(r1 + s1, 'hex') })).toBe(false)
    expect(verifyHead(head, { suite: 1, bytes: Buffer.from(r2 + s2, 'hex') })).toBe(false)
  })
})

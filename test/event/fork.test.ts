import { describe, expect, it } from 'vitest'
import { checkForkProof, encodeForkProof } from '../../src/event/fork.ts'
import type { Run } from '../../src/event/run.ts'
import { anyBytes, flipBit, holds, makeLog, plainBody } from '../arbitraries.ts'
import fc from 'fast-check'

const bodies = Array.from({ length: 8 }, (_, tick) => plainBody({ tick }))
const ours = makeLog(bodies)
const theirs = makeLog(bodies.with(2, plainBody({ tick: 2, subject: 'rewritten' })))
const check = (a: Run, b: Run): string | undefined =>
  checkForkProof(encodeForkProof(a, b), ours.databaseTag)?.toString('hex')
const author = ours.keys.publicKey.toString('hex')

describe('fork proofs', () => {
  it('convict the author of two histories, in either order and wherever the heads are', () => {
    expect(check(ours.run(3, 5, true), theirs.run(3, 4, true))).toBe(author)
    expect(check(theirs.run(5, 8, true), ours.run(5, 6, true))).toBe(author)
    expect(check(ours.run(8, 8, true), theirs.run(8, 8, true))).toBe(author)
  })

  it('never convict the author of one history', () => {
    for (let from = 0; from <= 8; from++) {
      for (let a = from; a <= 8; a++)
        for (let b = from; b <= 8; b++) expect(check(ours.run(from, a, true), ours.run(from, b, true))).toBe(undefined)
    }
  })

  it('need both peaks, one place, one author and this database', () => {
    const [a, b] = [ours.run(3, 5, true), theirs.run(3, 5, true)]
    expect(check({ ...a, peaks: null }, b)).toBe(undefined)
    expect(check(a, { ...b, peaks: null })).toBe(undefined)
    expect(check(a, theirs.run(4, 5, true))).toBe(undefined)
    // Before the histories part, there is nothing to show.
    expect(check(ours.run(2, 5, true), theirs.run(2, 5, true))).toBe(undefined)
    expect(checkForkProof(encodeForkProof(a, b), Buffer.alloc(32, 8))).toBe(null)
  })

  it('convict nobody with any one bit changed, or any other bytes', () => {
    const proof = encodeForkProof(ours.run(3, 5, true), theirs.run(3, 4, true))
    for (let bit = 0; bit < proof.length * 8; bit++)
      expect(checkForkProof(flipBit(proof, bit), ours.databaseTag)).toBe(null)
    holds(
      fc.property(anyBytes(600), (bytes) => {
        expect(checkForkProof(bytes, ours.databaseTag)).toBe(null)
        expect(checkForkProof(Buffer.concat([proof, bytes]), ours.databaseTag) === null).toBe(bytes.length > 0)
      }),
    )
  })
})

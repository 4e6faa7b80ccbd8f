import fc from 'fast-check'
import { data, parent, tree } from 'hypercore-crypto'
import { describe, expect, it } from 'vitest'
import { hash } from '../../src/base/hash.ts'
import { Mmr, peaksBytes } from '../../src/event/mmr.ts'
import { holds } from '../arbitraries.ts'

interface Node {
  index: number
  size: number
  hash: Uint8Array
}

const id = (i: number): Buffer => hash(Buffer.from(`event ${i}`))

/** The roots as hypercore keeps them: append a leaf, join the last two while they are siblings in the flat tree. */
class Reference {
  readonly roots: Node[] = []
  #length = 0

  append(block: Uint8Array): void {
    let node: Node = { index: 2 * this.#length++, size: block.length, hash: data(block) }
    for (let left = this.roots.at(-1); left !== undefined && siblings(left, node); left = this.roots.at(-1)) {
      this.roots.pop()
      node = { index: (left.index + node.index) / 2, size: left.size + node.size, hash: parent(left, node) }
    }
    this.roots.push(node)
  }

  root(): Buffer {
    return Buffer.from(tree(this.roots))
  }

  peaks(): Buffer {
    return Buffer.concat(this.roots.map((node) => node.hash))
  }
}

/** In flat-tree numbering, a node of height h has h trailing one bits, and its sibling is 2^(h+1) away. */
function siblings(left: Node, right: Node): boolean {
  const height = (index: number): number => (index % 2 === 0 ? 0 : 1 + height((index - 1) / 2))
  const h = height(left.index)
  if (h !== height(right.index)) return false
  return right.index - left.index === 2 ** (h + 1) && Math.floor(left.index / 2 ** (h + 1)) % 2 === 0
}

function fill(mmr: Mmr, from: number, to: number): Mmr {
  for (let i = from; i < to; i++) mmr.append(id(i))
  return mmr
}

describe('Mmr', () => {
  it("is hypercore-crypto's data, parent and tree for lengths 0 … 300", () => {
    const mmr = new Mmr()
    const reference = new Reference()
    for (let length = 0; length <= 300; length++) {
      expect(mmr.length).toBe(length)
      expect(mmr.root().equals(reference.root())).toBe(true)
      expect(mmr.peaks().equals(reference.peaks())).toBe(true)
      expect(mmr.peaks().length).toBe(peaksBytes(length))
      mmr.append(id(length))
      reference.append(id(length))
    }
  })

  it('is the same for long logs', () => {
    const checked = new Set([4095, 4096, 4097, 32_767, 32_768, 65_536, 70_001, 99_999])
    const mmr = new Mmr()
    const reference = new Reference()
    for (let length = 0; length < 100_000; length++) {
      if (checked.has(length)) expect(mmr.root()).toEqual(reference.root())
      mmr.append(id(length & 0xff))
      reference.append(id(length & 0xff))
    }
  })

  it('numbers nodes and bytes beyond 32 bits as hypercore does', () => {
    for (const length of [2 ** 27, 2 ** 31 + 5, 2 ** 32 - 1, 2 ** 33 + 2 ** 32 + 1, 2 ** 45 + 3, 2 ** 48 - 2]) {
      const roots: Node[] = []
      let start = 0
      for (let height = 52; height >= 0; height--) {
        const leaves = 2 ** height
        if (Math.floor(length / leaves) % 2 === 0) continue
        roots.push({ index: 2 * start + leaves - 1, size: leaves * 32, hash: id(height) })
        start += leaves
      }
      const mmr = Mmr.from(length, Buffer.concat(roots.map((node) => node.hash)))
      expect(mmr.root()).toEqual(Buffer.from(tree(roots)))
      expect(mmr.peaks()).toEqual(Buffer.concat(roots.map((node) => node.hash)))
      let last = { index: 2 * length, size: 32, hash: data(id(1)) as Uint8Array }
      for (let left = roots.at(-1); left !== undefined && siblings(left, last); left = roots.at(-1)) {
        roots.pop()
        last = { index: (left.index + last.index) / 2, size: left.size + last.size, hash: parent(left, last) }
      }
      roots.push(last)
      mmr.append(id(1))
      expect(mmr.root()).toEqual(Buffer.from(tree(roots)))
    }
  })

  it('gives the same root however the appends are split, copied and restored', () => {
    const roots: string[] = []
    const whole = new Mmr()
    for (let length = 0; length <= 200; length++) {
      roots.push(whole.root().toString('hex'))
      whole.append(id(length))
    }
    const step = fc.record({
      count: fc.nat({ max: 40 }),
      next: fc.constantFrom('go on', 'clone', 'from', 'from a view'),
    })
    holds(
      fc.property(fc.array(step, { maxLength: 5 }), (steps) => {
        let mmr = new Mmr()
        for (const { count, next } of steps) {
          fill(mmr, mmr.length, mmr.length + count)
          const old = mmr
          const at = mmr.length
          if (next === 'clone') mmr = mmr.clone()
          if (next === 'from') mmr = Mmr.from(at, mmr.peaks())
          if (next === 'from a view') {
            const peaks = mmr.peaks()
            mmr = Mmr.from(at, peaks)
            peaks.fill(0)
          }
          if (mmr !== old) {
            fill(mmr, at, at + 3)
            // The one copied from is not disturbed, nor the copy by it.
            expect(old.root().toString('hex')).toBe(roots[at])
            old.append(id(7))
            old.append(id(7))
          }
          expect(mmr.root().toString('hex')).toBe(roots[mmr.length])
        }
      }),
    )
  })

  it('gives results that later appends do not change', () => {
    const mmr = fill(new Mmr(), 0, 5)
    const [root, peaks] = [mmr.root(), mmr.peaks()]
    const copies = [Buffer.from(root), Buffer.from(peaks)]
    fill(mmr, 5, 40)
    expect([root, peaks]).toEqual(copies)
  })

  it('differs with every id, their order and their number', () => {
    const roots = new Set<string>()
    const add = (ids: Buffer[]): void => {
      const mmr = new Mmr()
      for (const one of ids) mmr.append(one)
      roots.add(mmr.root().toString('hex'))
    }
    const zero = Buffer.alloc(32)
    for (let n = 0; n < 20; n++) add(Array<Buffer>(n).fill(zero))
    add([id(0), id(1), id(2)])
    add([id(1), id(0), id(2)])
    add([id(0), id(2), id(1)])
    expect(roots.size).toBe(23)
  })

  it('refuses peaks of another length', () => {
    expect(() => Mmr.from(3, Buffer.alloc(32))).toThrow('peerlog bug')
    expect(() => Mmr.from(0, Buffer.alloc(32))).toThrow('peerlog bug')
  })
})

describe('peaksBytes', () => {
  it('is 32 for every set bit', () => {
    for (const [length, peaks] of [
      [0, 0],
      [1, 1],
      [2, 1],
      [3, 2],
      [255, 8],
      [256, 1],
      [2 ** 32 - 1, 32],
      [2 ** 32, 1],
      [2 ** 32 + 1, 2],
      [2 ** 53 - 1, 53],
    ] as const) {
      expect(peaksBytes(length)).toBe(32 * peaks)
    }
  })
})

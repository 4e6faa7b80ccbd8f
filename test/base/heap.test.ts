import fc from 'fast-check'
import { expect, it } from 'vitest'
import { Heap } from '../../src/base/heap.ts'

it('gives the least of what is in it, whatever is put in, replaced and taken out', () => {
  const operation = fc.oneof(
    { weight: 3, arbitrary: fc.record({ push: fc.nat({ max: 30 }) }) },
    { weight: 2, arbitrary: fc.constant('pop' as const) },
    { weight: 1, arbitrary: fc.record({ replace: fc.nat({ max: 30 }) }) },
  )
  const property = fc.property(fc.array(operation, { maxLength: 200 }), (operations) => {
    const heap = new Heap<number>((a, b) => a < b)
    const model: number[] = []
    for (const operation of operations) {
      if (operation === 'pop') {
        expect(heap.pop()).toBe(model.shift())
      } else if ('push' in operation) {
        heap.push(operation.push)
        model.push(operation.push)
      } else if (model.length > 0) {
        heap.replaceFirst(operation.replace)
        model[0] = operation.replace
      }
      model.sort((a, b) => a - b)
      expect([heap.first(), heap.size]).toEqual([model[0], model.length])
    }
    heap.clear()
    expect([heap.pop(), heap.first(), heap.size]).toEqual([undefined, undefined, 0])
  })
  fc.assert(property, { seed: 1, numRuns: 200 })
})

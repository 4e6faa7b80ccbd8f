import { RangeReconciler } from 'peerlog/reconcile'
import type { Cost } from './figures.ts'
import type { Replicas } from './replicas.ts'
import { HEAD_BYTES, headsIn } from './replicas.ts'

/**
 * Both tell all their heads, and each compares the other's with its own. An author is known by the last bytes of its
 * (random) head's first 32 here; what is measured is a table of as many entries, and looking all of them up.
 */
export function fullFrontier({ logs, heads }: Replicas): Cost {
  const tables = heads.map((joined) => {
    const table = new Map<number, Buffer>()
    let author = 0
    for (const head of headsIn(joined)) table.set(author++, head)
    return table
  })
  const start = performance.now()
  for (const side of [0, 1] as const) {
    const message = Buffer.from(heads[side])
    const own = tables[1 - side] as Map<number, Buffer>
    const differing: Buffer[] = []
    let author = 0
    for (const head of headsIn(message)) if (own.get(author++)?.equals(head) !== true) differing.push(head)
  }
  return { bytes: 2 * logs * HEAD_BYTES, rounds: 1, ms: performance.now() - start, memory: logs * HEAD_BYTES }
}

/** Both tell what has changed since a frontier that both have had. */
export function deltaFrontier({ changed, heads }: Replicas): Cost {
  const start = performance.now()
  const half = Math.ceil(changed / 2) * HEAD_BYTES
  const messages = [heads[0].subarray(0, half), heads[1].subarray(half, changed * HEAD_BYTES)].map((part) =>
    Buffer.from(part),
  )
  let found = 0
  for (const message of messages) for (const head of headsIn(message)) found += head.length
  return { bytes: found, rounds: 1, ms: performance.now() - start, memory: half }
}

/** Ranges over the heads; then the heads that differ are told. Building the index is not part of it: a replica keeps one. */
export function ranges({ indexes: [ours, theirs], changed }: Replicas): Omit<Cost, 'memory'> {
  const [initiator, responder] = [new RangeReconciler(ours), new RangeReconciler(theirs)]
  const [have, need] = [new Set<string>(), new Set<string>()]
  let bytes = 0
  let rounds = 0
  const start = performance.now()
  for (let message: Buffer | null = initiator.initiate(); message !== null; rounds++) {
    const answer = responder.receive(message)
    if (answer.type === 'violation' || answer.reply === null) throw new Error('the responder has nothing to say')
    bytes += message.length + answer.reply.length
    const step = initiator.receive(answer.reply)
    if (step.type === 'violation') throw new Error(`a violation: ${step.fault}`)
    for (const id of step.have) have.add(id.toString('latin1'))
    for (const id of step.need) need.add(id.toString('latin1'))
    message = step.reply
  }
  const ms = performance.now() - start
  if (have.size !== changed || need.size !== changed)
    throw new Error(`${have.size} and ${need.size} of ${changed} found`)
  return { bytes: bytes + 2 * changed * HEAD_BYTES, rounds: rounds + (changed > 0 ? 1 : 0), ms }
}

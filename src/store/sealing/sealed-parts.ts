import { HASH_BYTES } from '../../base/hash.ts'
import { MAX_CHUNKS_AHEAD } from '../../base/limits.ts'
import { Mmr } from '../../event/mmr.ts'
import type { Chunk } from './chunk.ts'
import { sealChunk } from './chunk.ts'
import type { SealingThread } from './sealing-thread.ts'

export interface SealedPart<Part> {
  part: Part
  bytes: Buffer
  /** Of its events, joined. */
  ids: Buffer
  /** The log's after the part; valid until the next one is asked for. */
  mmr: Mmr
}

/**
 * Encodes parts of a log and seals them, in order: here, or in the thread if there is one, some of them ahead of what is
 * asked for. Should the thread fail, what it owes is encoded once more and sealed here.
 *
 * @param encode given the same part twice, gives the same chunk.
 */
export function* sealedParts<Part>(
  parts: Iterator<Part, undefined>,
  encode: (part: Part) => Chunk,
  before: Mmr,
  sealKey: Uint8Array | null,
  thread: SealingThread | null,
): Generator<SealedPart<Part>> {
  let mmr = before.clone()
  let helper = thread
  const sent: Part[] = []
  const sendAhead = (to: SealingThread): void => {
    while (sent.length < MAX_CHUNKS_AHEAD && !to.hasAnswer) {
      const next = parts.next()
      if (next.done === true) return
      to.send(encode(next.value))
      sent.push(next.value)
    }
  }
  helper?.begin(mmr, sealKey)
  try {
    for (;;) {
      if (helper !== null) sendAhead(helper)
      const part = sent.shift() ?? parts.next().value
      if (part === undefined) return
      const answer = helper?.receive() ?? null
      if (answer === null) {
        helper = null
        const chunk = encode(part)
        const ids = Buffer.allocUnsafe(chunk.lengths.length * HASH_BYTES)
        sealChunk(chunk, sealKey, mmr, ids)
        yield { part, bytes: chunk.bytes, ids, mmr }
      } else {
        const ids = Buffer.from(answer.ids)
        mmr = Mmr.from(mmr.length + ids.length / HASH_BYTES, answer.peaks)
        yield { part, bytes: Buffer.from(answer.bytes), ids, mmr }
      }
    }
  } finally {
    // What was asked for in vain must not be taken for the answer to the next question.
    if (helper !== null) drain(helper, sent.length)
  }
}

function drain(thread: SealingThread, answers: number): void {
  for (let i = 0; i < answers; i++) thread.receive()
}

import { HASH_BYTES } from '../../base/hash.ts'
import { MAX_CHUNKS_AHEAD, MAX_CHUNKS_OWED } from '../../base/limits.ts'
import { Mmr } from '../../event/mmr.ts'
import type { Chunk } from './chunk.ts'
import { appendIds, sealChunk } from './chunk.ts'
import type { RandomFill } from '../../event/event.ts'
import type { SealingThread } from './sealing-thread.ts'

interface Sealed {
  bytes: Buffer
  /** Of its events, joined. */
  ids: Buffer
}

export interface SealedPart<Part> extends Sealed {
  part: Part
  /** The log's after the part; valid until the next one is asked for. */
  mmr: Mmr
}

/**
 * Encodes parts of a log and seals them, in order: here, or in the thread if there is one, some of them ahead of what is
 * asked for; what it has no time for is sealed here too. Should the thread fail, what it owes is encoded once more and sealed here.
 *
 * @param encode given the same part twice, gives the same chunk.
 * @param random what nonces are made of here; the thread uses the operating system's.
 */
export function* sealedParts<Part>(
  parts: Iterator<Part, undefined>,
  encode: (part: Part) => Chunk,
  before: Mmr,
  sealKey: Uint8Array | null,
  thread: SealingThread | null,
  random?: RandomFill,
): Generator<SealedPart<Part>> {
  let mmr = before.clone()
  let helper = thread
  const sealHere = (part: Part): Sealed => {
    const chunk = encode(part)
    const ids = Buffer.allocUnsafe(chunk.lengths.length * HASH_BYTES)
    sealChunk(chunk, sealKey, ids, random)
    return { bytes: chunk.bytes, ids }
  }
  /** What the thread has been told of; without `sealed`, it is to seal it. */
  const sent: { part: Part; sealed: Sealed | null }[] = []
  let owed = 0
  const sendAhead = (to: SealingThread): void => {
    while (sent.length < MAX_CHUNKS_AHEAD && !to.hasAnswer) {
      const { value: part } = parts.next()
      if (part === undefined) return
      if (owed < MAX_CHUNKS_OWED) {
        to.send(encode(part))
        sent.push({ part, sealed: null })
        owed++
      } else {
        const sealed = sealHere(part)
        to.sendIds(sealed.ids)
        sent.push({ part, sealed })
      }
    }
  }
  helper?.begin(mmr, sealKey)
  try {
    for (;;) {
      if (helper !== null) sendAhead(helper)
      const next = sent.shift()
      const part = next?.part ?? parts.next().value
      if (part === undefined) return
      const answer = helper?.receive() ?? null
      const back = answer?.sealed ?? null
      if (back !== null) owed--
      const sealed =
        back === null
          ? (next?.sealed ?? sealHere(part))
          : { bytes: Buffer.from(back.bytes), ids: Buffer.from(back.ids) }
      if (answer === null) {
        helper = null
        appendIds(mmr, sealed.ids)
      } else {
        mmr = Mmr.from(mmr.length + sealed.ids.length / HASH_BYTES, answer.peaks)
      }
      yield { part, ...sealed, mmr }
    }
  } finally {
    // What was asked for in vain must not be taken for the answer to the next question.
    if (helper !== null) drain(helper, sent.length)
  }
}

function drain(thread: SealingThread, answers: number): void {
  for (let i = 0; i < answers; i++) thread.receive()
}

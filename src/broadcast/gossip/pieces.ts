import { hash } from '../../base/hash.ts'
import { decodeEventHeader } from '../../event/event.ts'
import { partId } from './assembly.ts'
import { Heads } from './heads.ts'
import { MAX_WHOLE_EVENT_BYTES, PART_BYTES } from './limits.ts'
import type { Part, Want } from './messages.ts'
import { encodeEvents, encodePart, encodePeaks, eventsThatFit, partsOf } from './messages.ts'
import type { GossipReplica } from './replica.ts'

/** A stored event or proof that is to be sent. */
export interface Piece {
  readonly author: Buffer
  /** Of the item. */
  readonly id: Buffer
  readonly time: number
  /** -1: it is a proof. */
  readonly seq: number
  readonly bytes: Buffer
}

/** Parts of a piece, and what they are named by in filters; null for one that goes whole into a datagram. */
export interface PieceParts {
  readonly id: Buffer
  readonly count: number
}

/** Reads what is to be sent from the store, and packs it into messages that can be verified by themselves. */
export class Pieces {
  readonly #replica: GossipReplica
  readonly #heads: Heads

  constructor(replica: GossipReplica) {
    this.#replica = replica
    this.#heads = new Heads(replica)
  }

  /** Null if it is not here any more. */
  event(time: number, id: Buffer): Piece | null {
    const bytes = this.#replica.items.bytes(id)
    const header = bytes === null ? null : decodeEventHeader(bytes)
    if (bytes === null || header === null || typeof header === 'string') return null
    return { author: header.author, id, time, seq: header.seq, bytes }
  }

  proof(author: Buffer, id: Buffer): Piece | null {
    const bytes = this.#replica.log(author.toString('hex'))?.fork ?? null
    return bytes === null ? null : { author, id, time: 0, seq: -1, bytes }
  }

  parts({ id, seq, bytes }: Piece): PieceParts | null {
    if (seq === -1) return { id: hash(bytes), count: partsOf(bytes.length) }
    return bytes.length <= MAX_WHOLE_EVENT_BYTES ? null : { id, count: partsOf(bytes.length) }
  }

  /** The message with one part of a large piece, or null if there is no signature for it. */
  part(piece: Piece, { id }: PieceParts, index: number): Buffer | null {
    const { author, seq, time, bytes } = piece
    let event: Part['event'] = null
    if (seq >= 0) {
      const head = this.#heads.after(author.toString('hex'), seq)
      if (head === null) return null
      event = { seq, time, head }
    }
    const part = bytes.subarray(index * PART_BYTES, (index + 1) * PART_BYTES)
    return encodePart({ author, id, total: bytes.length, index, bytes: part, event })
  }

  /** The message with the peaks that are asked for, or null if they are not here. */
  peaks({ author, kind, value }: Want): Buffer | null {
    const hex = author.toString('hex')
    const log = this.#replica.log(hex)
    if (log === undefined || log.fork !== null) return null
    const { length } = log.mmr
    const wanted = kind === 'seq' ? value : kind === 'time' ? this.#replica.seqBefore(hex, value) : length - value
    const seq = Math.max(log.start, wanted)
    const run = kind === 'seq' && seq !== value ? null : this.#replica.readRun(hex, seq, 0, true)
    return run?.peaks == null ? null : encodePeaks({ author, seq, peaks: run.peaks })
  }

  /** Messages with all of these, as few as possible. None is large. */
  pack(pieces: readonly Piece[]): Buffer[] {
    const byAuthor = new Map<string, Piece[]>()
    for (const piece of pieces) {
      const hex = piece.author.toString('hex')
      const same = byAuthor.get(hex)
      if (same === undefined) byAuthor.set(hex, [piece])
      else same.push(piece)
    }
    const messages: Buffer[] = []
    for (const [hex, same] of byAuthor) {
      same.sort((a, b) => a.seq - b.seq)
      for (let i = 0; i < same.length;) {
        const last = this.#heads.after(hex, (same.at(-1) as Piece).seq)
        if (last === null) break
        const count = eventsThatFit(last, same.slice(i, i + 32))
        const events = same.slice(i, i + count)
        const head = this.#heads.after(hex, (events.at(-1) as Piece).seq) ?? last
        messages.push(encodeEvents({ author: (events[0] as Piece).author, head, events }))
        i += count
      }
    }
    return messages
  }
}

/** What a part, or a whole event, is named by in filters. */
export function nameOf({ id }: Piece, parts: PieceParts | null, index: number): Buffer {
  return parts === null ? id : partId(parts.id, index)
}

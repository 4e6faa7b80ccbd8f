import { ItemIndex } from 'peerlog/reconcile'

/** Bytes of a head in a message: author 32, length, first seq, 8 of the Merkle root. */
export const HEAD_BYTES = 43
const ID_BYTES = 32

/** A head is known by an id of 32 bytes, as good as random. Heads here are random, so their first 32 bytes will do. */
export function idOf(head: Buffer): Buffer {
  return head.subarray(0, ID_BYTES)
}

/** Two replicas with the same logs, more and more of which differ: half of them were continued on each side. */
export class Replicas {
  readonly logs: number
  changed = 0
  /** Joined heads of each side, in the order of the authors; the changed ones come first. */
  readonly heads: [Buffer, Buffer]
  readonly indexes: [ItemIndex, ItemIndex]
  readonly #random: () => number

  constructor(logs: number, random: () => number) {
    this.logs = logs
    this.#random = random
    const ours = noise(logs * HEAD_BYTES, random)
    const theirs = Buffer.allocUnsafeSlow(ours.length)
    ours.copy(theirs)
    this.heads = [ours, theirs]
    this.indexes = [indexOf(ours), indexOf(theirs)]
  }

  /** @param changed logs that differ from now on, more than before. */
  change(changed: number): void {
    const [from, to] = [this.changed * HEAD_BYTES, changed * HEAD_BYTES]
    const part = this.heads[1].subarray(from, to)
    for (const head of headsIn(part)) this.indexes[1].delete(0, idOf(head))
    noise(part.length, this.#random).copy(part)
    for (const head of headsIn(part)) this.indexes[1].insert(0, idOf(head))
    this.changed = changed
  }
}

function noise(bytes: number, random: () => number): Buffer {
  const words = new Uint32Array(Math.ceil(bytes / 4))
  for (let i = 0; i < words.length; i++) words[i] = random() * 2 ** 32
  return Buffer.from(words.buffer, 0, bytes)
}

export function* headsIn(joined: Buffer): Generator<Buffer> {
  for (let at = 0; at < joined.length; at += HEAD_BYTES) yield joined.subarray(at, at + HEAD_BYTES)
}

function indexOf(heads: Buffer): ItemIndex {
  const index = new ItemIndex()
  for (const head of headsIn(heads)) index.insert(0, idOf(head))
  return index
}

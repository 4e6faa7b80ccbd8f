import { ItemIndex } from 'peerlog/reconcile'

/** Bytes of a head in a message: author 32, length, first seq, 8 of the Merkle root. */
export const HEAD_BYTES = 43
const ID_BYTES = 32

/** Two replicas of which half of what differs was continued on each side. */
export interface Replicas {
  logs: number
  changed: number
  /** Joined heads of each side, in the order of the authors; the changed ones come first. */
  heads: [Buffer, Buffer]
}

/** A head is known by an id of 32 bytes, as good as random. Heads here are random, so their first 32 bytes will do. */
export function idOf(head: Buffer): Buffer {
  return head.subarray(0, ID_BYTES)
}

export function makeReplicas(logs: number, changed: number, random: () => number): Replicas {
  const ours = noise(logs * HEAD_BYTES, random)
  const theirs = Buffer.allocUnsafeSlow(ours.length)
  ours.copy(theirs)
  noise(changed * HEAD_BYTES, random).copy(theirs)
  return { logs, changed, heads: [ours, theirs] }
}

function noise(bytes: number, random: () => number): Buffer {
  const words = new Uint32Array(Math.ceil(bytes / 4))
  for (let i = 0; i < words.length; i++) words[i] = random() * 2 ** 32
  return Buffer.from(words.buffer, 0, bytes)
}

export function* headsIn(joined: Buffer): Generator<Buffer> {
  for (let at = 0; at < joined.length; at += HEAD_BYTES) yield joined.subarray(at, at + HEAD_BYTES)
}

export function indexOf(heads: Buffer): ItemIndex {
  const index = new ItemIndex()
  for (const head of headsIn(heads)) index.insert(0, idOf(head))
  return index
}

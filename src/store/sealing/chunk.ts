import { randomFillSync } from 'node:crypto'
import sodium from 'sodium-universal'
import { HASH_BYTES } from '../../base/hash.ts'
import type { RandomFill } from '../../event/event.ts'
import { sealEvent } from '../../event/event.ts'
import type { Mmr } from '../../event/mmr.ts'

/** Consecutive events of one log, as `writeEvent` leaves them, one directly after the other. */
export interface Chunk {
  bytes: Buffer
  /** Of each event. */
  lengths: Uint32Array
}

const RANDOM = Buffer.alloc(24 * 256)
let randomUsed = RANDOM.length

/** Unpredictable bytes, fetched from the operating system many nonces at a time. */
function randomFill(into: Uint8Array): void {
  if (randomUsed + into.length > RANDOM.length) {
    randomFillSync(RANDOM)
    randomUsed = 0
  }
  for (let i = 0; i < into.length; i++) into[i] = RANDOM[randomUsed++] as number
}

const ID = Buffer.alloc(HASH_BYTES)

/**
 * Seals the events in place, each with a nonce of its own, in whichever thread.
 *
 * @param ids where the ids go: `HASH_BYTES` for each event.
 */
export function sealChunk(
  { bytes, lengths }: Chunk,
  sealKey: Uint8Array | null,
  ids: Buffer,
  random: RandomFill = randomFill,
): void {
  let at = 0
  for (const [i, length] of lengths.entries()) {
    const event = bytes.subarray(at, (at += length))
    if (sealKey !== null) sealEvent(event, sealKey, random)
    sodium.crypto_generichash(ID, event)
    ids.set(ID, i * HASH_BYTES)
  }
}

export function appendIds(mmr: Mmr, ids: Buffer): void {
  for (let at = 0; at < ids.length; at += HASH_BYTES) mmr.append(ids.subarray(at, at + HASH_BYTES))
}

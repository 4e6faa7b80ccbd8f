import { asBuffer } from '../../base/bytes.ts'
import type { ItemSource } from '../item-source.ts'
import { ID_BYTES } from '../item-source.ts'

/** Appends to `have` what only we have of a range, and to `need` what only the peer has. */
export function compareIds(
  source: ItemSource,
  lower: number,
  upper: number,
  theirs: Buffer,
  { have, need }: { have: Buffer[]; need: Buffer[] },
): void {
  /** Offset of each of their ids; below 0 once it was found to be ours too. */
  const offsets = new Map<string, number>()
  for (let offset = 0; offset < theirs.length; offset += ID_BYTES) {
    offsets.set(theirs.toString('latin1', offset, offset + ID_BYTES), offset)
  }
  for (let place = lower; place < upper; place++) {
    const id = asBuffer(source.id(place))
    const key = id.toString('latin1')
    if (offsets.has(key)) offsets.set(key, -1)
    else have.push(Buffer.from(id))
  }
  for (const offset of offsets.values()) {
    if (offset >= 0) need.push(Buffer.from(theirs.subarray(offset, offset + ID_BYTES)))
  }
}

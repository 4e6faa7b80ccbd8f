import { PeerlogError } from '../../base/errors.ts'
import {
  MAX_IDS_PER_MESSAGE,
  MAX_ITEMS_PER_MESSAGE,
  MAX_RANGE_MESSAGE_BYTES,
  MAX_RANGES_PER_MESSAGE,
  MAX_ROUNDS,
  MIN_ITEMS_PER_MESSAGE,
  MIN_RANGE_FRAME_BYTES,
  RANGE_FRAME_BYTES,
} from '../limits.ts'

/** Limits of one comparison. With `frameLimit` 0 and everything else infinite a peer may ask for any amount of memory. */
export interface RangeOptions {
  /** Bytes of a message that we send: 0 for no limit, or 4096 and more; 1 MiB by default. What does not fit comes in later rounds. */
  frameLimit?: number
  /** Bytes of a message that we take; 4 MiB by default. */
  maxMessageBytes?: number
  /** Ranges in a message that we take; 131 072 by default. */
  maxRanges?: number
  /** Ids in a message that we take; 131 072 by default. */
  maxIds?: number
  /** Items that are looked at for one message, 4096 and more, a fingerprint counting for 8; 131 072 by default. What is left is looked at in later rounds. */
  maxItems?: number
  /** Messages that are answered; 10 000 by default. */
  maxRounds?: number
  /**
   * Closes full frames as the public implementations of Negentropy do, **which may lose differences**: for comparing with
   * them, byte by byte.
   */
  referenceFrames?: boolean
}

const DEFAULTS: Required<RangeOptions> = {
  frameLimit: RANGE_FRAME_BYTES,
  maxMessageBytes: MAX_RANGE_MESSAGE_BYTES,
  maxRanges: MAX_RANGES_PER_MESSAGE,
  maxIds: MAX_IDS_PER_MESSAGE,
  maxItems: MAX_ITEMS_PER_MESSAGE,
  maxRounds: MAX_ROUNDS,
  referenceFrames: false,
}

/** @throws PeerlogError INVALID_ARGUMENT. */
export function checkedOptions(options: RangeOptions): Required<RangeOptions> {
  const all = { ...DEFAULTS, ...options }
  for (const [name, least] of [
    ['frameLimit', all.frameLimit === 0 ? 0 : MIN_RANGE_FRAME_BYTES],
    ['maxMessageBytes', 1],
    ['maxRanges', 1],
    ['maxIds', 1],
    ['maxItems', MIN_ITEMS_PER_MESSAGE],
    ['maxRounds', 1],
  ] as const) {
    if (!(all[name] >= least))
      throw new PeerlogError('INVALID_ARGUMENT', `${name} is ${least} or more, not ${all[name]}`)
  }
  return all
}

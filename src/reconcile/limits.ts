/** Limits of set reconciliation, with their units. */

const KiB = 1024

// ---- the index --------------------------------------------------------------------------------------------------

/** Items that an index keeps in one piece: what an insertion moves, and what a fingerprint looks at, at each of its ends. */
export const CHUNK_ITEMS = 256
/** Items by which a piece grows: a tenth of the memory of an index that is filled in any order is unused. */
export const CHUNK_GROWTH_ITEMS = 32

// ---- range reconciliation: each is the default of an option -----------------------------------------------------

/** Bytes of a message that is looked at. */
export const MAX_RANGE_MESSAGE_BYTES: number = 4096 * KiB
/** Bytes that a reply is filled up to: five bytes can ask for every id there is. */
export const RANGE_FRAME_BYTES: number = 1024 * KiB
/** The least that a frame may be limited to, and what of it is left free for the end of the message. */
export const MIN_RANGE_FRAME_BYTES: number = 4 * KiB
export const RANGE_FRAME_MARGIN_BYTES = 200
/** Ranges in a message. */
export const MAX_RANGES_PER_MESSAGE = 131_072
/** Ids in a message. */
export const MAX_IDS_PER_MESSAGE = 131_072
/** Items that are looked at for one message, some tens of milliseconds of work; what is left is compared later. */
export const MAX_ITEMS_PER_MESSAGE = 131_072
/** The least that it may be set to, so that every message gets a comparison further. */
export const MIN_ITEMS_PER_MESSAGE = 4096
/** Items that a fingerprint counts for, and any range besides the items in it. */
export const FINGERPRINT_COST_ITEMS = 8
/** Messages that are answered in one comparison. */
export const MAX_ROUNDS = 10_000

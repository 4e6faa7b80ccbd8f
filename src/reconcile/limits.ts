/** Limits of set reconciliation, with their units. */

/** Items that an index keeps in one piece: what an insertion moves, and what a fingerprint looks at, at each of its ends. */
export const CHUNK_ITEMS = 256
/** Items by which a piece grows: a sixteenth of the memory of an index that is filled in any order is unused. */
export const CHUNK_GROWTH_ITEMS = 32

/**
 * The wire format of Negentropy, protocol version 1.
 *
 *   message  0x61 ‖ ranges
 *   range    upper bound ‖ mode ‖ payload
 *   bound    t ‖ prefix length (0 … 32) ‖ id prefix, its missing bytes zero
 *   mode     0 skip: nothing
 *            1 fingerprint: 16 bytes
 *            2 ids: n ‖ n × 32 bytes
 *
 * A range begins, inclusively, at the upper bound of the one before, and ends before its own; what lies after the last
 * range is skipped. t is 0 for infinity, otherwise 1 + the difference to the timestamp of the bound before (at first
 * 0). Numbers are as in base128.ts.
 */
export const VERSION = 0x61
/** Bytes that are versions, known or unknown. */
export const MIN_VERSION = 0x60
export const MAX_VERSION = 0x6f

export const SKIP = 0
export const FINGERPRINT = 1
export const IDS = 2

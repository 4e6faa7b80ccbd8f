/** Bytes of an item's id. */
export const ID_BYTES = 32
/** Bytes of a fingerprint. */
export const FINGERPRINT_BYTES = 16
/** 2^64 − 1: a timestamp after every item's. */
export const INFINITE_TIMESTAMP = 0xffff_ffff_ffff_ffffn

/**
 * A sorted set of items that two replicas compare: each a timestamp (0 … 2^64 − 2, of any meaning) and an id of 32
 * bytes. Items are in the order of their timestamps, equal timestamps in the order of their ids' bytes; no item is there
 * twice. `ItemIndex` is one; rows of a table or a sorted array can be one as well.
 *
 * The set must not change while a call of a reconciler runs. Between two calls it may.
 */
export interface ItemSource {
  /** Number of items. */
  readonly size: number
  /** @param place 0 … size − 1. */
  timestamp(place: number): bigint
  /** The 32 bytes at 0 … size − 1, perhaps as a view that is valid until the set changes. */
  id(place: number): Uint8Array
  /**
   * Number of items before (timestamp, id).
   *
   * @param idPrefix 0 … 32 bytes of the id, the missing ones zero.
   */
  lowerBound(timestamp: bigint, idPrefix: Uint8Array): number
  /**
   * `fingerprintOf` the items from place `from` to place `to`, without it: 16 bytes.
   *
   * It is asked for often, up to 16 times for every range in which two sets differ.
   */
  fingerprint(from: number, to: number): Uint8Array
}

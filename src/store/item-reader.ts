/** An event, as far as two replicas compare it. */
export interface StoredItem {
  readonly position: number
  /** The event's clock: milliseconds since 1970. */
  readonly time: number
  readonly id: Buffer
  /** Hex. */
  readonly author: string
}

/** The events of a file by what two replicas compare: their clocks and ids. */
export interface ItemReader {
  /** Readable events after a position, in the order of arrival, and the position up to which these are all. */
  after(position: number, limit: number): { items: StoredItem[]; upTo: number }
  /** The bytes of the event with that id, or null. */
  bytes(id: Buffer): Buffer | null
}

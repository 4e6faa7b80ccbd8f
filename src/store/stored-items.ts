import { hash } from '../base/hash.ts'
import { toHex } from '../base/bytes.ts'
import { decodeEventHeader } from '../event/event.ts'
import type { EventTable } from './event-table.ts'
import { idStart } from './id-index.ts'
import type { IdIndex } from './id-index.ts'
import type { ItemReader, StoredItem } from './item-reader.ts'
import { corruptFile } from './sqlite.ts'

/** The events of a file by what two replicas compare: their clocks and ids. */
export class StoredItems implements ItemReader {
  readonly #table: EventTable
  readonly #ids: IdIndex

  constructor(table: EventTable, ids: IdIndex) {
    this.#table = table
    this.#ids = ids
  }

  /** Readable events after a position, in the order of arrival, and the position up to which these are all. */
  after(position: number, limit: number): { items: StoredItem[]; upTo: number } {
    const rows = this.#table.rowsAfter(position, limit)
    const items: StoredItem[] = []
    for (const [at, time, bytes] of rows) {
      if (time === null) continue
      const header = decodeEventHeader(bytes)
      if (typeof header === 'string') throw corruptFile(`the event at position ${at} is not what was stored`)
      items.push({ position: at, time, id: hash(bytes), author: toHex(header.author) })
    }
    return {
      items,
      upTo: rows.length < limit ? Math.max(position, this.#table.nextPosition - 1) : (rows.at(-1)?.[0] ?? position),
    }
  }

  /** The bytes of the event with that id, or null. */
  bytes(id: Buffer): Buffer | null {
    const start = idStart(id)
    for (const position of this.#ids.find(id)) {
      const row = this.#table.at(position)
      if (row !== null && row.idStart === start && hash(row.bytes).equals(id)) return row.bytes
    }
    return null
  }
}

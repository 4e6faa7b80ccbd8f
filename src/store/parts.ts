import { hash } from '../base/hash.ts'
import { HybridClock } from '../event/clock.ts'
import { authorKeyPair } from '../event/signature.ts'
import { CausalOrder } from './causal-order.ts'
import type { EventStoreOptions } from './options.ts'
import { EventTable } from './event-table.ts'
import { HeldRuns } from './held-runs.ts'
import { IdIndex } from './id-index.ts'
import { authorSeed, checkIdentity, noteIdentity } from './identity.ts'
import { Logs } from './logs.ts'
import { Marks } from './marks.ts'
import { OwnLog } from './own-log.ts'
import { EventReader } from './reader.ts'
import { sealingThread } from './sealing/sealing-thread.ts'
import type { OpenDatabase } from './sqlite.ts'
import { corruptFile } from './sqlite.ts'
import { StoredItems } from './stored-items.ts'
import { Writer } from './writer.ts'

/** What a store is made of: one part for each thing that its file holds, and the one author that writes here. */
export interface StoreParts {
  clock: HybridClock
  logs: Logs
  table: EventTable
  ids: IdIndex
  items: StoredItems
  held: HeldRuns
  marks: Marks
  causal: CausalOrder
  own: OwnLog
  writer: Writer
  reader: EventReader
  /** 32 bytes that this peer's Noise key pair is made from. */
  noiseSeed: Buffer
  /** True if the author's key was made just now. */
  isNewAuthor: boolean
}

/** Reads from an open file what the parts keep in memory. */
export function assemble(opened: OpenDatabase, options: EventStoreOptions, now: () => number): StoreParts {
  const { db } = opened
  const { keys } = options
  if (options.readOnly === true) checkIdentity(db, options)
  else noteIdentity(opened, options)
  const { seed, isNew } = authorSeed(opened, options)
  const clock = new HybridClock(now)
  const logs = new Logs(db, options.maxLogs)
  const table = new EventTable(db)
  const ids = new IdIndex(db)
  const held = new HeldRuns(db)
  const causal = new CausalOrder(db, table, logs, keys.seal)
  const thread = options.path === ':memory:' || options.random !== undefined ? null : sealingThread
  const own = new OwnLog(authorKeyPair(seed), keys, clock, thread, options.random)
  const mayBegin = (options.beginning ?? null) !== null
  const writer = new Writer({ keys, ownAuthor: own.hex, logs, table, held, causal, mayBegin, now })
  const reader = new EventReader(db, table, causal.ranks, keys.seal, own.hex, options.readOnly === true)
  for (const [position, start] of table.idStarts(ids.nextPosition)) {
    if (position !== ids.nextPosition) throw corruptFile('events are missing')
    ids.add(start)
  }
  for (const log of logs.all()) clock.observe(log)
  for (const head of causal.headsSince(own.hex)) own.see(head)
  const noiseSeed = hash(Buffer.from('peerlog 1 noise\0', 'utf8'), seed)
  return {
    clock,
    logs,
    table,
    ids,
    items: new StoredItems(table, ids),
    held,
    marks: new Marks(db),
    causal,
    own,
    writer,
    reader,
    noiseSeed,
    isNewAuthor: isNew,
  }
}

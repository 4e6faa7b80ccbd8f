import { verifyHead } from '../event/signature.ts'
import type { EventTable } from './event-table.ts'
import type { Log } from './log.ts'
import { corruptFile } from './sqlite.ts'

/**
 * That our own log is as we signed it: what we append continues it, and would contradict what others hold if the file has
 * been damaged there.
 */
export function checkOwnHead(log: Log | undefined, table: EventTable, databaseTag: Uint8Array): void {
  const signature = log === undefined ? null : table.lastSignature(log)
  if (log === undefined || signature === null) return
  const { author, mmr, root } = log
  if (verifyHead({ databaseTag, author, length: mmr.length, root }, signature)) return
  throw corruptFile('our own log is not as we signed it')
}

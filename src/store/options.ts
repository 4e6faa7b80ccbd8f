import type { Beginning } from '../event/beginning.ts'
import type { RandomFill } from '../event/event.ts'
import type { DatabaseKeys } from '../event/keys.ts'
import type { DatabaseOptions, OpenDatabase } from './sqlite.ts'

export interface EventStoreOptions {
  /** A file, or ':memory:'. */
  path: string
  databaseId: string
  keys: DatabaseKeys
  /** 32 bytes that the author's keys are made from; by default those of the key file beside the database. */
  authorSeed?: Uint8Array
  durability?: 'process' | 'full'
  readOnly?: boolean
  /** Logs of which nothing is here yet begin in the middle: with their last events, or those since a time (ms). */
  beginning?: Beginning | null
  /** Logs that are kept at most; default `MAX_LOGS`. */
  maxLogs?: number
  /** Milliseconds since 1970. */
  now?: () => number
  /** Where the nonces of seals come from; by default the operating system. With one given, all is sealed in this thread. */
  random?: RandomFill
  /** What opens the file; by default `openDatabase`. */
  openFile?: (options: DatabaseOptions) => OpenDatabase
}

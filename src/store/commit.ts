import type { Run } from '../event/run.ts'
import type { Log } from './log.ts'

/** Events of one author that one transaction has stored. */
export interface StoredRun {
  run: Run
  ids: Buffer[]
  /** The log afterwards. */
  log: Log
  local: boolean
}

/** What listeners are told after a transaction. */
export interface Commit {
  runs: StoredRun[]
  /** Logs found to be forked. */
  forks: Log[]
}

import type { Database } from '../index.ts'
import type { CommonFlags } from './flags.ts'
import { openOptions } from './flags.ts'
import { Output } from './output.ts'
import { watchStatus } from './status.ts'

export interface Context {
  db: Database
  output: Output
  /** Aborts when the user, the system or the reader of our output wants an end. */
  signal: AbortSignal
  stop: () => void
}

export interface Access {
  /** Leaves the network alone. */
  offline?: boolean
  /** Reads the file while another process may have it open. */
  readOnly?: boolean
  /** Says on stderr who comes and goes. */
  status?: boolean
}

/** Milliseconds after which we say that closing takes a while. */
const CLOSING_NOTICE_MS = 1500

/**
 * Opens the database that the flags name, does the work and closes the database, whatever happens: SIGINT and SIGTERM
 * abort the signal, a second one ends the process at once.
 */
export async function withDatabase(
  flags: CommonFlags,
  access: Access,
  work: (context: Context) => Promise<void>,
): Promise<void> {
  const output = new Output(flags)
  const options = openOptions(flags)
  const abort = new AbortController()
  const stop = (): void => abort.abort()
  const release = stopOnSignals(abort)
  try {
    // Not before it is needed: SQLite and the networks take a moment to load.
    const { createTransport, open } = await import('../index.ts')
    for (const transport of options.transport) createTransport(transport)
    const { readOnly = false } = access
    const db = await open({
      ...options,
      readOnly,
      ...(access.offline === true ? { transport: { mode: 'disabled' } } : {}),
    })
    const endStatus = access.status === true ? watchStatus(db, output) : () => {}
    try {
      if (!abort.signal.aborted) await work({ db, output, signal: abort.signal, stop })
    } finally {
      endStatus()
      output.setPrompt(null)
      await closeDatabase(db, output)
    }
  } finally {
    release()
  }
}

async function closeDatabase(db: Database, output: Output): Promise<void> {
  const notice = setTimeout(() => output.status('closing … (Ctrl-C again to force it)'), CLOSING_NOTICE_MS)
  await db.close().finally(() => clearTimeout(notice))
}

/** SIGINT and SIGTERM abort, a second one ends the process at once. Returns the way to let go of them. */
export function stopOnSignals(abort: AbortController): () => void {
  const onSignal = (): void => {
    if (abort.signal.aborted) process.exit(1)
    abort.abort()
  }
  // Whoever read our output has had enough: `peerlog log | head`.
  const onPipeError = (error: NodeJS.ErrnoException): void => {
    if (error.code !== 'EPIPE') throw error
    abort.abort()
  }
  process.on('SIGINT', onSignal)
  process.on('SIGTERM', onSignal)
  process.stdout.on('error', onPipeError)
  return () => {
    process.off('SIGINT', onSignal)
    process.off('SIGTERM', onSignal)
  }
}

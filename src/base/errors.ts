/**
 * Stable, machine-readable names of everything that can go wrong for a user of peerlog. A code never changes its
 * meaning; the message may.
 */
export type ErrorCode =
  /** A value handed in by the caller is not usable: wrong type, empty, out of range. */
  | 'INVALID_ARGUMENT'
  /** A field of a configuration (TransportConfig, OpenOptions, a CLI flag) is not usable. */
  | 'INVALID_CONFIG'
  /** Data that JSON cannot carry: undefined, a function, a cycle, a bigint … */
  | 'INVALID_DATA'
  /** An event's bytes exceed `MAX_EVENT_BYTES`. */
  | 'EVENT_TOO_LARGE'
  /** A message handed to a connection exceeds `MAX_MESSAGE_BYTES`. */
  | 'MESSAGE_TOO_LARGE'
  /** The database, transport, connection or relay was closed. */
  | 'CLOSED'
  /** The folder that should hold the file does not exist. */
  | 'FOLDER_MISSING'
  /** The operating system refused the file (permissions, a directory, a full disk …). */
  | 'FILE_UNUSABLE'
  /** The file is not a peerlog database (not SQLite, or another program's). */
  | 'FOREIGN_FILE'
  /** The file was written by a newer peerlog. */
  | 'NEWER_SCHEMA'
  /** The file was written by an older peerlog, and is opened read-only: it can't be brought up to date. */
  | 'OLDER_SCHEMA'
  /** The file is damaged. */
  | 'CORRUPT_FILE'
  /** The file belongs to another database id. */
  | 'OTHER_DATABASE'
  /** The file was made with another secret, or with none. */
  | 'WRONG_SECRET'
  /** Another handle or process has the file open. */
  | 'LOCKED'
  /** The author's key file is damaged, readable by others, or of another database. */
  | 'INVALID_KEY_FILE'
  /** Two contradicting histories of this author exist; it can append no more. */
  | 'AUTHOR_FORKED'
  /** The network could not be reached in time. */
  | 'TIMEOUT'
  /** A connection ended while it was needed. */
  | 'CONNECTION_LOST'
  /** The peer broke the protocol. */
  | 'PROTOCOL_VIOLATION'

export interface PeerlogErrorOptions {
  /** What the reader can do about it, as a sentence. */
  hint?: string
  cause?: unknown
}

/** Every error that peerlog throws on purpose, except `TypeError` for arguments of the wrong type. */
export class PeerlogError extends Error {
  override readonly name = 'PeerlogError'
  readonly code: ErrorCode
  /** What the reader can do about it. Also the end of `message`. */
  readonly hint: string | undefined

  constructor(code: ErrorCode, message: string, options: PeerlogErrorOptions = {}) {
    super(
      options.hint === undefined ? message : `${message}. ${options.hint}`,
      options.cause === undefined ? undefined : { cause: options.cause },
    )
    this.code = code
    this.hint = options.hint
  }
}

/** A violated invariant of our own: a bug in peerlog, never the world's fault. */
export function assert(condition: unknown, message: string): asserts condition {
  if (!condition) throw new Error(`peerlog bug: ${message}`)
}

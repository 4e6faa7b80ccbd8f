/** 'PLOG' as the application id in a SQLite file's header: how a peerlog database is told from any other. */
export const APPLICATION_ID = 0x504c4f47

/**
 * Numbered migrations: entry n takes a file from schema version n to n + 1, each in a transaction of its own. What has
 * been released is never edited.
 *
 * Events are written once, as the bytes that were verified. Their author and seq stand in those bytes; `extents` says
 * where in the arrival order each consecutive stretch of a log lies, so that a catch-up of a million events costs one
 * row per stretch instead of an index entry per event. Ids are found through `ids`, which is merged in sorted batches.
 */
export const MIGRATIONS: readonly string[] = [
  `
  CREATE TABLE meta (name TEXT PRIMARY KEY, value ANY NOT NULL) STRICT, WITHOUT ROWID;

  CREATE TABLE authors (
    no       INTEGER PRIMARY KEY,
    key      BLOB    NOT NULL UNIQUE,  -- Ed25519 public key
    length   INTEGER NOT NULL,         -- events of this log that are here: 0 … length - 1
    peaks    BLOB    NOT NULL,         -- MMR peaks at that length, tallest first
    position INTEGER NOT NULL,         -- of the last event
    time     INTEGER NOT NULL,         -- clock of the last readable event, or 0
    tick     INTEGER NOT NULL,
    fork     BLOB                      -- proof of two contradicting histories: the log is frozen
  ) STRICT;

  CREATE TABLE subjects (
    no   INTEGER PRIMARY KEY,
    name TEXT    NOT NULL UNIQUE
  ) STRICT;

  CREATE TABLE events (
    position  INTEGER PRIMARY KEY,     -- order of arrival in this replica
    time      INTEGER,                 -- milliseconds since 1970; null if we can't read the event
    tick      INTEGER,
    id_start  INTEGER NOT NULL,        -- first 48 bits of the id: fills the index of ids, and tells damaged bytes
    subject   INTEGER,
    type      TEXT,
    signature BLOB,                    -- suite ‖ signature of the head that ends with this event
    bytes     BLOB    NOT NULL
  ) STRICT;
  CREATE INDEX events_by_subject ON events (subject, position) WHERE subject IS NOT NULL;

  CREATE TABLE extents (
    position INTEGER PRIMARY KEY,      -- of the first event of a consecutive stretch
    author   INTEGER NOT NULL,
    seq      INTEGER NOT NULL,
    UNIQUE (author, seq)
  ) STRICT;

  CREATE TABLE checkpoints (
    author INTEGER NOT NULL,
    length INTEGER NOT NULL,
    peaks  BLOB    NOT NULL,
    PRIMARY KEY (author, length)
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE ids (
    prefix   INTEGER NOT NULL,         -- first 37 bits of the id
    position INTEGER NOT NULL,
    PRIMARY KEY (prefix, position)
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE held (
    author  BLOB    PRIMARY KEY,
    until   INTEGER NOT NULL,          -- milliseconds since 1970
    run     BLOB    NOT NULL
  ) STRICT, WITHOUT ROWID;
  `,
  `
  ALTER TABLE authors ADD COLUMN start INTEGER NOT NULL DEFAULT 0;  -- first seq that is here: start … length - 1

  -- The causal order, as far as it differs from the order of arrival: from this rank on, events follow each other at
  -- these positions, up to the next row.
  CREATE TABLE causal (
    rank     INTEGER PRIMARY KEY,
    position INTEGER NOT NULL UNIQUE
  ) STRICT;

  -- Logs whose events from seq on wait for what they link to.
  CREATE TABLE waiting (
    author INTEGER PRIMARY KEY,
    seq    INTEGER NOT NULL
  ) STRICT;

  -- Frontiers that we and a peer have both had: they need not be told again.
  CREATE TABLE marks (
    peer     TEXT    NOT NULL,         -- its Noise public key in hexadecimal
    root     BLOB    NOT NULL,         -- first bytes of the frontier root
    position INTEGER NOT NULL,         -- of our newest event when we had that root
    PRIMARY KEY (peer, root)
  ) STRICT, WITHOUT ROWID;
  `,
]

export const SCHEMA_VERSION: number = MIGRATIONS.length

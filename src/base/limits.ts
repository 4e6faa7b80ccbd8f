/**
 * Every limit of peerlog, with its unit. What a limit protects is said beside it; the tests named after it cause the
 * failure it prevents.
 */

const KiB = 1024
const MiB = 1024 * KiB

// ---- events ---------------------------------------------------------------------------------------------------

/** Bytes of one encoded event, header and seal included. */
export const MAX_EVENT_BYTES: number = 1 * MiB
/** UTF-8 bytes of a subject. */
export const MAX_SUBJECT_BYTES = 512
/** UTF-8 bytes of a type. */
export const MAX_TYPE_BYTES = 128
/** Causal links of one event; further heads are linked by the events after it. */
export const MAX_LINKS = 64
/** Milliseconds that a received event's clock may be ahead of ours before it is held back. */
export const MAX_CLOCK_AHEAD_MS: number = 5 * 60 * 1000
/** UTF-8 bytes of a database id. */
export const MAX_DATABASE_ID_BYTES = 1024

// ---- segments and runs ----------------------------------------------------------------------------------------

/** Events of one log: up to here the numbers of its Merkle nodes are exact, being below 2^53. */
export const MAX_LOG_LENGTH: number = 2 ** 52
/** Events under one signature. */
export const MAX_SEGMENT_EVENTS = 1024
/** Bytes of events under one signature, unless a single event is larger. */
export const MAX_SEGMENT_BYTES: number = 256 * KiB
/** Events that one run on the wire may claim, before anything is allocated for them. */
export const MAX_RUN_EVENTS = 4096
/** Bytes of events that a frame is filled up to; more only if one segment is larger. */
export const FRAME_TARGET_BYTES: number = 64 * KiB

// ---- transports -----------------------------------------------------------------------------------------------

/** Bytes of one message on a connection. */
export const MAX_MESSAGE_BYTES: number = 4 * MiB
/** Bytes that a connection's sender may have on the way to a receiver that does not read. */
export const CONNECTION_WINDOW_BYTES: number = 1 * MiB
/** Outgoing connections that one topic opens by itself. */
export const MAX_OUTGOING_PEERS = 64
/** Incoming connections that one transport accepts. */
export const MAX_INCOMING_PEERS = 256
/** Topics that a remote peer may offer on one link before we joined them. */
export const MAX_UNMATCHED_CHANNELS = 64
/** Default milliseconds for a connection, handshake or announcement to come about. */
export const DEFAULT_TIMEOUT_MS = 30_000
/** Milliseconds before the first attempt to reconnect, doubled each time up to the next figure, with full jitter. */
export const RECONNECT_MIN_MS = 250
export const RECONNECT_MAX_MS = 30_000

// ---- store ----------------------------------------------------------------------------------------------------

/** Events between two stored states of a log's MMR: what it costs at most to know the peaks at any length. */
export const MMR_CHECKPOINT_EVENTS = 4096
/** Ids kept in memory before they are sorted and merged into the index on disk. */
export const ID_INDEX_BATCH = 65_536
/** Subjects whose numbers are kept in memory. */
export const SUBJECT_CACHE_ENTRIES = 10_000
/** Subjects that a pattern may match for its reads to use the index of each. */
export const MAX_INDEXED_SUBJECTS = 16
/** Bytes of verified runs held back because their clocks are ahead of ours; beyond it they are asked for again later. */
export const MAX_HELD_BYTES: number = 16 * MiB
/** Events that one read hands out before other work gets its turn. */
export const READ_BATCH_EVENTS = 256
/** Milliseconds of appends without a pause before other work gets its turn. */
export const APPEND_BURST_MS = 8

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

/** Events of one log: the sizes in its Merkle tree stay below 2^53, where hypercore-crypto's end too. */
export const MAX_LOG_LENGTH: number = 2 ** 48 - 1
/** Events under one signature. */
export const MAX_SEGMENT_EVENTS = 1024
/** Bytes of events under one signature, unless a single event is larger. */
export const MAX_SEGMENT_BYTES: number = 256 * KiB
/** Events, and bytes of them, that are sealed together: whether here or in the sealing thread. */
export const CHUNK_EVENTS = 64
export const CHUNK_BYTES: number = 64 * KiB
/** Events of one transaction from which the sealing thread helps. */
export const SEALING_THREAD_MIN_EVENTS = 256
/** Chunks that it is handed ahead of those that are stored, and how many of them it is left to seal. */
export const MAX_CHUNKS_AHEAD = 16
export const MAX_CHUNKS_OWED = 2
/** Milliseconds without an answer after which it is not waited for any longer. */
export const SEALING_TIMEOUT_MS = 5000
/** Events that one run on the wire may claim, before anything is allocated for them. */
export const MAX_RUN_EVENTS = 4096
/** Bytes of events that a frame is filled up to; more only if one segment is larger. */
export const FRAME_TARGET_BYTES: number = 64 * KiB
/** The same for the first frames of a session: it grows by what the peer acknowledges, and is halved where that takes long. */
export const FRAME_START_BYTES: number = 8 * KiB
/** Milliseconds between two acknowledgements from which on frames are too large for the connection. */
export const FRAME_SLOW_MS = 1000

// ---- transports -----------------------------------------------------------------------------------------------

/** Bytes of one message on a connection. */
export const MAX_MESSAGE_BYTES: number = 4 * MiB
/** Bytes that a connection's sender may have on the way to a receiver that does not read. */
export const CONNECTION_WINDOW_BYTES: number = 2 * MiB
/** Outgoing connections that one topic opens by itself. */
export const MAX_OUTGOING_PEERS = 64
/** Incoming connections that one transport accepts; beyond it the oldest that serves no topic gives way. */
export const MAX_INCOMING_PEERS = 256
/** Handshakes over a relay that are under way for one topic; beyond it the oldest gives way, or the newcomer. */
export const MAX_HANDSHAKES = 48
/**
 * Milliseconds that a newcomer is left its place to shake hands or prove that it is a member: many that come at once
 * must not throw each other out.
 */
export const NEWCOMER_GRACE_MS = 500
/** Topics that a remote peer may offer on one link before we joined them. */
export const MAX_UNMATCHED_CHANNELS = 64
/** Default milliseconds for a connection, handshake or announcement to come about. */
export const DEFAULT_TIMEOUT_MS = 30_000
/** Milliseconds before the first attempt to reconnect, doubled each time up to the next figure, with full jitter. */
export const RECONNECT_MIN_MS = 250
export const RECONNECT_MAX_MS = 30_000

// ---- store ----------------------------------------------------------------------------------------------------

/** Events, and bytes of them, after which a log's MMR is stored: about what it costs to know the peaks at any length. */
export const MMR_CHECKPOINT_EVENTS = 4096
export const MMR_CHECKPOINT_BYTES: number = 4 * MiB
/** Ids kept in memory before they are sorted and merged into the index on disk. */
export const ID_INDEX_BATCH = 65_536
/** Ids that are merged at once, at least. */
export const ID_MERGE_LUMP = 512
/**
 * Logs of one database: about 0.5 KB of memory each, and 43 bytes in every exchange of heads. Events of further authors
 * are not taken.
 */
export const MAX_LOGS = 131_072
/** Logs that changed last and are kept as they are needed; the others are packed, in a fraction of the memory. */
export const RECENT_LOGS = 1024
/** Bytes of proofs of forks that are kept, all in memory; logs whose proofs no longer fit are not frozen. */
export const MAX_FORK_PROOFS_BYTES: number = 64 * MiB
/** Subjects whose numbers are kept in memory. */
export const SUBJECT_CACHE_ENTRIES = 10_000
/** Subjects that a pattern may match for its reads to use the index of each. */
export const MAX_INDEXED_SUBJECTS = 16
/** Bytes of verified runs held back because their clocks are ahead of ours; beyond it they are asked for again later. */
export const MAX_HELD_BYTES: number = 16 * MiB
/** Events that one read hands out before other work gets its turn. */
export const READ_BATCH_EVENTS = 256
/** Bytes of events that one read holds in memory, and one event more. */
export const READ_BATCH_BYTES: number = 4 * MiB
/** Milliseconds of appends without a pause before other work gets its turn. */
export const APPEND_BURST_MS = 8

// ---- sessions -------------------------------------------------------------------------------------------------

/** Milliseconds for a peer to prove that it knows the database. */
export const ADMISSION_TIMEOUT_MS = 10_000
/** Heads in one message: about 43 KB. */
export const MAX_HEADS_PER_MESSAGE = 1000
/** Logs of both sides from which on their heads are compared by ranges: fewer are told at once, for a round trip less. */
export const RANGE_MIN_LOGS = 300
/** Bytes of one message of that comparison, and how many messages of it are answered. */
export const HEAD_RANGES_BYTES: number = 256 * KiB
export const MAX_HEAD_RANGES_ROUNDS = 256
/** Ranges that we ask one peer for at the same time. */
export const MAX_PULLS = 256
/** Ranges in one request. */
export const MAX_RANGES_PER_REQUEST = 1024
/** Logs that a peer may have announced and that we lack. */
export const MAX_WANTED_LOGS = 131_072
/** The same of all peers together; beyond it one of those that have announced as many as the next figure is let go. */
export const MAX_WANTED_LOGS_TOTAL = 262_144
export const MANY_WANTED_LOGS = 16_384
/** Runs in one frame: each costs a signature check. */
export const MAX_RUNS_PER_FRAME = 512
/** Bytes of the events of one run in a frame, so that a run that was stored fits every message made from it. */
export const MAX_RUN_BYTES: number = 1 * MiB
/**
 * Bytes of frames sent to a peer that it has not yet stored and acknowledged; and how many of a new one, whose window
 * grows by what it acknowledges: who comes, is served and comes again costs little.
 */
export const SERVE_WINDOW_BYTES: number = 4 * MiB
export const SERVE_START_BYTES: number = 512 * KiB
/** Milliseconds without any acknowledgement after which a peer that owes some is taken for one that does not read. */
export const ACK_TIMEOUT_MS = 60_000
/** Bytes of new events waiting to be pushed to a peer; beyond it only their lengths are announced. */
export const MAX_PUSH_BYTES: number = 1 * MiB
/** Milliseconds without progress after which a peer that owes us events is let go. */
export const STALL_TIMEOUT_MS = 20_000
/** Milliseconds that appends wait for a peer when the file may be a restored copy that lacks what it once wrote. */
export const RECOVERY_WAIT_MS = 5_000
/** Milliseconds that they wait, once a peer has shown that it holds no more of our own log, for others that do. */
export const RECOVERY_MORE_PEERS_MS = 500
/** Milliseconds in which a peer must have brought so many bytes of a log, or it may be asked for from another as well. */
export const CLAIM_TIMEOUT_MS = 5_000
/** The least that it comes down to, halved each time one has brought nothing. */
export const CLAIM_MIN_TIMEOUT_MS = 250
export const CLAIM_PROGRESS_BYTES: number = 256 * KiB
/** Milliseconds of silence after which we say that we are still here. */
export const PING_INTERVAL_MS = 10_000
/** Milliseconds of silence after which a peer is taken for gone. */
export const SILENCE_TIMEOUT_MS = 30_000
/** Logs that are named of those that differ when two replicas meet. */
export const MAX_DIFFERENCES = 1000
/** Milliseconds between two announcements of lengths to one peer, at least. */
export const ANNOUNCE_INTERVAL_MS = 20
/** Announcements of lengths to all peers together: of many peers, each hears of more events at a time. */
export const ANNOUNCES_PER_SECOND = 100
/** Peers, about, that are pushed at first what others have written; the others are told, and pushed to once they ask. */
export const EAGER_PEERS = 4
/** Milliseconds that an announced event may take to arrive by another peer before we ask for it. */
export const LAZY_PULL_MS = 60
/** Bytes that a peer may send unasked and in vain, beyond those it sends to some use, before it is a flooder. */
export const MAX_USELESS_BYTES: number = 16 * MiB
/** Bytes that a useless run counts for besides its own: what it costs to look at a small one. */
export const USELESS_RUN_BYTES: number = 1 * KiB
/** Bytes that a peer may be sent once more because it asks again, and how many more of them per second. */
export const REPEAT_BURST_BYTES: number = 16 * MiB
export const REPEAT_BYTES_PER_SECOND: number = 1 * MiB
/** Control messages a peer may send at once, and how many it earns per second and per frame that we send. */
export const CONTROL_BURST = 4096
export const CONTROL_PER_SECOND = 256
export const CONTROL_PER_FRAME = 2
/** Heads or ranges in a control message that make it count once more. */
export const CONTROL_ENTRIES = 64
/** Sessions of one database: fewer than a transport's connections, so that newcomers get as far as being looked at. */
export const MAX_SESSIONS = 160
/** Sessions whose peer has yet to prove that it knows the database; beyond it the oldest gives way, or the newcomer. */
export const MAX_UNADMITTED_SESSIONS = 64
/** Sessions of one peer over one transport: two, because both sides may have dialled; the oldest gives way to one more. */
export const MAX_SESSIONS_PER_PEER = 2
/**
 * Milliseconds after which a peer that has never brought anything, or has not for longer, gives way to a newcomer when
 * there is no room.
 */
export const SESSION_GRACE_MS = 4_000
export const SESSION_IDLE_MS = 60_000
/** Bytes of a proof that an author forked: two runs. */
export const MAX_FORK_PROOF_BYTES: number = 3 * MiB
/** Frontiers that one peer and we have both had, and that are told when we meet again. */
export const MAX_MARKS = 4
/** Frontiers of all peers that are remembered, the newest of them. */
export const MAX_REMEMBERED_MARKS = 4096
/** Milliseconds between two marks of one session. */
export const MARK_INTERVAL_MS = 10_000
/** UTF-8 bytes of the reason in a refusal or farewell. */
export const MAX_REASON_BYTES = 256
/** Milliseconds that a peer is banned for its first offence, doubled for each further one up to the next figure. */
export const BAN_MIN_MS = 5_000
export const BAN_MAX_MS: number = 60 * 60 * 1000
/** Banned peers that are remembered. */
export const MAX_BANS = 10_000
/** Milliseconds that our wall clock may be set back before sessions, whose deadlines it carries, begin anew. */
export const MAX_CLOCK_BACK_MS = 1000
/** Milliseconds between two progress reports. */
export const PROGRESS_INTERVAL_MS = 100
/** Sync events that a slow subscriber may leave unread before it misses some. */
export const SUBSCRIBER_BUFFER_EVENTS = 1024
/** Milliseconds of work on received frames before timers and other sockets get their turn. */
export const WORK_SLICE_MS = 4

/** Limits of gossip over datagrams, with their units. */

const KiB = 1024
const MiB = 1024 * KiB

// ---- datagrams --------------------------------------------------------------------------------------------------

/** Bytes of one datagram: what fits IPv6's least MTU of 1280 with its header of 40 and UDP's of 8. */
export const MAX_DATAGRAM_BYTES = 1232
/** Bytes of a large event, or proof, that one datagram carries. */
export const PART_BYTES = 960
/** Bytes of an event that goes whole into a datagram. */
export const MAX_WHOLE_EVENT_BYTES = 1000
/** Datagrams of one sender that may be late: older ones count as replayed. */
export const REPLAY_WINDOW_DATAGRAMS = 4096
/** Former epochs of one address that are never taken again. */
export const MAX_RETIRED_EPOCHS = 8

// ---- addresses --------------------------------------------------------------------------------------------------

/** Bytes that are sent to an address for each one that came from there, until it has echoed its cookie. */
export const MAX_AMPLIFICATION = 3
/** Milliseconds after which cookies are made otherwise; those of the period before are good too. */
export const COOKIE_PERIOD_MS = 60_000
/** Addresses that have not echoed their cookie; beyond it the oldest is forgotten. */
export const MAX_STRANGERS = 256
/** Addresses of members; beyond it one that has brought nothing for the longest gives way to a newcomer. */
export const MAX_REMOTES = 128
/** Milliseconds for which a new one keeps its place. */
export const REMOTE_GRACE_MS = 5_000

// ---- heartbeats -------------------------------------------------------------------------------------------------

/** Milliseconds between two heartbeats, give or take a quarter: also what keeps a NAT's mapping open. */
export const HEARTBEAT_MS = 2_000
/** The first heartbeats, and those with news, come sooner: after so many milliseconds, each time doubled. */
export const FIRST_HEARTBEAT_MS = 100
/** Heartbeats in a row that may be lost before a peer counts as gone. */
export const MISSED_HEARTBEATS = 10
/** Milliseconds between two heartbeats to one address that something new calls for. */
export const MIN_HEARTBEAT_MS = 25
/** Milliseconds between two heartbeats to one peer that tell it of a new root. */
export const NEWS_MS = 50
/** Milliseconds between two looks for what has taken too long. */
export const TIDY_MS = 1_000
/** Round-trip time, in milliseconds, that is assumed until it is measured; and the most that is believed. */
export const DEFAULT_RTT_MS = 50
export const MAX_RTT_MS = 2_000

// ---- rounds -----------------------------------------------------------------------------------------------------

/** Items of a window for which one filter is sent. */
export const WINDOW_ITEMS = 900
/** Items of each of a digest's newest windows, how many there are, and how many share all that is older. */
export const FINE_WINDOW_ITEMS = 448
export const FINE_WINDOWS = 8
export const COARSE_WINDOWS = 8
/** Windows that one which differs and is too large for a filter is split into. */
export const SPLIT_WINDOWS = 16
/** Windows that differ and are worked on with one peer; the rest wait for a later digest. */
export const MAX_OPEN_WINDOWS = 64
/** Filters sent to one peer in one round. */
export const FILTERS_PER_ROUND = 16
/** Rounds in which a window has brought nothing after which it is left to the next digest. */
export const MAX_IDLE_ROUNDS = 8
/** Milliseconds between two rounds with a peer, besides two round trips; and at most, while nothing comes of them. */
export const MIN_ROUND_MS = 10
export const MAX_ROUND_MS = 250
/** Milliseconds between two digests to a peer that differs, doubled up to the next figure while they lead to nothing. */
export const MIN_DIGEST_MS = 250
export const MAX_DIGEST_MS = 10_000
/** Ranges in a digest, before anything is done with them. */
export const MAX_DIGEST_RANGES = 64

// ---- what is sent -----------------------------------------------------------------------------------------------

/** Bytes per second to one peer, and to all of them; and what may go at once of either. */
export const PEER_BYTES_PER_SECOND: number = 4 * MiB
export const PEER_BURST_BYTES: number = 64 * KiB
export const TOTAL_BYTES_PER_SECOND: number = 16 * MiB
export const TOTAL_BURST_BYTES: number = 128 * KiB
/** Bytes of pieces that a peer is sent after each of its filters: who asks no more is sent no more. */
export const GRANT_BYTES: number = 256 * KiB
/** Pieces whose last sending to a peer is remembered, so that they are not sent again within two round trips. */
export const MAX_RECENT_PIECES = 8192
/** Filters of one peer that wait to be answered. */
export const MAX_JOBS = 64
/** Items that one look at a filter goes through before others get their turn. */
export const JOB_STEP_ITEMS = 256
/** Control messages that wait to be sent to one peer. */
export const MAX_QUEUED_MESSAGES = 64
/** Signatures of one log that are kept after they were read, and of how many logs. */
export const MAX_CACHED_HEADS = 64
export const MAX_CACHED_HEAD_LOGS = 256
/** Bytes of pieces that are read from the store ahead of those that are sent to a peer. */
export const READ_AHEAD_BYTES: number = 32 * KiB
/** New events of our own that are sent at once, without being asked for. */
export const MAX_PUSHED_EVENTS = 256

// ---- what is taken ----------------------------------------------------------------------------------------------

/** Messages that call for work which a peer may send at once, and per second: digests, filters, questions. */
export const ASKING_BURST = 512
export const ASKING_PER_SECOND = 512
/** Questions for peaks count for so many: they may have to be computed. */
export const WANT_COST = 32
/** Bytes of pieces that wait for what is missing before them, all peers together. Whoever has brought most gives way. */
export const MAX_STAGED_BYTES: number = 32 * MiB
/** Bytes of proofs of forks that are coming in, of all peers together. */
export const MAX_PROOF_BYTES_STAGED: number = 16 * MiB
/** Bytes that a staged piece counts for besides its own. */
export const STAGED_PIECE_BYTES = 256
/** Logs of which pieces wait. */
export const MAX_STAGED_LOGS = 4096
/** Milliseconds without anything new after which what waits of a log is given up. */
export const STAGE_TIMEOUT_MS = 60_000
/** Signatures of one log, of one sender, that are kept for pieces that wait. */
export const MAX_STAGED_HEADS = 4096
/** Milliseconds for which pieces that can't be stored count as held, so that they are not sent again. */
export const REFUSED_MS: number = 5 * 60_000
/** Pieces that can't be stored and count as held. */
export const MAX_REFUSED = 16_384
/** The same after they waited in vain for the first time. */
export const STALLED_MS = 5_000
/** Milliseconds for which it is remembered that pieces of a log did not fit each other, or waited in vain. */
export const MEMORY_MS: number = 10 * 60_000
/** Logs of which that is remembered. */
export const MAX_REMEMBERED_LOGS = 1024
/** Milliseconds between two questions for the peaks of a log, and how often they are asked. */
export const PEAKS_RETRY_MS = 300
export const MAX_PEAKS_TRIES = 40
/** Milliseconds for which pieces gather before they are verified and stored together. */
export const GATHER_MS = 4
/** Milliseconds before what could not be stored is tried again. */
export const STORE_RETRY_MS = 10_000
/** Items that the index takes from the store in one step. */
export const INDEX_STEP_ITEMS = 1024

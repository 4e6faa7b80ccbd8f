/**
 * Every limit of the relay that an operator cannot set, with its unit. Those that can be set are declared in
 * `config/options.ts`, those of the frames are in `frames.ts`.
 */

/** TCP connections beyond the clients: health checks, upgrades that are still being answered. */
export const MAX_OTHER_CONNECTIONS = 256
/** Of these, from one address that is no trusted proxy. */
export const MAX_OTHER_CONNECTIONS_PER_ADDRESS = 64
/** Addresses whose attempts to connect are counted. */
export const MAX_RATED_ADDRESSES = 100_000
/** Milliseconds after which addresses that are within their rate are forgotten. */
export const RATED_SWEEP_MS = 60_000
/** Channels of one client, those included whose bytes still wait to be read by it. */
export const MAX_CHANNELS_PER_CLIENT = 1024
/** Pairs of one member that its own JOINs lead to. */
export const MAX_OUTGOING_PAIRS = 64
/** Members that one JOIN or LOOKUP looks at, in random order. */
export const MAX_MEMBERS_INSPECTED = 4096
/** Bytes that may wait for a client beside what the windows of its channels allow. */
export const CONTROL_BACKLOG_BYTES: number = 256 * 1024
/** JOIN, LEAVE, LOOKUP, small CREDIT frames and pings that a client may send at once, and per second after that. */
export const REQUEST_BURST = 2048
export const REQUESTS_PER_SECOND = 200
/** Bytes of CREDIT below which the frame counts as a request. */
export const SMALL_CREDIT_BYTES = 4096
/** Bytes of a frame up to which it is copied before it waits, so that it does not hold its whole network chunk. */
export const COPY_WAITING_BYTES = 4096
/** Milliseconds between pings. */
export const PING_INTERVAL_MS = 30_000
/** Parts of a round of pings, evenly apart: thousands at once would hold up all other clients. */
export const PING_TURNS = 30
/** Pings without an answer after which a client is dead. */
export const MAX_MISSED_PONGS = 2
/** Milliseconds that clients have to answer the closing handshake when the relay closes. */
export const CLOSE_GRACE_MS = 1000
/** Milliseconds between two groups of clients that are sent elsewhere, and the least size of such a group. */
export const DRAIN_STEP_MS = 50
export const MIN_DRAIN_STEP_CLIENTS = 20
/** Milliseconds that Node can wait with one timer. */
export const MAX_TIMER_MS = 2_147_483_647
/** Bytes of a secret that tokens are signed with, as RFC 7518 wants for HS256. */
export const MIN_TOKEN_SECRET_BYTES = 32
/** Secrets that are valid at once. */
export const MAX_TOKEN_SECRETS = 8
/** Topics in one token; as many fit into a request's head. */
export const MAX_TOKEN_TOPICS = 64
/** Lines of the log about refusals, per reason and second. */
export const MAX_REFUSAL_LOGS_PER_SECOND = 5
/** Characters of what a stranger wrote that get into the log. */
export const MAX_LOGGED_CHARACTERS = 64
/** Milliseconds of event-loop lag that one scrape tells of. */
export const LAG_WINDOW_MS = 15_000
/** Connections to the metrics port. */
export const MAX_METRICS_CONNECTIONS = 64

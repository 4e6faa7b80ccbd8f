/** Every limit of the relay, with its unit; those of the frames are in `frames.ts`. */

/** TCP port when none is given. */
export const DEFAULT_PORT = 8443
/** Clients in total. */
export const DEFAULT_MAX_CLIENTS = 10_000
/** TCP connections beyond the clients: health checks, upgrades that are still being answered. */
export const MAX_OTHER_CONNECTIONS = 256
/** Rendezvous that one client may be a member of. */
export const MAX_TOPICS_PER_CLIENT = 1024
/** Channels of one client, those included whose bytes still wait to be read by it. */
export const MAX_CHANNELS_PER_CLIENT = 1024
/** Pairs of one member that its own JOINs lead to. */
export const MAX_OUTGOING_PAIRS = 64
/** Pairs of one member in all. */
export const MAX_PAIRS_PER_MEMBER = 256
/** Members that one JOIN or LOOKUP looks at, in random order. */
export const MAX_MEMBERS_INSPECTED = 4096
/** Bytes that may wait for a client beside what the windows of its channels allow. */
export const CONTROL_BACKLOG_BYTES: number = 256 * 1024
/** JOIN, LEAVE, LOOKUP and small CREDIT frames that a client may send at once, and per second after that. */
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
/** Pings without an answer after which a client is dead; also those after which it must have sent its first frame. */
export const MAX_MISSED_PONGS = 2
/** Milliseconds for an HTTP request's head to arrive. */
export const HEADERS_TIMEOUT_MS = 10_000
/** Milliseconds that clients have to answer the closing handshake when the relay closes. */
export const CLOSE_GRACE_MS = 1000

/** Every limit of what instances do together, with its unit. */

/** First token of every subject when none is given. */
export const DEFAULT_PREFIX = 'peerlog'
/** Milliseconds that one attempt to reach a NATS server may take, and between two attempts: doubling, with jitter. */
export const CONNECT_TIMEOUT_MS = 2000
export const RECONNECT_MIN_MS = 100
export const RECONNECT_MAX_MS = 2000
/** Milliseconds between PINGs of the NATS client, and how many may be unanswered. */
export const NATS_PING_MS = 2000
export const MAX_NATS_PINGS_OUT = 2
/**
 * Bytes that the NATS server has not confirmed above which we stop reading from clients that send to other instances,
 * and below which we go on. A heartbeat waits behind so much.
 */
export const BUS_HIGH_WATER_BYTES: number = 2 * 1024 * 1024
export const BUS_LOW_WATER_BYTES: number = 512 * 1024
/** Bytes after which the server is asked to confirm. */
export const CONFIRM_STEP_BYTES: number = 256 * 1024
/** Milliseconds between heartbeats, and heartbeats that an instance may miss before it is dead. */
export const BEAT_MS = 1000
export const MAX_MISSED_BEATS = 3
/** Other instances that are known at the same time. */
export const MAX_INSTANCES = 64
/** Heartbeats for which an OFFER holds its place, and for which a SEEK can be answered. */
export const OFFER_BEATS = 5
/** Heartbeats for which a member that has nobody is looked for again, each time after twice as many. */
export const LONELY_SEEK_BEATS = 32
/** OFFERs to one instance that wait for an answer. */
export const MAX_OFFERS_PER_INSTANCE = 1024
/** SEEK frames of this instance at once, and per second after that. */
export const SEEK_BURST = 2000
export const SEEKS_PER_SECOND = 1000
/** Milliseconds between two looks at the SEEKs that wait for their turn. */
export const SEEK_INTERVAL_MS = 50
/** Milliseconds at most until an instance that is back on NATS begins to look for pairs. */
export const SEEK_JITTER_MS = 500
/** SEEK, ASK and GONE frames taken from, or sent because of, one instance at once, and per second after that. */
export const INSTANCE_BURST = 8000
export const INSTANCE_REQUESTS_PER_SECOND = 4000
/** Milliseconds that a LOOKUP waits for the cards of other instances. */
export const LOOKUP_WAIT_MS = 150
/** LOOKUPs of this instance that wait at the same time; more are answered with what is here. */
export const MAX_WAITING_LOOKUPS = 1024

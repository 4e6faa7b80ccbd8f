/** The limits of the paths between two peers, with their units; those of every transport are in `base/limits.ts`. */

const KiB = 1024
const MiB = 1024 * KiB

/** Bytes, counted with `FRAME_COST_BYTES`, that a sender keeps until they are acknowledged; and one message more. */
export const PATHS_WINDOW_BYTES: number = 4 * MiB
/** Window bytes that a frame costs besides its message, so that a window of tiny messages stays small in memory too. */
export const FRAME_COST_BYTES = 64
/** Bytes received and not yet read from which on nothing more is acknowledged, until the reader has caught up. */
export const INBOX_BYTES: number = 2 * MiB
/** Bytes that wait in a path's transport above which nothing more is given to it. */
export const PATH_QUEUE_BYTES: number = 256 * KiB
/** Milliseconds, or bytes received, after which what has arrived is acknowledged. */
export const ACK_DELAY_MS = 100
export const ACK_STEP_BYTES: number = 256 * KiB

/** Paths to one peer of a topic, those that are shaking hands included; beyond it the oldest worse one gives way. */
export const MAX_PATHS_PER_PEER = 4
/** Processes with the key of one peer: its next life beside the last, or a copy; the oldest gives way. */
export const MAX_LIVES_PER_PEER = 2
/** Paths of one topic that are shaking hands; beyond it the oldest gives way, or the newcomer. */
export const MAX_PATH_HANDSHAKES = 64
/** Milliseconds for a path's handshake; less if the transports' timeout is less. */
export const PATH_HANDSHAKE_MS = 10_000
/** Violations on paths of one connection that end the connection, not just the path. */
export const MAX_PATH_VIOLATIONS = 3
/** PINGs and changes of path that a peer may send at once, and how many more per second. */
export const CONTROL_BURST = 256
export const CONTROL_PER_SECOND = 32

/** Milliseconds of silence after which an idle path is tested. */
export const PATH_PING_MS = 3000
/**
 * Milliseconds without a sign of life, while one is owed, after which another path is taken; or so many round trips, if
 * that is longer.
 */
export const PATH_SUSPECT_MS = 500
export const PATH_SUSPECT_ROUND_TRIPS = 4
/** The same after which the path is closed. */
export const PATH_DEAD_MS = 6000
/** Milliseconds that our own clock may be late before silence is no longer taken for the peer's. */
export const PATH_LATE_MS = 100
/** Milliseconds that a better path must have worked, in both directions, before worse ones are closed. */
export const PATH_SETTLE_MS = 1000
/** Milliseconds that a connection outlives its last path. */
export const PATH_GRACE_MS = 5000
/** Milliseconds that a connection has to hand over what was sent before it was closed; that a closed one's paths have. */
export const CLOSE_FLUSH_MS = 5000
export const PATH_CLOSE_MS = 2000
/** Milliseconds between two looks at why a relay is in use; between two requests to look for a peer. */
export const OUTLOOK_MS = 1000
export const REFRESH_MS = 1000
/** Milliseconds between two looks at the network interfaces of the machine. */
export const NETWORK_POLL_MS = 3000
/** Milliseconds that a lookup waits for further transports once one has answered. */
export const LOOKUP_PATIENCE_MS = 1000
/** Milliseconds that `disconnect` gives to peers for taking over what was sent before. */
export const GOODBYE_MS = 1000
/** UTF-8 bytes of the reason in CLOSE and END. */
export const MAX_REASON_BYTES = 256

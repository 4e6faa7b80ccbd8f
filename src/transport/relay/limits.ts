/** The limits of the relay transport, with their units; those of every transport are in `base/limits.ts`. */

import { WINDOW_BYTES } from 'peerlog-relay/frames'

/** Milliseconds between pings of the relay, and pings without a sign of life after which it is dead: within 30 s. */
export const RELAY_PING_MS = 10_000
export const MAX_MISSED_PINGS = 2
/** Milliseconds for a WebSocket to open before the next relay is tried; less if the transport's timeout is less. */
export const RELAY_OPEN_MS = 10_000
/** Milliseconds of silence after which a socket that may be dead is asked for a sign of life, and then to give one. */
export const QUIET_MS = 1000
export const CHECK_MS = 1500
/** Milliseconds at most that a client of a relay which drains, and which has no other, lets the others go ahead. */
export const DRAIN_JITTER_MS = 300
/** Milliseconds that a socket must have lasted to be replaced without delay when the relay asks for it. */
export const DRAINED_MS = 1000
/** Characters of a token. */
export const MAX_TOKEN_CHARACTERS = 4096
/** Milliseconds between two JOINs for one topic that were asked for from outside. */
export const REFRESH_MS = 200
/** Milliseconds between keep-alives on an idle connection, and of silence after which the peer is gone. */
export const PEER_KEEP_ALIVE_MS = 5000
export const PEER_SILENCE_MS = 15_000
/** Milliseconds of silence after which a connection that replaced one of the same peer may be replaced itself. */
export const SUCCESSOR_SILENCE_MS: number = PEER_KEEP_ALIVE_MS + 1000
/**
 * Bytes that must arrive of a message that stays incomplete for as long. Where the relay has dropped something, what
 * follows looks like the length of a message that never ends, and keep-alives disappear in it.
 */
export const MIN_MESSAGE_PROGRESS_BYTES: number = 16 * 1024
/** Milliseconds that a closing connection or socket has to hand over what was sent before. */
export const CLOSE_FLUSH_MS = 2000
/** Milliseconds that a connection or socket must have lasted for the next attempt to be made without delay. */
export const HEALTHY_MS = 10_000
/** Milliseconds at most between two attempts to be paired with others while all that came of them has failed. */
export const LONELY_REJOIN_MS = 5000
/**
 * Milliseconds of silence after which a handshake is given up; twice as many whenever that was in vain, up to the timeout
 * of the transport. A frame of it that the relay has lost is not sent again.
 */
export const HANDSHAKE_SILENCE_MS = 3000
/** Milliseconds after which handshakes that do not get on are given up, while there are as many as may be. */
export const STUCK_HANDSHAKES_MS = 2000
/** Milliseconds, on average, after which a topic asks again for peers that it is not connected to. */
export const REJOIN_MS = 60_000
/** Bytes waiting in the WebSocket above which channels stop writing to it, and below which they go on. */
export const SOCKET_HIGH_WATER_BYTES: number = 1024 * 1024
export const SOCKET_LOW_WATER_BYTES: number = 256 * 1024
/** Bytes that one channel takes from its secret stream ahead of the window. */
export const CHANNEL_BUFFER_BYTES: number = 128 * 1024
/** Bytes of credit that are collected before a CREDIT frame is sent. */
export const CREDIT_STEP_BYTES: number = WINDOW_BYTES / 4
/** Bytes of window worth sending a frame for that does not empty the queue. */
export const MIN_PIECE_BYTES = 4096
/** Bytes of a message up to which it is copied, so that it does not hold the network chunk it came in. */
export const COPY_MESSAGE_BYTES = 4096
/** Lookups that wait for an answer at the same time. */
export const MAX_PENDING_LOOKUPS = 256

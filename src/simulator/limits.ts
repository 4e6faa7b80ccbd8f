/** Every limit of the simulator, with its unit. */

/** Id of the database that all devices share. */
export const DATABASE = 'peerlog-simulation'

/** Bytes of a message that one packet carries, and bytes of headers that each packet has besides (IPv6 + UDP + ours). */
export const PACKET_BYTES = 1200
export const PACKET_OVERHEAD_BYTES = 64
/** Bytes on the way in one direction of a stream, without an acknowledgement. */
export const STREAM_WINDOW_BYTES: number = 256 * 1024
/** The least of them, however much is lost. */
export const STREAM_MIN_WINDOW_BYTES: number = 16 * PACKET_BYTES
/** Bytes that wait to be sent in one direction of a stream before its sender must wait. */
export const STREAM_BUFFER_BYTES: number = 128 * 1024
/** Milliseconds until an unacknowledged packet is sent again: at first, at least, and at most after doubling. */
export const RETRANSMIT_MS = 400
export const RETRANSMIT_MIN_MS = 100
export const RETRANSMIT_MAX_MS = 3000
/** Milliseconds in which a connection must come about. */
export const DIAL_TIMEOUT_MS = 10_000
/** Milliseconds without any acknowledgement of what was sent after which a stream is taken for dead. */
export const STREAM_SILENCE_MS = 20_000
/** Milliseconds that a closed stream goes on sending what was still to be sent. */
export const STREAM_LINGER_MS = 5000
/** Milliseconds of virtual time in which all must be equal after everything has been healed. */
export const CONVERGENCE_MS: number = 10 * 60_000
/** Milliseconds that all stay equal before the run ends. */
export const REST_MS = 1000
/** Samples that a record has at most. */
export const MAX_SAMPLES = 240
/** Milliseconds between two samples, at first. */
export const SAMPLE_MS = 250
/** Steps that a run takes at most: beyond it something goes round in circles. */
export const MAX_STEPS = 20_000_000
/** Failures that a record lists. */
export const MAX_FAILURES = 20

// ---- scenarios --------------------------------------------------------------------------------------------------

export const MAX_DEVICES = 200
export const MAX_SCENARIO_EVENTS = 20_000
/** Milliseconds that a scenario may last. */
export const MAX_SCENARIO_MS: number = 7 * 24 * 3600 * 1000
/** Events of one message burst, and bytes of each. */
export const MAX_BURST_EVENTS = 2000
export const MAX_MESSAGE_TEXT_BYTES = 200_000
/** Milliseconds that a clock may be off or jump. */
export const MAX_CLOCK_OFFSET_MS: number = 400 * 24 * 3600 * 1000
/** Parts in a million that a clock may run too fast or too slow. */
export const MAX_DRIFT_PPM = 10_000
/** Writes counted until a crash. */
export const MAX_CRASH_WRITES = 100_000

/** Limits of the UDP transport, with their units; and where peers of one network meet. */

/** The group that heartbeats go to on the local network: of those that an organisation hands out by itself (RFC 2365). */
export const MULTICAST_GROUP = '239.192.76.71'
export const MULTICAST_PORT = 41_780
/** Routers that a heartbeat may pass on its way to the group: none. */
export const MULTICAST_TTL = 1
/** Datagrams that wait for the operating system; beyond it they are lost, as in any network. */
export const MAX_PENDING_DATAGRAMS = 512
/** Bytes that the operating system is asked to keep of what has arrived, and of what is to go. */
export const SOCKET_BUFFER_BYTES: number = 2 * 1024 * 1024
/** Addresses that may be listed. */
export const MAX_UDP_PEERS = 64
/** Milliseconds between two looks for network interfaces. */
export const INTERFACES_MS = 5_000
/** Heartbeats to the group that wait for the one before: an interface at a time. */
export const MAX_MULTICASTS_WAITING = 4
/** Milliseconds that closing waits for what was sent before. */
export const GOODBYE_MS = 500

import type { Topic } from '../topic/topic.ts'
import type { DatagramChannel } from './datagrams.ts'

/** A peer that was found, whether or not we have a connection to it. */
export interface PeerInfo {
  /** Hex of the peer's Noise static public key (64 characters). */
  id: string
  /** Where it was found, for people: `host:port`, a relay's URL … */
  address?: string
  /** Whether this transport has an open connection to it now. */
  connected: boolean
}

/**
 * A way to meet the peers of a topic. All implementations pass `transportConformance` (`peerlog/testing`).
 *
 * Two peers of a topic become connected when at least one of them has announced it and the other, or both, connect
 * to it. A transport may serve several topics at once.
 */
export interface Transport {
  /** `'hyperswarm'`, `'relay'`, `'memory'`, `'disabled'` … */
  readonly name: string
  /** Makes us findable under the topic until `disconnect`; resolves when others can find us. */
  announce(topic: Topic): Promise<void>
  /** Peers that have announced the topic, without ourselves. Opens no connection. */
  lookup(topic: Topic): Promise<PeerInfo[]>
  /**
   * The topic's connections, incoming and outgoing, as they come about; lost peers are looked for again. Ends, never
   * throws, when the signal aborts or the transport disconnects. Ending it (abort, `break`) closes the topic's
   * connections and leaves the other topics alone. One iteration per topic at a time.
   */
  connect(topic: Topic, options?: { signal?: AbortSignal }): AsyncIterable<Connection>
  /** Closes every connection, takes the announcements back, and releases every socket and timer. Idempotent. */
  disconnect(): Promise<void>

  // What a transport may do besides; a user's own needs none of it.

  /** Looks for the topic's peers at once, because one was lost or the network has changed. */
  refresh?(topic: Topic): void
  /** Closes every connection and is silent, its iterations going on, until `resume`: a laptop is being closed. Idempotent. */
  suspend?(): Promise<void>
  /** Announces and looks for peers again, as before `suspend`. Idempotent. */
  resume?(): Promise<void>
  /** Ways to exchange datagrams with the topic's peers, without a connection. Opens no socket. */
  datagrams?(topic: Topic): DatagramChannel[]
  /** Why there is no connection to the peer, as far as is known. */
  outlook?(peerId: string): Outlook
}

/**
 * What a transport that goes straight to the peers knows of a peer that it has no connection to: `'udp-blocked'`, no DHT
 * node answers over UDP; `'not-found'`, the peer has announced nothing that we found; `'holepunch-failed'`, it was found
 * and dialled, and the dial failed; `'pending'`, none of these yet.
 */
export type Outlook = 'pending' | 'udp-blocked' | 'not-found' | 'holepunch-failed'

/**
 * Why a path is the one in use. `'direct'`: it goes straight to the peer. `'datagrams'`: there is no connection, only datagrams. Through a relay: `'relay-only'`, no direct
 * transport was asked for; `'direct-lost'`, a direct path was there and has failed; or the outlook of the direct one.
 */
export type PathReason = 'direct' | 'datagrams' | 'relay-only' | 'direct-lost' | Outlook

/** The way that a connection's messages go now. */
export interface Path {
  /** Name of the transport. */
  transport: string
  reason: PathReason
}

/** The reason to close a connection with because there is a better one to the same peer: it is not made anew. */
export const SUPERSEDED = 'superseded'

/** An authenticated, encrypted channel to one peer for one topic: whole messages, in order, with backpressure. */
export interface Connection extends AsyncDisposable {
  /** Hex of the peer's Noise static public key: the same on every transport and after a restart. */
  readonly peerId: string
  /** True on exactly one of the two sides. */
  readonly initiator: boolean
  /** Noise handshake hash, equal on both sides and different for every connection (64 bytes). */
  readonly handshakeHash: Uint8Array
  /** The way its messages go, where that can change. */
  readonly path?: Path
  /** Calls the listener whenever `path` has changed; at most one listener. */
  onPathChange?(listener: (path: Path) => void): void
  /**
   * Sends one message of 1 to `MAX_MESSAGE_BYTES` bytes. Resolves when more may be sent; messages sent without waiting
   * still arrive, in order. The bytes must not be changed afterwards.
   * @throws {PeerlogError} `MESSAGE_TOO_LARGE` (the connection stays usable) or `CLOSED`.
   */
  send(message: Uint8Array): Promise<void>
  /** The next message, or null once the connection is closed, from whichever side and for whatever reason, and all that arrived before has been read. */
  receive(): Promise<Uint8Array | null>
  /** Closes both directions after what was already sent has been handed to the network. Idempotent; never throws. */
  close(reason?: string): Promise<void>
}

/** An Ed25519 key pair that a transport's Noise handshakes authenticate with. */
export interface NoiseKeyPair {
  /** 32 bytes. */
  publicKey: Uint8Array
  /** 64 bytes: seed, then public key. */
  secretKey: Uint8Array
}

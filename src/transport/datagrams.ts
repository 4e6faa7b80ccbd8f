import type { PeerInfo } from './transport.ts'

/** Who reads the datagrams of one database. */
export interface DatagramReader {
  /** What its datagrams have after their first byte: 8 bytes. */
  readonly tag: Uint8Array
  /** A datagram that has the tag, from anybody, and where it came from. */
  receive(bytes: Buffer, address: string): void
  /** The peers that are heard of now. */
  heard(): PeerInfo[]
}

/** Datagrams to and from whoever can be reached: each may be lost, repeated or late, and anybody may have sent it. */
export interface DatagramChannel {
  /** Name of the transport. */
  readonly name: string
  /**
   * Begins to read; one reader per tag. Returns the way to stop.
   * @throws {PeerlogError} `INVALID_ARGUMENT` for a tag that is being read, `CLOSED` after `disconnect`.
   */
  open(reader: DatagramReader, onProblem: (error: unknown) => void): () => void
  /** Sends at most 1232 bytes to an address; or to 'all', that is to all that may be found: on the local network, and those listed. */
  send(bytes: Uint8Array, to: string): void
}

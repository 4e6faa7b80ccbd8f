import type { NoiseKeyPair } from './transport.ts'

/** Which way to the other peers, and how. Only `mode` must be given; the rest has defaults. */
export interface TransportConfig {
  /**
   * `'hyperswarm'`: straight to the peers, found through a DHT. `'relay'`: through a WebSocket relay, where UDP is
   * blocked. `'auto'`: both at once; messages go straight where they can, and through the relay where and while they
   * can't. `'udp'`: datagrams without connections, to peers on the local network and those listed, however much is lost.
   * `'disabled'`: local only, no network at all.
   */
  mode: 'hyperswarm' | 'relay' | 'auto' | 'udp' | 'disabled'
  /**
   * `ws://` or `wss://`. Needed in the modes `relay` and `auto`. Several are one service: the first that answers is used,
   * and peers meet only if whoever runs them has connected them with each other.
   */
  relayUrl?: string | string[]
  /**
   * What a relay that lets in only some is shown, as `Authorization: Bearer …`. A function is asked before every
   * connection, also when the relay says that the last token has expired.
   */
  relayToken?: string | (() => string | Promise<string>)
  /** Milliseconds for a connection or handshake to come about; default 30 000. */
  timeoutMs: number
  /** Always on, whatever is written here: `false` is accepted with a warning. Default true. */
  encryption: boolean
  /** DHT nodes to start from, instead of the public ones; modes `hyperswarm` and `auto`. */
  bootstrap?: { host: string; port: number }[]
  /** Peers to send datagrams to, as `host:port`; mode `udp`. Whoever sends us some is answered, listed or not. */
  udpPeers?: string[]
  /** The port that datagrams are sent from and come to; mode `udp`. Default: any that is free. */
  udpPort?: number
  /** Whether to look for peers on the local network, by multicast; mode `udp`. Default true. */
  udpMulticast?: boolean
  /** The identity of this peer on every transport; default a new random one. */
  keyPair?: NoiseKeyPair
}

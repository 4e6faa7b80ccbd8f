/** How the children of a benchmark reach each other. */
export type BenchTransport = SwarmTransport | RelayTransport

export interface SwarmTransport {
  mode: 'hyperswarm'
  bootstrap: { host: string; port: number }[]
}

export interface RelayTransport {
  mode: 'relay'
  relayUrl: string
}

/** A relay at a port of this machine. */
export function relayAt(port: number): RelayTransport {
  return { mode: 'relay', relayUrl: `ws://127.0.0.1:${port}` }
}

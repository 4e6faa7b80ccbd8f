/** What one way of comparing costs, both sides and both directions together. */
export interface Cost {
  bytes: number
  /** Messages there and back. */
  rounds: number
  /** Milliseconds of processor time. */
  ms: number
  /** Bytes of memory that one side needs beside the replica itself. */
  memory: number
}

export type Way = 'full' | 'delta' | 'range' | 'bloom'

export interface Figure {
  /** Logs that each replica holds. */
  logs: number
  /** How many of them the one or the other has continued. */
  changed: number
  costs: Partial<Record<Way, Cost>>
}

/** What digests and Bloom filters cost if a share of all datagrams is lost: means, and the most round trips of any run. */
export interface Loss {
  logs: number
  changed: number
  loss: number
  bytes: number
  rounds: number
  worst: number
}

export interface Figures {
  machine: string
  date: string
  seconds: number
  figures: Figure[]
  losses: Loss[]
  /** Bloom filters were measured in a later run than the rest. */
  bloomApart?: boolean
}

import type { Drop } from './drops.ts'

export interface ClusterStats {
  /** Whether NATS can be used now. */
  connected: boolean
  /** Other instances that are known. */
  instances: number
  /** Pairs of which the other client is on another instance. */
  remoteChannels: number
  /** Bytes handed to NATS that it has not confirmed. */
  waitingBytes: number
  framesIn: number
  framesOut: number
  bytesIn: number
  bytesOut: number
  /** What was not acted on since the start, by reason. */
  drops: Readonly<Record<Drop, number>>
}

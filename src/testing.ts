// The entry point `peerlog/testing`.
export { transportConformance } from './transport/conformance/conformance.ts'
export type { TransportCapabilities, TransportConformanceOptions } from './transport/conformance/conformance.ts'
export { memoryNetwork } from './transport/memory.ts'
export type { MemoryNetwork } from './transport/memory.ts'
export { faultyTransport } from './transport/faults/faulty-transport.ts'
export type { FaultyTransport, FaultyTransportOptions } from './transport/faults/faulty-transport.ts'
export type { FaultKind, Faults, Injection, When } from './transport/faults/faults.ts'
export { replicationConformance } from './testing/replication/conformance.ts'
export type {
  ReplicationConformanceOptions,
  ReplicationPlace,
  ReplicationRun,
} from './testing/replication/conformance.ts'
export type { FaultClass } from './testing/replication/fault-classes.ts'

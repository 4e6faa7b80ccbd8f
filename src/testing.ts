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
export { simulate } from './simulator/simulate.ts'
export type { SimulateOptions } from './simulator/simulate.ts'
export { randomScenario } from './simulator/random-scenario.ts'
export type { RandomScenarioOptions } from './simulator/random-scenario.ts'
export { parseScenario } from './simulator/scenario.ts'
export type { Conditions, Scenario, ScenarioEvent, SimDevice, SimTransport } from './simulator/scenario.ts'
export { shrink } from './simulator/shrink.ts'
export type { Shrunk, ShrinkOptions } from './simulator/shrink.ts'
export type {
  DeviceState,
  SimDeviceRecord,
  SimEventRecord,
  SimPartition,
  SimRecord,
  SimSample,
  SimTotals,
  SimTraffic,
  SimVerdict,
} from './simulator/record.ts'
export type { Topology as SimTopology } from './simulator/topology.ts'

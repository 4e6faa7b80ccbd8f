/**
 * What a run of the simulator leaves behind: everything the report shows, and nothing that differs between two runs of
 * the same seed. Times are virtual milliseconds since the run began.
 */
export interface SimRecord {
  /** Version of this format. */
  format: 1
  /** The command that repeats the run. */
  command: string
  peerlog: string
  seed: number
  /** The scenario's parameters, by name, as a person would read them: devices, loss, topology … */
  parameters: Record<string, string | number | boolean>
  /** When the run ended. */
  duration: number
  devices: SimDeviceRecord[]
  /** The rows of `sim_events`, in order: what happened in the world. */
  events: SimEventRecord[]
  /** How far replication had come, over time; the last one is the end's. */
  samples: SimSample[]
  /** Times at which the network was split, and how. */
  partitions: SimPartition[]
  /** What went over the network, by kind of message, in descending order of bytes. */
  traffic: SimTraffic[]
  /** The same over time: bytes sent since the sample before. */
  trafficSamples: { at: number; bytes: Record<string, number> }[]
  totals: SimTotals
  verdict: SimVerdict
  /** Hex of the hash over everything that happened: equal exactly for equal runs. */
  trace: string
}

export type DeviceState = 'absent' | 'online' | 'offline' | 'asleep' | 'crashed'

export interface SimDeviceRecord {
  name: string
  /** Hex of the author it writes as; empty if it never joined. */
  author: string
  /** Without gaps, from 0 to the run's end. */
  spans: { from: number; to: number; state: DeviceState }[]
  /** Events it wrote, and events it held at the end. */
  wrote: number
  held: number
}

export interface SimEventRecord {
  at: number
  /** message, join, leave, offline, online, sleep, wake, crash, restart, loss, partition, heal, clock … */
  kind: string
  /** The device it happened to; null for the network. */
  device: string | null
  /** For people. */
  detail: string
}

export interface SimSample {
  at: number
  /** Events that were written and acknowledged by then, anywhere. */
  written: number
  /** Events held by then, by device, in the order of `devices`. */
  held: number[]
  /** Of all pairs of a written event and a device that has joined: the part of those held, 0 to 1. */
  complete: number
}

export interface SimPartition {
  from: number
  to: number
  /** Names of the devices that reach each other. */
  groups: string[][]
}

export interface SimTraffic {
  kind: string
  messages: number
  bytes: number
}

export interface SimTotals {
  events: number
  bytes: number
  /** Packets that the network took, lost, doubled, and delivered after later ones. */
  packets: number
  lost: number
  duplicated: number
  reordered: number
  /** Bytes sent for each byte of an event that a device came to hold. */
  bytesPerByte: number
  /** Copies of events that were sent to devices that held them already, for each event that a device came to hold. */
  redundancy: number
  crashes: number
  /** Milliseconds from the last heal (or the last write, if later) until all were equal; null if they never were. */
  convergedAfter: number | null
}

export interface SimVerdict {
  ok: boolean
  failures: { check: string; at: number; device: string | null; detail: string }[]
}

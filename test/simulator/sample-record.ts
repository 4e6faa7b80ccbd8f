/** Records as runs of the simulator leave them, of any size, the same for the same seed. */
import { dice } from '../../src/base/dice.ts'
import type { DeviceState, SimDeviceRecord, SimEventRecord, SimRecord, SimSample } from '../../src/simulator/record.ts'

export interface SampleOptions {
  seed: number
  devices: number
  /** Milliseconds. */
  duration: number
  /** Milliseconds between two writes of a device, about. */
  writeEvery: number
  ok?: boolean
  /** Names of devices; those that are missing are invented. */
  names?: readonly string[]
  /** What the world says of its events. */
  detail?: (kind: string) => string
}

const KINDS = ['frame', 'heads', 'request', 'ack', 'root', 'hello', 'mark', 'ping', 'lazy', 'fork']
const OUTAGES: readonly [DeviceState, string, string][] = [
  ['offline', 'offline', 'online'],
  ['asleep', 'sleep', 'wake'],
  ['crashed', 'crash', 'restart'],
]
/** Milliseconds that an event takes to a device that can be reached. */
const DELAY = 400

export function sampleRecord(options: SampleOptions): SimRecord {
  const { seed, duration, writeEvery } = options
  const roll = dice(seed)
  const below = (limit: number): number => Math.floor(roll() * limit)
  const detail = options.detail ?? ((kind: string) => `${kind} of the scenario`)
  const events: SimEventRecord[] = []
  const tell = (at: number, kind: string, device: string | null): void => {
    events.push({ at, kind, device, detail: kind === 'loss' ? `${below(30)} % of packets` : detail(kind) })
  }
  const writes: number[] = []
  const devices = Array.from({ length: options.devices }, (_, i): SimDeviceRecord => {
    const name = options.names?.[i] ?? `device-${String(i + 1).padStart(2, '0')}`
    const spans: SimDeviceRecord['spans'] = []
    let at = i % 5 === 4 ? below(duration / 3) : 0
    if (at > 0) spans.push({ from: 0, to: at, state: 'absent' })
    tell(at, 'join', name)
    for (let online = true; at < duration; online = !online) {
      const [state, begins, ends] = OUTAGES[below(3)] as (typeof OUTAGES)[number]
      const length = online ? duration / 6 + below(duration / 2) : duration / 60 + below(duration / 10)
      const to = Math.min(duration, Math.round(at + length))
      spans.push({ from: at, to, state: online ? 'online' : state })
      if (!online) {
        tell(at, begins, name)
        if (to < duration) tell(to, ends, name)
      }
      at = to
    }
    if (below(4) === 0) tell(below(duration), 'clock', name)
    let wrote = 0
    for (const span of spans) {
      if (span.state !== 'online') continue
      for (at = span.from; (at += below(2 * writeEvery) + 1) < Math.min(span.to, duration * 0.85); wrote++) {
        tell(at, 'message', name)
        writes.push(at)
      }
    }
    return { name, author: i === options.devices - 1 ? '' : hex(below), spans, wrote, held: 0 }
  })
  const partitions = [0.25, 0.55].map((part, i) => {
    const groups = Array.from({ length: 2 + i }, (): string[] => [])
    for (const { name } of devices) groups[below(groups.length)]?.push(name)
    const [from, to] = [Math.round(duration * part), Math.round(duration * (part + 0.15))]
    tell(from, 'partition', null)
    tell(to, 'heal', null)
    return { from, to, groups: groups.filter((names) => names.length > 0) }
  })
  for (const part of [0.1, 0.4, 0.7]) tell(Math.round(duration * part), 'loss', null)
  const split = (at: number): boolean => partitions.some(({ from, to }) => from <= at && at < to)

  writes.sort((a, b) => a - b)
  const held = devices.map(() => 0)
  const samples: SimSample[] = []
  const trafficSamples: SimRecord['trafficSamples'] = []
  const sums = new Map(KINDS.map((kind) => [kind, { kind, messages: 0, bytes: 0 }]))
  for (let at = 0; at <= duration; at += 250) {
    const written = writes.filter((time) => time <= at).length
    const reachable = writes.filter((time) => time <= at - DELAY).length
    for (const [i, { spans }] of devices.entries()) {
      const online = spans.some(({ from, to, state }) => state === 'online' && from <= at && at <= to)
      const most = split(at) ? (held[i] as number) + below(2) : reachable
      if (online) held[i] = Math.min(written, Math.max(held[i] as number, most))
    }
    const members = devices.map(({ spans }) =>
      spans.some(({ from, to, state }) => state !== 'absent' && from <= at && at <= to),
    )
    const pairs = written * members.filter(Boolean).length
    const had = held.reduce((sum, count, i) => sum + (members[i] === true ? count : 0), 0)
    samples.push({ at, written, held: [...held], complete: pairs === 0 ? 1 : had / pairs })
    const bytes: Record<string, number> = {}
    for (const [i, kind] of KINDS.entries()) {
      if (below(i + 2) > 2) continue
      const messages = 1 + below(20)
      bytes[kind] = messages * (i === 0 ? 900 + below(4000) : 20 + below(400))
      const sum = sums.get(kind) as { messages: number; bytes: number }
      sum.messages += messages
      sum.bytes += bytes[kind]
    }
    trafficSamples.push({ at, bytes })
  }
  for (const [i, device] of devices.entries()) device.held = held[i] as number
  events.sort((a, b) => a.at - b.at)
  const traffic = [...sums.values()].toSorted((a, b) => b.bytes - a.bytes)
  const crashes = events.filter(({ kind }) => kind === 'crash')
  const ok = options.ok ?? true
  return {
    format: 1,
    command: `peerlog sim --seed ${seed} --devices ${devices.length} --minutes ${duration / 60_000}`,
    peerlog: '0.3.0',
    seed,
    parameters: { devices: devices.length, loss: '5 %', topology: 'ring', crashes: true, 'clock skew': '±2 s' },
    duration,
    devices,
    events,
    samples,
    partitions,
    traffic,
    trafficSamples,
    totals: {
      events: writes.length,
      bytes: traffic.reduce((sum, { bytes }) => sum + bytes, 0),
      packets: traffic.reduce((sum, { messages }) => sum + messages, 0),
      lost: 512,
      duplicated: 93,
      reordered: 1204,
      bytesPerByte: 1.47,
      redundancy: 0.21,
      crashes: crashes.length,
      convergedAfter: ok ? 3250 : null,
    },
    verdict: { ok, failures: ok ? [] : failures(devices, duration) },
    trace: hex(below),
  }
}

function failures(devices: readonly SimDeviceRecord[], duration: number): SimRecord['verdict']['failures'] {
  return [
    {
      check: 'every acknowledged event survives a crash',
      at: duration * 0.62,
      device: devices[3]?.name ?? null,
      detail: 'event 41 is gone after a restart',
    },
    { check: 'all replicas are equal', at: duration, device: null, detail: '2 of the frontiers differ' },
  ]
}

function hex(below: (limit: number) => number): string {
  return Array.from({ length: 64 }, () => below(16).toString(16)).join('')
}

import { MAX_SAMPLES, SAMPLE_MS } from './limits.ts'
import type { SimRecord, SimSample, SimTraffic } from './record.ts'

const KINDS = [
  '',
  'hello',
  'goodbye',
  'root',
  'heads',
  'request',
  'frame',
  'ack',
  'fork',
  'ping',
  'lazy',
  'eager',
  'mark',
]
/** What packets cost beside the messages in them: headers, acknowledgements, what was sent again. */
const PACKETS = 'packets'

/** What a session's message is called. */
export function kindOf(message: Uint8Array): string {
  return KINDS[message[0] ?? 0] ?? 'unknown'
}

/** Counts what a run costs and how far it has come. */
export class Gauge {
  readonly #held: number[]
  readonly #traffic = new Map<string, SimTraffic>()
  #bytes = new Map<string, number>()
  #messageBytes = 0
  #packetBytes = 0
  #samples: SimSample[] = []
  #trafficSamples: { at: number; bytes: Record<string, number> }[] = []
  #interval = SAMPLE_MS
  #sampleAt = 0
  #deliveredEvents = 0
  #deliveredBytes = 0
  #redundantEvents = 0

  constructor(devices: number) {
    this.#held = Array.from({ length: devices }, () => 0)
  }

  holds(device: number, events: number): void {
    this.#held[device] = events
  }

  stored(device: number, events: number, bytes: number, isOwn: boolean): void {
    if (!isOwn) {
      this.#deliveredEvents += events - (this.#held[device] ?? 0)
      this.#deliveredBytes += bytes
    }
    this.#held[device] = events
  }

  heldBy(device: number): number {
    return this.#held[device] ?? 0
  }

  redundant(events: number): void {
    this.#redundantEvents += events
  }

  message(kind: string, bytes: number): void {
    const traffic = this.#traffic.get(kind) ?? { kind, messages: 0, bytes: 0 }
    traffic.messages++
    traffic.bytes += bytes
    this.#traffic.set(kind, traffic)
    this.#bytes.set(kind, (this.#bytes.get(kind) ?? 0) + bytes)
    this.#messageBytes += bytes
  }

  get isDue(): (now: number) => boolean {
    return (now) => now >= this.#sampleAt
  }

  /** @param joined numbers of the devices that are part of it now. */
  sample(at: number, written: number, joined: readonly number[], networkBytes: number): void {
    this.#sampleAt = at + this.#interval
    const overhead = Math.max(0, networkBytes - this.#messageBytes)
    if (overhead > this.#packetBytes) this.#bytes.set(PACKETS, overhead - this.#packetBytes)
    this.#packetBytes = Math.max(this.#packetBytes, overhead)
    const held = joined.reduce((sum, device) => sum + Math.min(written, this.#held[device] ?? 0), 0)
    const complete = written === 0 || joined.length === 0 ? 1 : held / (written * joined.length)
    this.#samples.push({ at, written, held: this.#held.slice(), complete })
    this.#trafficSamples.push({ at, bytes: Object.fromEntries([...this.#bytes].toSorted(byName)) })
    this.#bytes = new Map()
    if (this.#samples.length > MAX_SAMPLES) this.#thin()
  }

  /** Leaves every second sample out. */
  #thin(): void {
    this.#interval *= 2
    this.#samples = this.#samples.filter((_, i) => i % 2 === 0)
    const merged: SimRecord['trafficSamples'] = []
    let before: Record<string, number> = {}
    for (const [i, { at, bytes }] of this.#trafficSamples.entries()) {
      const sum = { ...before }
      for (const [kind, count] of Object.entries(bytes)) sum[kind] = (sum[kind] ?? 0) + count
      before = i % 2 === 0 ? {} : sum
      if (i % 2 === 0) merged.push({ at, bytes: sum })
    }
    this.#bytes = new Map(Object.entries(before))
    this.#trafficSamples = merged
  }

  get samples(): SimSample[] {
    return this.#samples
  }

  get trafficSamples(): { at: number; bytes: Record<string, number> }[] {
    return this.#trafficSamples
  }

  traffic(packets: number): SimTraffic[] {
    const all = [...this.#traffic.values(), { kind: PACKETS, messages: packets, bytes: this.#packetBytes }]
    return all.toSorted((a, b) => b.bytes - a.bytes || (a.kind < b.kind ? -1 : 1))
  }

  costs(networkBytes: number): { bytesPerByte: number; redundancy: number } {
    return {
      bytesPerByte: this.#deliveredBytes === 0 ? 0 : networkBytes / this.#deliveredBytes,
      redundancy: this.#deliveredEvents === 0 ? 0 : this.#redundantEvents / this.#deliveredEvents,
    }
  }
}

function byName([a]: [string, number], [b]: [string, number]): number {
  return a < b ? -1 : 1
}

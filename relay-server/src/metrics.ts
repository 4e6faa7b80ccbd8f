import { type IntervalHistogram, monitorEventLoopDelay } from 'node:perf_hooks'
import { Counter, Gauge, Registry } from 'prom-client'
import type { ClusterStats } from './cluster/stats.ts'
import { DROPS } from './cluster/drops.ts'
import { LAG_WINDOW_MS } from './limits.ts'
import type { RelayStats } from './relay.ts'
import { CLOSE_REASONS, REFUSAL_REASONS, type Tally } from './tally.ts'

export interface MetricsSources {
  stats(): RelayStats
  /** Only with NATS. */
  cluster: (() => ClusterStats) | undefined
  tally: Tally
  isReady(): boolean
}

const LAG_RESOLUTION_MS = 20

/** What Prometheus scrapes: read from the relay when asked, so that it costs nothing in between. */
export class Metrics {
  readonly #registry = new Registry()
  readonly #lag = new EventLoopLag()

  constructor({ stats, cluster, tally, isReady }: MetricsSources) {
    this.#gauge('ready', 'Whether clients should be sent here (1) or not (0)', () => Number(isReady()))
    this.#gauge('clients', 'Connected clients', () => stats().clients)
    this.#gauge('topics', 'Topics with at least one client', () => stats().topics)
    this.#gauge('channels', 'Pairs of clients that can talk to each other', () => stats().channels)
    this.#gauge(
      'paused_clients',
      'Clients that are not read from because they were too fast',
      () => stats().pausedClients,
    )
    this.#gauge('backpressured_clients', 'Clients that do not read as fast as they are sent', () => {
      return stats().backpressuredClients
    })
    this.#gauge('buffered_bytes', 'Bytes that wait in memory for clients to read them', () => stats().bufferedBytes)
    this.#gauge('uptime_seconds', 'Seconds since the start', () => stats().uptimeSeconds)
    this.#gauge('resident_memory_bytes', 'Memory of the process', () => process.memoryUsage.rss())
    this.#gauge(
      'heap_used_bytes',
      'Memory of the process that JavaScript objects use',
      () => process.memoryUsage().heapUsed,
    )
    this.#counter('received_frames_total', 'Messages from clients', () => tally.receivedFrames)
    this.#counter('received_bytes_total', 'Bytes of messages from clients', () => tally.receivedBytes)
    this.#counter('sent_frames_total', 'Messages to clients', () => tally.sentFrames)
    this.#counter('sent_bytes_total', 'Bytes of messages to clients', () => tally.sentBytes)
    this.#counter('forwarded_bytes_total', 'Payload bytes passed between clients', () => stats().forwardedBytes)
    this.#counter('cpu_seconds_total', 'Processor time of the process', () => {
      const { user, system } = process.cpuUsage()
      return (user + system) / 1e6
    })
    if (cluster !== undefined) this.#registerCluster(cluster)
    this.#byReason('refusals_total', 'Connections and requests turned away', REFUSAL_REASONS, () => tally.refusals)
    this.#byReason('closes_total', 'Clients that are no longer served', CLOSE_REASONS, () => tally.closes)
    const lag = this.#lag
    this.#register(
      new Gauge({
        name: 'peerlog_relay_event_loop_lag_seconds',
        help: 'How late the event loop was, over the last 15 seconds or so',
        labelNames: ['quantile'],
        registers: [],
        collect() {
          for (const [quantile, seconds] of Object.entries(lag.read())) this.set({ quantile }, seconds)
        },
      }),
    )
  }

  #registerCluster(cluster: () => ClusterStats): void {
    this.#gauge('nats_connected', 'Whether NATS can be used (1) or not (0)', () => Number(cluster().connected))
    this.#gauge('instances', 'Other instances that are known', () => cluster().instances)
    this.#gauge('remote_channels', 'Pairs whose other client is on another instance', () => cluster().remoteChannels)
    this.#gauge('bus_waiting_bytes', 'Bytes for NATS that it has not confirmed', () => cluster().waitingBytes)
    this.#counter('bus_received_frames_total', 'Frames from other instances', () => cluster().framesIn)
    this.#counter('bus_received_bytes_total', 'Bytes from other instances', () => cluster().bytesIn)
    this.#counter('bus_sent_frames_total', 'Frames to other instances', () => cluster().framesOut)
    this.#counter('bus_sent_bytes_total', 'Bytes to other instances', () => cluster().bytesOut)
    this.#byReason('bus_drops_total', 'What other instances sent and was not acted on', DROPS, () => cluster().drops)
  }

  async read(): Promise<{ contentType: string; text: string }> {
    return { contentType: this.#registry.contentType, text: await this.#registry.metrics() }
  }

  close(): void {
    this.#lag.close()
  }

  #gauge(name: string, help: string, read: () => number): void {
    this.#register(
      new Gauge({
        name: `peerlog_relay_${name}`,
        help,
        registers: [],
        collect() {
          this.set(read())
        },
      }),
    )
  }

  #counter(name: string, help: string, read: () => number): void {
    this.#register(
      new Counter({
        name: `peerlog_relay_${name}`,
        help,
        registers: [],
        collect() {
          this.reset()
          this.inc(read())
        },
      }),
    )
  }

  #byReason<R extends string>(
    name: string,
    help: string,
    reasons: readonly R[],
    counts: () => Readonly<Record<R, number>>,
  ): void {
    this.#register(
      new Counter({
        name: `peerlog_relay_${name}`,
        help,
        labelNames: ['reason'],
        registers: [],
        collect() {
          this.reset()
          for (const reason of reasons) this.inc({ reason }, counts()[reason])
        },
      }),
    )
  }

  #register(metric: Gauge | Counter): void {
    this.#registry.registerMetric(metric)
  }
}

type Lag = Record<'0.5' | '0.99' | '1', number>

/** Windows that no scrape shortens: several may ask. */
class EventLoopLag {
  readonly #histogram: IntervalHistogram = monitorEventLoopDelay({ resolution: LAG_RESOLUTION_MS })
  readonly #timer: NodeJS.Timeout
  #last: Lag | undefined

  constructor() {
    this.#histogram.enable()
    this.#timer = setInterval(() => {
      this.#last = this.#current()
      this.#histogram.reset()
    }, LAG_WINDOW_MS).unref()
  }

  read(): Lag {
    return this.#last ?? this.#current()
  }

  close(): void {
    clearInterval(this.#timer)
    this.#histogram.disable()
  }

  #current(): Lag {
    // The histogram holds the time between two ticks of a timer.
    const seconds = (nanoseconds: number): number => Math.max(0, nanoseconds / 1e9 - LAG_RESOLUTION_MS / 1000)
    const histogram = this.#histogram
    if (histogram.count === 0) return { '0.5': 0, '0.99': 0, '1': 0 }
    return {
      '0.5': seconds(histogram.percentile(50)),
      '0.99': seconds(histogram.percentile(99)),
      '1': seconds(histogram.max),
    }
  }
}

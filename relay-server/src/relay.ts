import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { TrustedProxies, plainAddress } from './addresses.ts'
import { Admission } from './admission.ts'
import { answerWith } from './answers.ts'
import { Clients } from './clients.ts'
import { Cluster } from './cluster/cluster.ts'
import type { ClusterStats } from './cluster/stats.ts'
import { Connections } from './connections.ts'
import { CLOSE_GRACE_MS, MAX_METRICS_CONNECTIONS, MAX_OTHER_CONNECTIONS } from './limits.ts'
import { type ListenOptions, type TlsOptions, checkTls, listen, replaceTls, urlOf } from './listener.ts'
import { Metrics } from './metrics.ts'
import { Refusals } from './refusals.ts'
import { type RelayOptions, type ResolvedOptions, resolveOptions, wholeNumber } from './relay-options.ts'
import { Switchboard } from './switchboard.ts'
import { type CloseReason, type RefusalReason, Tally } from './tally.ts'
import { TokenGate } from './tokens.ts'

/** As much of pino as the relay uses. It is given counts, addresses and reasons, never what clients send. */
export interface RelayLogger {
  debug(fields: object, message: string): void
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
}

export interface RelayStats {
  clients: number
  /** Rendezvous with at least one member. */
  topics: number
  /** Pairs of clients that can talk to each other. */
  channels: number
  /** Bytes that wait in memory for clients to read them. */
  bufferedBytes: number
  /** Clients for which some wait. */
  backpressuredClients: number
  /** Clients that are not read from for a while because they were too fast. */
  pausedClients: number
  /** Payload bytes passed on since the start. */
  forwardedBytes: number
  /** Connections and requests that were turned away since the start, by reason. */
  refusals: Readonly<Record<RefusalReason, number>>
  /** Clients that have gone since the start, by reason. */
  closes: Readonly<Record<CloseReason, number>>
  uptimeSeconds: number
  /** Only with `nats`. */
  cluster?: ClusterStats
}

export interface Relay extends AsyncDisposable {
  /** What a client on this machine connects to. */
  readonly url: string
  readonly port: number
  /** Where /metrics is served if it has a port of its own. */
  readonly metricsUrl: string | undefined
  stats(): RelayStats
  /**
   * Uses another key and certificate, or other token secrets, from now on; connections that are open stay.
   * @throws {RangeError} and changes nothing if they are of no use, or if the relay was made without.
   */
  reload(change: { tls?: TlsOptions; tokenSecrets?: readonly string[] }): void
  /**
   * Takes no more clients, sends those it has elsewhere (close code 1012) over the first half of `drainTimeoutMs`, then
   * closes. Takes at most `drainTimeoutMs`, whatever clients do. Idempotent.
   */
  drain(): Promise<void>
  /** Says goodbye to every client and frees the port. Idempotent. */
  close(): Promise<void>
}

/** A relay that is listening. Rejects with an error that says what to do if it cannot. */
export async function createRelay(options: RelayOptions = {}): Promise<Relay> {
  const parts = new Parts(options, resolveOptions(options))
  await parts.listen()
  return parts
}

/** What a relay is made of. */
class Parts implements Relay {
  url = ''
  port = 0
  metricsUrl: string | undefined
  readonly #options: RelayOptions
  readonly #resolved: ResolvedOptions
  readonly #tally = new Tally()
  readonly #switchboard = new Switchboard()
  readonly #proxies: TrustedProxies
  readonly #tokens: TokenGate | undefined
  readonly #admission: Admission
  readonly #refusals: Refusals
  readonly #clients: Clients
  readonly #metrics: Metrics | undefined
  readonly #servers: Server[] = []
  readonly #startedAt = performance.now()
  #cluster: Cluster | undefined
  #draining: Promise<void> | undefined
  #closing: Promise<void> | undefined

  constructor(options: RelayOptions, resolved: ResolvedOptions) {
    this.#options = options
    this.#resolved = resolved
    const { logger, tokenSecrets, origins, requireOrigin = false } = options
    this.#proxies = new TrustedProxies(options.trustProxy ?? [])
    this.#tokens = tokenSecrets === undefined ? undefined : new TokenGate(tokenSecrets)
    const common = { proxies: this.#proxies, tokens: this.#tokens }
    this.#admission = new Admission({ ...resolved, ...common, origins, requireOrigin })
    this.#refusals = new Refusals(this.#tally, logger)
    this.#clients = new Clients({
      limits: {
        maxTopics: resolved.maxTopicsPerClient,
        maxPeersPerTopic: resolved.maxPeersPerTopic,
        maxBytesPerSecond: resolved.maxBytesPerSecond,
        burstBytes: resolved.burstBytes,
        idleMs: resolved.idleTimeoutMs,
      },
      maxFrameBytes: resolved.maxFrameBytes,
      handshakeMs: resolved.handshakeTimeoutMs,
      proxies: this.#proxies,
      admission: this.#admission,
      switchboard: this.#switchboard,
      tally: this.#tally,
      refusals: this.#refusals,
      logger,
    })
    const sources = {
      stats: () => this.stats(),
      cluster: options.nats === undefined ? undefined : () => (this.#cluster as Cluster).stats(),
      tally: this.#tally,
      isReady: () => this.#unready() === undefined,
    }
    this.#metrics = options.metrics === undefined || options.metrics === false ? undefined : new Metrics(sources)
  }

  /** Opens the ports, all or none. */
  async listen(): Promise<void> {
    const { logger, metrics, nats, tls } = this.#options
    const { host, port, maxClients, handshakeTimeoutMs: handshakeMs } = this.#resolved
    try {
      if (nats !== undefined) this.#cluster = await Cluster.join(nats, this.#switchboard, logger)
      const own = { host, port, tls, handshakeMs, maxConnections: maxClients + MAX_OTHER_CONNECTIONS }
      const server = await this.#serve(own, metrics === true)
      this.#clients.serve(server, new Connections(server, this.#proxies, this.#refusals))
      this.url = urlOf(server, own)
      this.port = (server.address() as AddressInfo).port
      if (typeof metrics === 'object') {
        const port = wholeNumber('metrics.port', metrics.port, 0, 65_535)
        const host = metrics.host ?? '127.0.0.1'
        const apart = { host, port, tls: undefined, handshakeMs, maxConnections: MAX_METRICS_CONNECTIONS }
        this.metricsUrl = `${urlOf(await this.#serve(apart, true), apart).replace(/^ws/, 'http')}/metrics`
      }
    } catch (error) {
      await this.close()
      throw error
    }
    logger?.info({ url: this.url, metricsUrl: this.metricsUrl, maxClients }, 'relay is listening')
  }

  stats(): RelayStats {
    let [bufferedBytes, backpressuredClients, pausedClients] = [0, 0, 0]
    for (const client of this.#clients) {
      bufferedBytes += client.bufferedBytes
      if (client.bufferedBytes > 0) backpressuredClients++
      if (client.paused) pausedClients++
    }
    return {
      clients: this.#clients.size,
      topics: this.#switchboard.topics,
      channels: this.#switchboard.channels,
      bufferedBytes,
      backpressuredClients,
      pausedClients,
      forwardedBytes: this.#switchboard.forwardedBytes,
      refusals: { ...this.#tally.refusals },
      closes: { ...this.#tally.closes },
      uptimeSeconds: Math.floor((performance.now() - this.#startedAt) / 1000),
      ...(this.#cluster === undefined ? {} : { cluster: this.#cluster.stats() }),
    }
  }

  reload({ tls, tokenSecrets }: { tls?: TlsOptions; tokenSecrets?: readonly string[] }): void {
    const [server] = this.#servers
    if (tls !== undefined) {
      if (this.#options.tls === undefined) {
        throw new RangeError('tls: the relay was started without. Start it again with a key and a certificate')
      }
      checkTls(tls)
    }
    if (tokenSecrets !== undefined) {
      if (this.#tokens === undefined)
        throw new RangeError('tokenSecrets: the relay was started without. Start it again')
      this.#tokens.replace(tokenSecrets)
    }
    if (tls !== undefined && server !== undefined) replaceTls(server, tls)
  }

  drain(): Promise<void> {
    this.#draining ??= (async () => {
      const { drainTimeoutMs } = this.#resolved
      const deadline = setTimeout(() => this.#cut(), drainTimeoutMs)
      this.#admission.draining = true
      this.#options.logger?.info({ clients: this.#clients.size, drainTimeoutMs }, 'relay is draining')
      await this.#clients.drain(drainTimeoutMs / 2)
      await this.close()
      clearTimeout(deadline)
    })()
    return this.#draining
  }

  close(): Promise<void> {
    this.#closing ??= (async () => {
      this.#admission.draining = true
      const listening = this.#servers.filter((server) => server.listening)
      const closed = listening.map((server) => new Promise((resolve) => server.close(resolve)))
      const deadline = setTimeout(() => this.#cut(), CLOSE_GRACE_MS)
      await this.#clients.close()
      await this.#cluster?.close()
      for (const server of this.#servers) server.closeIdleConnections()
      await Promise.all(closed)
      clearTimeout(deadline)
      this.#metrics?.close()
      this.#refusals.close()
      if (this.url !== '') this.#options.logger?.info({}, 'relay is closed')
    })()
    return this.#closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #serve(options: ListenOptions, withMetrics: boolean): Promise<Server> {
    const metrics = this.#metrics
    const answer = answerWith({
      stats: () => this.stats(),
      unready: () => this.#unready(),
      metrics: withMetrics && metrics !== undefined ? () => metrics.read() : undefined,
      onOther: (request) => {
        const { address } = this.#proxies.visitor(request)
        this.#refusals.refused('plain-http', { address: plainAddress(address) })
      },
    })
    const server = await listen(options, answer)
    this.#servers.push(server)
    return server
  }

  #unready(): string | undefined {
    if (this.#admission.draining) return 'draining'
    if (this.#cluster?.ready === false) return 'NATS is not connected'
    return this.#options.ready?.() === false ? 'not ready' : undefined
  }

  /** Whatever is still open. */
  #cut(): void {
    this.#clients.terminate()
    for (const server of this.#servers) server.closeAllConnections()
  }
}

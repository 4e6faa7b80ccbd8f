import { parseValue } from './config/kinds.ts'
import { type OptionName, declarationOf } from './config/options.ts'
import type { TlsOptions } from './listener.ts'
import type { RelayLogger } from './relay.ts'

/** What `createRelay` takes. Everything has the default of the option of the same name (`peerlog-relay --help`). */
export interface RelayOptions {
  /** TCP port; 0 picks any free one. Default 8443. */
  port?: number
  /** Address to listen on. Default `0.0.0.0`, all IPv4 addresses of the machine. */
  host?: string
  /** Serve `wss://` instead of `ws://`. */
  tls?: TlsOptions
  /** Proxies, as addresses or CIDRs, whose X-Forwarded-For is believed. Default: none. */
  trustProxy?: readonly string[]

  /** Clients need a token that one of these signed, each of at least 32 bytes. Default: everyone may connect. */
  tokenSecrets?: readonly string[]
  /** Values of the Origin header that are let in. Default: all. */
  origins?: readonly string[]
  /** Refuse clients without an Origin header: those that are no browser. */
  requireOrigin?: boolean

  /** Clients that are served at once; more are answered 503. Default 10 000. */
  maxClients?: number
  /** Clients from one IPv4 address or IPv6 /64. Default: no limit of its own. */
  maxClientsPerAddress?: number
  /** Attempts to connect from one address, good or not. Default: no limit. */
  maxConnectionsPerMinutePerAddress?: number
  /** Default 1024. */
  maxTopicsPerClient?: number
  /** Others that one client is paired with in one topic. Default 256. */
  maxPeersPerTopic?: number
  /** Bytes taken from one client per second; a faster one has to wait. Default: no limit. */
  maxBytesPerSecond?: number
  /** Bytes taken at once before `maxBytesPerSecond` counts. Default 4 MiB. */
  burstBytes?: number
  /** Default, and most: 65 541, what the protocol allows. */
  maxFrameBytes?: number
  /** From the TCP connection to the first valid frame. Default 10 000. */
  handshakeTimeoutMs?: number
  /** Without a frame, heartbeats not counted. Default: no limit. */
  idleTimeoutMs?: number

  /** Joins this relay with others to one. */
  nats?: NatsOptions

  /** Serve /metrics on the port of the clients (`true`), or with /healthz and /readyz on a port of its own. */
  metrics?: boolean | { port: number; host?: string }
  /** More that must hold for /readyz to say yes. */
  ready?: () => boolean
  /** How long `drain()` may take. Default 10 000. */
  drainTimeoutMs?: number
  /** Default: no log. */
  logger?: RelayLogger
}

export interface NatsOptions {
  /** Of one NATS cluster: `nats://[user:password@]host:port`, or `tls://…`, or a token instead of user and password. */
  servers: string[]
  /** First part of the subjects; relays with the same prefix are one. Default `peerlog`. */
  prefix?: string
}

/** Options as they are in effect. */
export interface ResolvedOptions {
  port: number
  host: string
  maxClients: number
  maxClientsPerAddress: number | undefined
  maxConnectionsPerMinutePerAddress: number | undefined
  maxTopicsPerClient: number
  maxPeersPerTopic: number
  maxBytesPerSecond: number | undefined
  burstBytes: number
  maxFrameBytes: number
  handshakeTimeoutMs: number
  idleTimeoutMs: number | undefined
  drainTimeoutMs: number
}

/** Fills in the defaults. @throws {RangeError} for a number that is out of bounds. */
export function resolveOptions(options: RelayOptions): ResolvedOptions {
  const number = (property: keyof RelayOptions, name: OptionName): number | undefined => {
    const value = options[property]
    const declaration = declarationOf(name)
    if (value === undefined) return parseValue(declaration, declaration.default) as number | undefined
    return wholeNumber(property, value, declaration.least ?? 0, declaration.most)
  }
  const always = (property: keyof RelayOptions, name: OptionName): number => number(property, name) as number
  return {
    port: always('port', 'port'),
    host: options.host ?? (declarationOf('host').default as string),
    maxClients: always('maxClients', 'max-clients'),
    maxClientsPerAddress: number('maxClientsPerAddress', 'max-clients-per-address'),
    maxConnectionsPerMinutePerAddress: number(
      'maxConnectionsPerMinutePerAddress',
      'max-connections-per-minute-per-address',
    ),
    maxTopicsPerClient: always('maxTopicsPerClient', 'max-topics-per-client'),
    maxPeersPerTopic: always('maxPeersPerTopic', 'max-peers-per-topic'),
    maxBytesPerSecond: number('maxBytesPerSecond', 'max-bytes-per-second'),
    burstBytes: always('burstBytes', 'burst-bytes'),
    maxFrameBytes: always('maxFrameBytes', 'max-frame-bytes'),
    handshakeTimeoutMs: always('handshakeTimeoutMs', 'handshake-timeout'),
    idleTimeoutMs: number('idleTimeoutMs', 'idle-timeout'),
    drainTimeoutMs: always('drainTimeoutMs', 'drain-timeout'),
  }
}

/** @throws {RangeError} */
export function wholeNumber(
  name: string,
  value: unknown,
  least: number,
  most: number = Number.MAX_SAFE_INTEGER,
): number {
  if (Number.isInteger(value) && (value as number) >= least && (value as number) <= most) return value as number
  throw new RangeError(`${name} must be a whole number from ${least} to ${most}, not ${String(value)}`)
}

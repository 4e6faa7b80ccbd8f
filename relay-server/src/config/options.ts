/**
 * Every option of the relay, declared once. Flags, environment, configuration file, `--help`, the table in docs/RELAY.md
 * and the type `Settings` all come from here.
 *
 * | where       | `max-clients` is written as                         |
 * |-------------|-----------------------------------------------------|
 * | flag        | `--max-clients 500`                                 |
 * | environment | `PEERLOG_RELAY_MAX_CLIENTS=500`                     |
 * | JSON file   | `{ "max-clients": 500 }`, named with `--config`     |
 *
 * A flag wins over the environment, that over the file, that over the default. Defaults are written as a user would.
 */
import type { KindValues } from './kinds.ts'

export const OPTIONS = {
  port: {
    group: 'Listening',
    kind: 'whole',
    least: 0,
    most: 65535,
    default: '8443',
    what: 'TCP port; 0 picks any free one',
  },
  host: { group: 'Listening', kind: 'text', default: '0.0.0.0', what: 'address to listen on; :: for IPv6 as well' },
  'tls-key': { group: 'Listening', kind: 'file', what: 'PEM file with the private key; serves wss://' },
  'tls-cert': { group: 'Listening', kind: 'file', what: 'PEM file with the certificate and its chain' },
  'trust-proxy': {
    group: 'Listening',
    kind: 'list',
    of: 'network',
    what: 'proxies (addresses or CIDRs) whose X-Forwarded-For is believed',
  },

  'token-secret': {
    group: 'Access',
    kind: 'list',
    of: 'secret',
    secret: true,
    what: 'secret, or several, that tokens are signed with; clients then need a token',
  },
  'token-secret-file': { group: 'Access', kind: 'file', what: 'the same from a file, one secret a line' },
  origins: {
    group: 'Access',
    kind: 'list',
    of: 'origin',
    what: 'web origins whose pages may connect; without it all may',
  },
  'require-origin': {
    group: 'Access',
    kind: 'switch',
    default: 'false',
    what: 'refuse clients that name no origin: those that are no browser',
  },

  'max-clients': {
    group: 'Limits',
    kind: 'whole',
    least: 1,
    most: 1000000,
    default: '10000',
    what: 'clients served at once',
  },
  'max-clients-per-address': {
    group: 'Limits',
    kind: 'whole',
    least: 1,
    most: 1000000,
    off: true,
    default: 'off',
    what: 'clients served at once from one IPv4 address or IPv6 /64',
  },
  'max-connections-per-minute-per-address': {
    group: 'Limits',
    kind: 'whole',
    least: 1,
    most: 1000000,
    off: true,
    default: 'off',
    what: 'attempts to connect, good or not, from one address; as many at once',
  },
  'max-topics-per-client': {
    group: 'Limits',
    kind: 'whole',
    least: 1,
    most: 65536,
    default: '1024',
    what: 'topics that one client may join',
  },
  'max-peers-per-topic': {
    group: 'Limits',
    kind: 'whole',
    least: 1,
    most: 1024,
    default: '256',
    what: 'others that one client is paired with in one topic',
  },
  'max-bytes-per-second': {
    group: 'Limits',
    kind: 'bytes',
    least: 16384,
    most: 1099511627776,
    off: true,
    default: 'off',
    what: 'bytes taken from one client per second; a faster one has to wait',
  },
  'burst-bytes': {
    group: 'Limits',
    kind: 'bytes',
    least: 1024,
    most: 1099511627776,
    default: '4MiB',
    what: 'bytes taken at once before max-bytes-per-second counts',
  },
  'max-frame-bytes': {
    group: 'Limits',
    kind: 'bytes',
    least: 1024,
    most: 65541,
    default: '65541',
    what: 'largest frame taken; peers of this version send up to 65541',
  },
  'handshake-timeout': {
    group: 'Limits',
    kind: 'duration',
    least: 100,
    most: 3600000,
    default: '10s',
    what: 'time from the TCP connection to the first valid frame',
  },
  'idle-timeout': {
    group: 'Limits',
    kind: 'duration',
    least: 100,
    most: 2147483647,
    off: true,
    default: 'off',
    what: 'time without a frame (heartbeats are none) after which a client is closed',
  },

  nats: {
    group: 'Several relays',
    kind: 'list',
    of: 'nats-url',
    what: 'NATS servers that join relays to one',
  },
  'nats-prefix': {
    group: 'Several relays',
    kind: 'text',
    what: 'first part of the NATS subjects; relays with the same are one',
  },

  metrics: { group: 'Operation', kind: 'switch', default: 'false', what: 'serve /metrics on the port of the clients' },
  'metrics-port': {
    group: 'Operation',
    kind: 'whole',
    least: 0,
    most: 65535,
    what: 'serve /metrics, /healthz and /readyz on a port of their own',
  },
  'metrics-host': { group: 'Operation', kind: 'text', default: '127.0.0.1', what: 'address of the metrics port' },
  'log-level': {
    group: 'Operation',
    kind: 'choice',
    choices: ['debug', 'info', 'warn', 'silent'],
    default: 'info',
    what: 'what to log',
  },
  'drain-timeout': {
    group: 'Operation',
    kind: 'duration',
    least: 100,
    most: 3600000,
    default: '10s',
    what: 'time to send clients elsewhere after SIGTERM',
  },
} as const

export type OptionName = keyof typeof OPTIONS

/** What an entry of `OPTIONS` may have. */
export interface Declaration {
  group: string
  kind: keyof KindValues
  /** One line, for `--help`. */
  what: string
  /** As a user would write it. Without one the option is unset. */
  default?: string
  /** Whether it may be `off`. */
  off?: true
  /** Never to be shown. */
  secret?: true
  /** Bounds of numbers, in their smallest unit. */
  least?: number
  most?: number
  choices?: readonly string[]
  /** What a list is made of. */
  of?: 'network' | 'secret' | 'origin' | 'nats-url'
}

type ValueOf<D> = D extends { kind: 'choice'; choices: readonly (infer C)[] }
  ? C
  : D extends { kind: keyof KindValues }
    ? KindValues[D['kind']]
    : never

/** The value of every option; one that is off or unset is undefined. Durations are milliseconds. */
export type Settings = {
  [N in OptionName]:
    | ValueOf<(typeof OPTIONS)[N]>
    | ((typeof OPTIONS)[N] extends { off: true } ? undefined : never)
    | ((typeof OPTIONS)[N] extends { default: string } ? never : undefined)
}

export type LogLevel = Settings['log-level']

export const OPTION_NAMES: OptionName[] = Object.keys(OPTIONS) as OptionName[]

export function declarationOf(name: OptionName): Declaration {
  return OPTIONS[name]
}

/** `max-clients` → `PEERLOG_RELAY_MAX_CLIENTS`. */
export function variableOf(name: string): string {
  return VARIABLE_PREFIX + name.toUpperCase().replaceAll('-', '_')
}

export const VARIABLE_PREFIX = 'PEERLOG_RELAY_'

import { readFileSync } from 'node:fs'
import { type TlsOptions, checkTls } from '../listener.ts'
import { MAX_TOKEN_SECRETS } from '../limits.ts'
import type { RelayOptions } from '../relay-options.ts'
import { Mistake, parseValue } from './kinds.ts'
import { ConfigError, type Loaded } from './load.ts'
import { type Settings, declarationOf } from './options.ts'

/**
 * What `createRelay` is to be given; reads the files that the settings name.
 * @throws {ConfigError} that names every option to mend.
 */
export function relayOptions(loaded: Loaded): RelayOptions {
  const { settings } = loaded
  const problems: string[] = []
  const attempt = <T>(read: () => T): T | undefined => {
    try {
      return read()
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error
      problems.push(error.message)
      return undefined
    }
  }
  const options = defined({
    port: settings.port,
    host: settings.host,
    tls: attempt(() => readTls(loaded)),
    trustProxy: settings['trust-proxy'],
    tokenSecrets: attempt(() => readSecrets(loaded)),
    origins: settings.origins,
    requireOrigin: settings['require-origin'],
    maxClients: settings['max-clients'],
    maxClientsPerAddress: settings['max-clients-per-address'],
    maxConnectionsPerMinutePerAddress: settings['max-connections-per-minute-per-address'],
    maxTopicsPerClient: settings['max-topics-per-client'],
    maxPeersPerTopic: settings['max-peers-per-topic'],
    maxBytesPerSecond: settings['max-bytes-per-second'],
    burstBytes: settings['burst-bytes'],
    maxFrameBytes: settings['max-frame-bytes'],
    handshakeTimeoutMs: settings['handshake-timeout'],
    idleTimeoutMs: settings['idle-timeout'],
    nats: natsOptions(settings),
    metrics: metricsOptions(settings),
    drainTimeoutMs: settings['drain-timeout'],
  })
  if (problems.length > 0) throw new ConfigError(problems)
  return options
}

type Defined<T> = { [K in keyof T]?: Exclude<T[K], undefined> }

function defined<T extends object>(values: T): Defined<T> {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as Defined<T>
}

/** The key and the certificate, checked, if they are set. @throws {ConfigError} */
export function readTls({ settings, sources }: Loaded): TlsOptions | undefined {
  const { 'tls-key': key, 'tls-cert': cert } = settings
  if (key === undefined && cert === undefined) return undefined
  if (key === undefined || cert === undefined) {
    throw new ConfigError(['--tls-key and --tls-cert belong together. Give both, or none for ws://'])
  }
  const tls = {
    key: readNamed(sources, 'tls-key', key, 'a PEM file'),
    cert: readNamed(sources, 'tls-cert', cert, 'a PEM file'),
  }
  try {
    checkTls(tls)
  } catch (error) {
    throw new ConfigError([`${sources['tls-key']}, ${sources['tls-cert']}: ${(error as Error).message}`])
  }
  return tls
}

/** What tokens are checked with, if they are wanted. @throws {ConfigError} */
export function readSecrets({ settings, sources }: Loaded): string[] | undefined {
  const { 'token-secret': given, 'token-secret-file': file } = settings
  if (file === undefined) return given && checkCount(given, sources['token-secret'])
  if (given !== undefined) {
    throw new ConfigError([`${sources['token-secret']} and ${sources['token-secret-file']}: give one of the two`])
  }
  return readSecretFile(file, sources['token-secret-file'])
}

/** One secret a line; empty lines and those that begin with # are none. @throws {ConfigError} */
export function readSecretFile(file: string, source: string): string[] {
  const text = readNamed({ file: source }, 'file', file, 'a file with one secret a line').toString('utf8')
  const secrets = text
    .split(/\r?\n/)
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'))
  try {
    for (const secret of secrets) parseValue(declarationOf('token-secret'), [secret])
  } catch (error) {
    if (!(error instanceof Mistake)) throw error
    throw new ConfigError([`${source} is ${JSON.stringify(file)}: ${error.message}`])
  }
  return checkCount(secrets, source)
}

function checkCount(secrets: string[], source: string): string[] {
  if (secrets.length > 0 && secrets.length <= MAX_TOKEN_SECRETS) return secrets
  throw new ConfigError([`${source}: give 1 to ${MAX_TOKEN_SECRETS} secrets, not ${secrets.length}`])
}

function natsOptions({ nats, 'nats-prefix': prefix }: Settings): RelayOptions['nats'] {
  if (nats === undefined) return undefined
  return prefix === undefined ? { servers: nats } : { servers: nats, prefix }
}

function metricsOptions(settings: Settings): RelayOptions['metrics'] {
  const { metrics, 'metrics-port': port, 'metrics-host': host } = settings
  return port === undefined ? metrics : { port, host }
}

function readNamed<N extends string>(sources: Record<N, string>, name: N, file: string, wanted: string): Buffer {
  try {
    return readFileSync(file)
  } catch (error) {
    throw new ConfigError([
      `${sources[name]}: cannot read ${file} (${(error as Error).message}). Give the path of ${wanted}`,
    ])
  }
}

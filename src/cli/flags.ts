import fs from 'node:fs'
import { type Command, InvalidArgumentError, Option } from 'commander'
import type { OpenOptions, TransportConfig } from '../index.ts'
import { UsageError } from './failure.ts'

const TRANSPORTS = ['auto', 'hyperswarm', 'relay', 'udp', 'disabled'] as const
type TransportName = (typeof TRANSPORTS)[number]
/** Milliseconds until a relay or DHT that can't be reached is reported; it is still tried after that. */
const TIMEOUT_MS = 8000

type Address = { host: string; port: number }
type TransportFlag = Partial<TransportConfig> & Pick<TransportConfig, 'mode'>

type NetworkFlags = Pick<CommonFlags, 'transport' | 'relay' | 'relayToken' | 'bootstrap' | 'udpPeer' | 'udpPort'>

/** What every command takes beside its own options. */
export interface CommonFlags {
  discoveryKey: string
  db?: string
  secret?: string
  secretFile?: string
  transport?: TransportName[]
  relay?: string[]
  relayToken?: string
  bootstrap?: Address[]
  udpPeer?: Address[]
  udpPort?: number
  since?: Date | { last: number }
  json?: true
  quiet?: true
  color: boolean
}

export function addCommonFlags(command: Command, { keyIsOptional = false }: { keyIsOptional?: boolean } = {}): Command {
  const key = new Option(
    '-k, --discovery-key <key>',
    'names what is shared: whoever has the same key (and secret) shares it',
  ).makeOptionMandatory(!keyIsOptional)
  return command
    .optionsGroup('Options of every command:')
    .addOption(key)
    .option('-d, --db <file>', "the SQLite file, or ':memory:' (default: KEY.db in this folder)")
    .option('--secret <text>', 'seals the events and keeps others out; visible to other users of this machine')
    .option('--secret-file <file>', 'a file with the secret; or set PEERLOG_SECRET')
    .addOption(
      new Option(
        '--transport <name>',
        `the way to the others, ${TRANSPORTS.join(', ')}; repeat it to use several (default: hyperswarm)`,
      ).argParser((value: string, previous: TransportName[] | undefined) => [
        ...(previous ?? []),
        transportName(value),
      ]),
    )
    .option('--relay <url>', 'a relay to go through; of several of one service, the first that answers', collect)
    .option('--relay-token <token>', 'what the relay lets you in with; or set PEERLOG_RELAY_TOKEN')
    .option('--bootstrap <host:port,…>', 'DHT nodes to start from, instead of the public ones', addresses)
    .option('--udp-peer <host:port,…>', 'peers to send datagrams to, besides those on the local network', addresses)
    .option('--udp-port <port>', 'the UDP port that peers find us at (default: any that is free)', port)
    .option('--json', 'one JSON object per line')
    .option('-q, --quiet', 'only results and problems')
    .option('--no-color', 'no colours; also with NO_COLOR, and when the output is no terminal')
}

/** For commands that receive. */
export function addSinceFlag(command: Command): Command {
  return command.option(
    '--since <when>',
    "of authors that are new here take only the end: '2026-11-01', '2026-11-20T08:00', or the last so many events: '1000'",
    since,
  )
}

// ---- values -------------------------------------------------------------------------------------------------------

export function wholeNumber(value: string): number {
  const number = Number(value)
  if (!/^\d+$/.test(value) || !Number.isSafeInteger(number)) throw new InvalidArgumentError('Write a whole number.')
  return number
}

function port(value: string): number {
  const number = wholeNumber(value)
  if (number < 1 || number > 65_535) throw new InvalidArgumentError('Write a port from 1 to 65535.')
  return number
}

export function seconds(value: string): number {
  const number = Number(value)
  if (value.trim() === '' || !(number >= 0) || number > 2_000_000) {
    throw new InvalidArgumentError('Write a number of seconds.')
  }
  return number
}

function since(value: string): Date | { last: number } {
  if (/^\d{1,15}$/.test(value) && Number(value) > 0) return { last: Number(value) }
  const date = new Date(value)
  if (/^\d{4}-\d\d-\d\d/.test(value) && !Number.isNaN(date.getTime())) return date
  throw new InvalidArgumentError("Write a day, a time such as '2026-11-20T08:00', or a number of events.")
}

function collect(value: string, previous: string[] | undefined): string[] {
  return [...(previous ?? []), value]
}

function transportName(value: string): TransportName {
  const name = TRANSPORTS.find((known) => known === value)
  if (name === undefined) throw new InvalidArgumentError(`It is one of ${TRANSPORTS.join(', ')}.`)
  return name
}

function addresses(value: string, previous: Address[] | undefined): Address[] {
  const parsed = value.split(',').map((text) => {
    const match = /^(?:\[([^\]]+)\]|([^:\s]+)):(\d{1,5})$/.exec(text.trim())
    const host = match?.[1] ?? match?.[2]
    const port = Number(match?.[3])
    if (host === undefined || port < 1 || port > 65_535) {
      throw new InvalidArgumentError('Write host:port, for instance 127.0.0.1:49737.')
    }
    return { host, port }
  })
  return [...(previous ?? []), ...parsed]
}

// ---- what open() is told ------------------------------------------------------------------------------------------

/** @throws {UsageError} for flags that contradict each other. */
export function openOptions(flags: CommonFlags): OpenOptions & { transport: TransportFlag[] } {
  const secret = secretOf(flags)
  return {
    databaseId: flags.discoveryKey,
    path: flags.db ?? defaultPath(flags.discoveryKey),
    transport: transportsOf(flags),
    ...(secret === undefined ? {} : { secret }),
    ...(flags.since === undefined ? {} : { since: flags.since }),
  }
}

/** True if the flags leave nobody to wait for. */
export function isLocalOnly({ transport }: CommonFlags): boolean {
  return transport?.includes('disabled') === true
}

/** `KEY.db` in the current folder, with everything that means something to a shell or a file system replaced. */
export function defaultPath(key: string): string {
  const name = key.replace(/[^\p{L}\p{N}._-]+/gu, '_').replace(/^[._-]+/, '')
  return `${name.slice(0, 64).toWellFormed() || 'peerlog'}.db`
}

/** @throws {UsageError} for an empty secret, two of them, or a file that can't be read. */
export function secretOf({ secret, secretFile }: Pick<CommonFlags, 'secret' | 'secretFile'>): string | undefined {
  if (secret !== undefined && secretFile !== undefined) {
    throw new UsageError('--secret and --secret-file are both given', 'Leave one of them out')
  }
  const given = secret ?? (secretFile === undefined ? process.env['PEERLOG_SECRET'] : readSecret(secretFile))
  if (given === undefined || (given === '' && secret === undefined && secretFile === undefined)) return undefined
  if (given === '') throw new UsageError('the secret is empty', 'Leave it out for a database without one')
  return given
}

function readSecret(file: string): string {
  try {
    return fs.readFileSync(file, 'utf8').replace(/\r?\n$/, '')
  } catch (error) {
    throw new UsageError(`can't read the secret: ${(error as Error).message}`)
  }
}

function written({ host, port }: Address): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}

/** @throws {UsageError} for flags that contradict each other. */
export function transportsOf(flags: NetworkFlags): TransportFlag[] {
  const { transport, relay, relayToken, bootstrap, udpPeer, udpPort } = flags
  const names = new Set<TransportName>(transport ?? (relay === undefined ? ['hyperswarm'] : ['relay']))
  const isUdp = udpPeer !== undefined || udpPort !== undefined
  if (names.has('disabled') && (names.size > 1 || relay !== undefined || bootstrap !== undefined || isUdp)) {
    throw new UsageError(
      "'--transport disabled' means no network",
      'Leave out the other transports, --relay, --bootstrap, --udp-peer and --udp-port',
    )
  }
  if (names.has('auto') && (names.has('hyperswarm') || names.has('relay'))) {
    throw new UsageError("'--transport auto' means hyperswarm and relay", 'Leave out those two')
  }
  if (isUdp && !names.has('udp')) {
    const flag = udpPeer === undefined ? '--udp-port' : '--udp-peer'
    throw new UsageError(`${flag} is given, but not used`, `Add '--transport udp', or leave out ${flag}`)
  }
  const relaying = [...names].find((name) => name === 'relay' || name === 'auto')
  const dialling = [...names].find((name) => name === 'hyperswarm' || name === 'auto')
  if (relaying !== undefined && relay === undefined) {
    throw new UsageError(`'--transport ${relaying}' needs a relay`, 'Say which: --relay wss://relay.example.org')
  }
  if (relay !== undefined && relaying === undefined) {
    throw new UsageError('--relay is given, but not used', "Add '--transport relay', or leave out --relay")
  }
  if (relayToken !== undefined && relaying === undefined) {
    throw new UsageError('--relay-token is given, but no relay', 'Say which: --relay wss://relay.example.org')
  }
  if (bootstrap !== undefined && dialling === undefined) {
    throw new UsageError('--bootstrap is given, but not used', "Add '--transport hyperswarm', or leave out --bootstrap")
  }
  const token = relayToken ?? (process.env['PEERLOG_RELAY_TOKEN'] || undefined)
  return [...names].map((mode) => ({
    mode,
    timeoutMs: TIMEOUT_MS,
    ...(mode === relaying && relay !== undefined ? { relayUrl: relay } : {}),
    ...(mode === relaying && token !== undefined ? { relayToken: token } : {}),
    ...(mode === dialling && bootstrap !== undefined ? { bootstrap } : {}),
    ...(mode === 'udp' && udpPeer !== undefined ? { udpPeers: udpPeer.map(written) } : {}),
    ...(mode === 'udp' && udpPort !== undefined ? { udpPort } : {}),
  }))
}

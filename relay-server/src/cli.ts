#!/usr/bin/env node
import { readFileSync } from 'node:fs'
import { Command, CommanderError, InvalidArgumentError, Option } from 'commander'
import { pino } from 'pino'
import { DEFAULT_MAX_CLIENTS, DEFAULT_PORT } from './limits.ts'
import { type RelayLogger, type RelayOptions, createRelay } from './relay.ts'

const EXIT_FAILED = 1
const EXIT_USAGE = 2
const LEVELS = ['debug', 'info', 'warn', 'silent'] as const

interface Flags {
  port: number
  host: string
  tlsKey?: string
  tlsCert?: string
  maxClients: number
  maxClientsPerAddress?: number
  nats?: string[]
  natsPrefix?: string
  logLevel: (typeof LEVELS)[number]
}

/** A mistake in how the command was called. */
class UsageError extends Error {}

function parseFlags(): Flags {
  const version = (JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { version: string })
    .version
  const command = new Command('peerlog-relay')
    .description('A stateless WebSocket relay for peerlog that can read nothing of what it forwards.')
    .version(version)
    .option('-p, --port <number>', 'TCP port; 0 picks any free one', wholeNumber, DEFAULT_PORT)
    .option('--host <address>', 'address to listen on', '0.0.0.0')
    .option('--tls-key <file>', 'PEM file with the private key; serves wss://')
    .option('--tls-cert <file>', 'PEM file with the certificate and its chain')
    .option('--max-clients <number>', 'clients served at once', wholeNumber, DEFAULT_MAX_CLIENTS)
    .option('--max-clients-per-address <number>', 'clients served at once from one address', wholeNumber)
    .option('--nats <url>', 'NATS server where instances of one service meet (repeatable)', collect)
    .option('--nats-prefix <name>', 'first part of every NATS subject')
    .addOption(new Option('--log-level <level>', 'what to log').choices(LEVELS).default('info'))
    .allowExcessArguments(false)
    .showSuggestionAfterError()
    .showHelpAfterError('(peerlog-relay --help lists the flags)')
    .exitOverride()
    .parse()
  return command.opts<Flags>()
}

function collect(url: string, urls: string[] = []): string[] {
  return [...urls, url]
}

function wholeNumber(text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new InvalidArgumentError('Give a whole number.')
  return Number(text)
}

function relayOptions(flags: Flags, logger: RelayLogger): RelayOptions {
  const { port, host, maxClients, maxClientsPerAddress, tlsKey, tlsCert } = flags
  const options: RelayOptions = { port, host, maxClients, logger }
  if (maxClientsPerAddress !== undefined) options.maxClientsPerAddress = maxClientsPerAddress
  const { nats: servers, natsPrefix: prefix } = flags
  if (servers !== undefined) options.nats = { servers, ...(prefix === undefined ? {} : { prefix }) }
  else if (prefix !== undefined) throw new UsageError('--nats-prefix goes with --nats. Give both, or none')
  if (tlsKey !== undefined && tlsCert !== undefined) {
    options.tls = { key: readPem('--tls-key', tlsKey), cert: readPem('--tls-cert', tlsCert) }
  } else if (tlsKey !== undefined || tlsCert !== undefined) {
    throw new UsageError('--tls-key and --tls-cert belong together. Give both, or none for ws://')
  }
  return options
}

function readPem(flag: string, file: string): Buffer {
  try {
    return readFileSync(file)
  } catch (error) {
    throw new UsageError(`${flag}: cannot read ${file} (${(error as Error).message}). Give the path of a PEM file`)
  }
}

/** JSON lines for machines, one-liners for a person at a terminal. */
function makeLogger(level: Flags['logLevel']): RelayLogger {
  if (!process.stdout.isTTY) return pino({ level, base: null })
  const print =
    (from: Flags['logLevel']) =>
    (fields: object, message: string): void => {
      if (LEVELS.indexOf(from) < LEVELS.indexOf(level)) return
      const details = Object.entries(fields).map(([name, value]) => `${name}=${value}`)
      console.log([new Date().toISOString(), from.padEnd(5), message, ...details].join(' '))
    }
  return { debug: print('debug'), info: print('info'), warn: print('warn') }
}

async function main(): Promise<void> {
  const flags = parseFlags()
  const relay = await createRelay(relayOptions(flags, makeLogger(flags.logLevel)))
  const stop = (): void => void relay.close()
  process.once('SIGINT', stop)
  process.once('SIGTERM', stop)
  // Also at log level warn or silent somebody wants to know where to connect.
  if (LEVELS.indexOf(flags.logLevel) > LEVELS.indexOf('info')) console.log(relay.url)
}

try {
  await main()
} catch (error) {
  if (error instanceof CommanderError) {
    process.exitCode = error.exitCode === 0 ? 0 : EXIT_USAGE
  } else {
    console.error(`peerlog-relay: ${(error as Error).message}`)
    process.exitCode = error instanceof UsageError || error instanceof RangeError ? EXIT_USAGE : EXIT_FAILED
  }
}

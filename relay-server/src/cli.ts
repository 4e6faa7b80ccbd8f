#!/usr/bin/env node
import { readFileSync } from 'node:fs'
import { CommanderError } from 'commander'
import { type Actions, type TokenRequest, makeCommand } from './cli/flags.ts'
import { type CliLogger, makeLogger } from './cli/log.ts'
import { readSecretFile, readSecrets, readTls, relayOptions } from './config/apply.ts'
import { ConfigError, type Given, type Loaded, describeSettings, loadSettings } from './config/load.ts'
import { OPTION_NAMES, type OptionName, variableOf } from './config/options.ts'
import { type Relay, createRelay } from './relay.ts'
import { signToken } from './tokens.ts'

const EXIT_FAILED = 1
const EXIT_USAGE = 2

const environment = process.env

const serve: Actions['serve'] = async (flags, fileFlag, check) => {
  const file = fileFlag ?? (environment[variableOf('config')] || undefined)
  const given: Given = { flags, environment, file }
  const loaded = loadSettings(given)
  const options = relayOptions(loaded)
  if (check) return console.log(describeSettings(loaded))
  const level = loaded.settings['log-level']
  const logger = makeLogger(level)
  const relay = await createRelay({ ...options, logger })
  // Also at log level warn or silent somebody wants to know where to connect.
  if (level === 'warn' || level === 'silent') console.log(relay.url)
  obeySignals(relay, logger, given, loaded)
}

/** SIGTERM and SIGINT drain, the second of them ends at once; SIGHUP reads again what may change while it runs. */
function obeySignals(relay: Relay, logger: CliLogger, given: Given, started: Loaded): void {
  let stopping = false
  const stop = (): void => {
    if (stopping) process.exit(0)
    stopping = true
    // Nothing is left that keeps the process alive.
    void relay.drain()
  }
  process.on('SIGINT', stop)
  process.on('SIGTERM', stop)
  process.on('SIGHUP', () => {
    try {
      const loaded = loadSettings(given)
      reload(relay, logger, loaded)
      const waiting = OPTION_NAMES.filter((name) => !RELOADED.has(name) && !same(started, loaded, name))
      if (waiting.length > 0) logger.warn({ options: waiting.join(', ') }, 'options have changed that need a restart')
      logger.info({}, 'configuration was read again')
    } catch (error) {
      logger.warn({ error: (error as Error).message }, 'configuration was not read again: the old one stays')
    }
  })
}

/** What SIGHUP changes, if only the content of the files. */
const RELOADED = new Set<OptionName>(['tls-key', 'tls-cert', 'token-secret', 'token-secret-file', 'log-level'])

function same(a: Loaded, b: Loaded, name: OptionName): boolean {
  return JSON.stringify(a.settings[name]) === JSON.stringify(b.settings[name])
}

/** All or nothing: what cannot be used is found before anything is changed. */
function reload(relay: Relay, logger: CliLogger, loaded: Loaded): void {
  const tls = readTls(loaded)
  const tokenSecrets = readSecrets(loaded)
  relay.reload({ ...(tls && { tls }), ...(tokenSecrets && { tokenSecrets }) })
  logger.level = loaded.settings['log-level']
}

async function printToken({ secretFile, topics, lifetimeMs, subject }: TokenRequest): Promise<void> {
  const variable = variableOf('token-secret-file')
  const file = secretFile ?? environment[variable]
  if (file === undefined) throw new ConfigError([`--token-secret-file or ${variable}: name the file with the secret`])
  const [secret] = readSecretFile(file, secretFile === undefined ? variable : '--token-secret-file') as [string]
  console.log(await signToken(secret, { topics, expiresAt: Date.now() + lifetimeMs, subject }))
}

try {
  const manifest = readFileSync(new URL('../package.json', import.meta.url), 'utf8')
  const { version } = JSON.parse(manifest) as { version: string }
  await makeCommand(version, { serve, token: printToken }).parseAsync()
} catch (error) {
  if (error instanceof CommanderError) {
    process.exitCode = error.exitCode === 0 ? 0 : EXIT_USAGE
  } else {
    console.error((error as Error).message.replaceAll(/^/gm, 'peerlog-relay: '))
    process.exitCode = error instanceof ConfigError || error instanceof RangeError ? EXIT_USAGE : EXIT_FAILED
  }
}

import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ConfigError, type Given, loadSettings } from '../../relay-server/src/config/load.ts'
import { OPTION_NAMES, type OptionName, declarationOf, variableOf } from '../../relay-server/src/config/options.ts'

const CLI = fileURLToPath(new URL('../../relay-server/dist/cli.js', import.meta.url))
const run = promisify(execFile)

let folder: string
beforeAll(() => (folder = mkdtempSync(join(tmpdir(), 'peerlog-options-'))))
afterAll(() => rmSync(folder, { recursive: true }))

function fileWith(content: unknown, name = 'relay.json'): string {
  const path = join(folder, name)
  writeFileSync(path, typeof content === 'string' ? content : JSON.stringify(content))
  return path
}

const load = (given: Partial<Given>) => loadSettings({ flags: {}, environment: {}, ...given })

function problems(given: Partial<Given>): string {
  try {
    load(given)
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigError)
    return (error as Error).message
  }
  throw new Error('was accepted')
}

/** A good value for each option, as text, as JSON and as it is meant; and one that is no good. */
const SAMPLES: Record<OptionName, { text: string; json: unknown; means: unknown; bad: unknown }> = {
  port: { text: '9000', json: 9000, means: 9000, bad: 70_000 },
  host: { text: '::', json: '::', means: '::', bad: '' },
  'tls-key': { text: '/etc/key.pem', json: '/etc/key.pem', means: '/etc/key.pem', bad: 7 },
  'tls-cert': { text: '/etc/cert.pem', json: '/etc/cert.pem', means: '/etc/cert.pem', bad: true },
  'trust-proxy': {
    text: '10.0.0.0/8,::1',
    json: ['10.0.0.0/8', '::1'],
    means: ['10.0.0.0/8', '::1'],
    bad: '10.0.0.0/33',
  },
  'token-secret': { text: 's'.repeat(32), json: ['s'.repeat(32)], means: ['s'.repeat(32)], bad: 'short' },
  'token-secret-file': { text: '/etc/secrets', json: '/etc/secrets', means: '/etc/secrets', bad: [] },
  origins: {
    text: 'https://a.example',
    json: ['https://a.example'],
    means: ['https://a.example'],
    bad: 'https://a.example/',
  },
  'require-origin': { text: 'true', json: true, means: true, bad: 'yes' },
  'max-clients': { text: '5', json: 5, means: 5, bad: 0 },
  'max-clients-per-address': { text: 'off', json: 'off', means: undefined, bad: -1 },
  'max-connections-per-minute-per-address': { text: '60', json: 60, means: 60, bad: 1.5 },
  'max-topics-per-client': { text: '7', json: 7, means: 7, bad: 'many' },
  'max-peers-per-topic': { text: '8', json: 8, means: 8, bad: 4096 },
  'max-bytes-per-second': { text: '2MiB', json: 2_097_152, means: 2_097_152, bad: '1KB' },
  'burst-bytes': { text: '1 GiB', json: '1GiB', means: 1_073_741_824, bad: 'off' },
  'max-frame-bytes': { text: '64KiB', json: 65_536, means: 65_536, bad: '1MiB' },
  'handshake-timeout': { text: '500ms', json: '500ms', means: 500, bad: 10 },
  'idle-timeout': { text: '2h', json: '2h', means: 7_200_000, bad: '2 years' },
  nats: {
    text: 'nats://a:4222, tls://b:4222',
    json: ['nats://a:4222', 'tls://b:4222'],
    means: ['nats://a:4222', 'tls://b:4222'],
    bad: 'http://a',
  },
  'nats-prefix': { text: 'team', json: 'team', means: 'team', bad: ' ' },
  metrics: { text: '1', json: true, means: true, bad: 2 },
  'metrics-port': { text: '9464', json: 9464, means: 9464, bad: -1 },
  'metrics-host': { text: '0.0.0.0', json: '0.0.0.0', means: '0.0.0.0', bad: {} },
  'log-level': { text: 'warn', json: 'warn', means: 'warn', bad: 'loud' },
  'drain-timeout': { text: '1m', json: '1m', means: 60_000, bad: '0s' },
}

describe.each(OPTION_NAMES)('%s', (name) => {
  const { text, json, means, bad } = SAMPLES[name]

  test('is taken from a flag, from the environment and from the file', () => {
    const variable = variableOf(name)
    const file = fileWith({ [name]: json })
    const fromFlag = load({ flags: { [name]: text } })
    const fromEnvironment = load({ environment: { [variable]: text } })
    const fromFile = load({ file })
    for (const { settings } of [fromFlag, fromEnvironment, fromFile]) expect(settings[name]).toEqual(means)
    expect(fromFlag.sources[name]).toBe(`--${name}`)
    expect(fromEnvironment.sources[name]).toBe(variable)
    expect(fromFile.sources[name]).toBe(`"${name}" in ${file}`)
  })

  test('a flag wins over the environment, that over the file, that over the default', () => {
    const file = fileWith({ [name]: json })
    const environment = { [variableOf(name)]: text }
    expect(load({ flags: { [name]: text }, environment, file }).sources[name]).toBe(`--${name}`)
    expect(load({ environment, file }).sources[name]).toBe(variableOf(name))
    expect(load({ environment: { [variableOf(name)]: '' }, file }).sources[name]).toBe(`"${name}" in ${file}`)
    expect(load({}).sources[name]).toBe('default')
  })

  test('a bad value is refused with the name of its source and what to write', () => {
    const file = fileWith({ [name]: bad })
    expect(problems({ file })).toMatch(`"${name}" in ${file}`)
    expect(problems({ file })).toMatch(/: (?:write|a secret needs|"[^"]+" is no)/)
    if (declarationOf(name).secret === true) expect(problems({ file })).not.toContain(bad)
  })
})

test('all mistakes are named at once', () => {
  const said = problems({ flags: { port: 'x' }, environment: { PEERLOG_RELAY_METRICS: 'maybe' } })
  expect(said.split('\n')).toHaveLength(2)
})

test('unknown names get a suggestion; those that Kubernetes makes are explained or ignored', () => {
  expect(problems({ environment: { PEERLOG_RELAY_PROT: '1' } })).toMatch('Did you mean PEERLOG_RELAY_PORT?')
  expect(problems({ file: fileWith({ maxClients: 1 }) })).toMatch('Did you mean max-clients?')
  expect(problems({ environment: { PEERLOG_RELAY_PORT: 'tcp://10.0.0.1:8443' } })).toMatch('enableServiceLinks: false')
  const links = { PEERLOG_RELAY_SERVICE_HOST: '10.0.0.1', PEERLOG_RELAY_PORT_8443_TCP: 'tcp://10.0.0.1:8443' }
  expect(load({ environment: links }).settings.port).toBe(8443)
})

test('a file that is none is explained', () => {
  expect(problems({ file: join(folder, 'nowhere.json') })).toMatch(/cannot read .*Write the path of a JSON file/)
  expect(problems({ file: fileWith('{ port: 1 }') })).toMatch('is not JSON')
  expect(problems({ file: fileWith([]) })).toMatch('must hold an object')
})

test('paths in the file are relative to it', () => {
  expect(load({ file: fileWith({ 'tls-key': 'key.pem' }) }).settings['tls-key']).toBe(join(folder, 'key.pem'))
})

describe('the command', () => {
  test('--help has every option with its default and variable, in groups', async () => {
    const { stdout } = await run(process.execPath, [CLI, '--help'])
    const flat = stdout.replaceAll(/\s+/g, ' ')
    for (const name of OPTION_NAMES) {
      const { group, what, default: fallback } = declarationOf(name)
      expect(stdout).toContain(`\n${group}:\n`)
      expect(flat).toContain(`--${name} `)
      expect(flat).toContain(`${what} [${fallback ?? 'not set'}] ${variableOf(name)}`)
    }
  })

  test('--check prints the configuration in effect, where it is from, and no secret', async () => {
    const secret = 'a secret of thirty-two characters!'
    const file = fileWith({ 'max-clients': 5, 'token-secret': secret, nats: 'nats://me:pass@a:4222' })
    const environment = { ...process.env, PEERLOG_RELAY_CONFIG: file, PEERLOG_RELAY_IDLE_TIMEOUT: '5m' }
    const { stdout } = await run(process.execPath, [CLI, '--port', '0', '--metrics', '--check'], { env: environment })
    const lines = Object.fromEntries(
      stdout.split('\n').map((line) => [line.split(' ')[0], line.split(/ {2,}/).slice(1)]),
    )
    expect(lines.port).toEqual(['0', '--port'])
    expect(lines.metrics).toEqual(['true', '--metrics'])
    expect(lines['idle-timeout']).toEqual(['5m', 'PEERLOG_RELAY_IDLE_TIMEOUT'])
    expect(lines['max-clients']).toEqual(['5', `"max-clients" in ${file}`])
    expect(lines['token-secret']).toEqual(['(secret)', `"token-secret" in ${file}`])
    expect(lines.nats).toEqual(['nats://(secret)@a:4222', `"nats" in ${file}`])
    expect(lines['burst-bytes']).toEqual(['4MiB', 'default'])
    expect(stdout).not.toMatch(/thirty-two|pass/)
  })
})

import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { loadSettings } from '../../relay-server/src/config/load.ts'
import { OPTION_NAMES, variableOf } from '../../relay-server/src/config/options.ts'
import { RawClient } from './raw-client.ts'

const REPOSITORY = fileURLToPath(new URL('../../', import.meta.url))
const deployed = (name: string): string => readFileSync(join(REPOSITORY, 'deploy', name), 'utf8')

/** Instructions of a Dockerfile with their arguments, continued lines joined. */
function instructions(): [name: string, rest: string][] {
  const lines = deployed('Dockerfile')
    .replaceAll(/^#.*\n/gm, '')
    .replaceAll('\\\n', ' ')
    .split('\n')
    .filter((line) => line.trim() !== '')
  return lines.map((line) => {
    const [, name = '', rest = ''] = /^(\w+)\s+(.*)$/.exec(line.trim()) ?? []
    return [name, rest]
  })
}

describe('the Dockerfile', () => {
  const all = instructions()
  const last = all.slice(all.findLastIndex(([name]) => name === 'FROM'))
  const one = (wanted: string): string => last.find(([name]) => name === wanted)?.[1] ?? ''

  test('copies what is there, and the second stage only what the first has made', () => {
    const made: string[] = []
    for (const [, rest] of all.filter(([name]) => name === 'COPY')) {
      const words = rest.split(/\s+/)
      const from = words[0] === '--from=build' ? words.shift() : undefined
      const target = words.pop() as string
      for (const source of words) {
        if (from === undefined) {
          expect(existsSync(join(REPOSITORY, source)), source).toBe(true)
          made.push(join('/app', target, target.endsWith('/') ? source.replace(/.*\//, '') : ''))
        } else {
          // npm and tsc make these two.
          const known = [...made, '/app/node_modules', '/app/relay-server/dist']
          expect(
            known.some((path) => source === path || path.replace(/\/$/, '') === source),
            source,
          ).toBe(true)
        }
      }
    }
    expect(made.length).toBeGreaterThan(4)
  })

  test('runs as nobody in particular, and its CMD and HEALTHCHECK work', async () => {
    expect(one('USER')).toBe('node')
    const settings = Object.fromEntries(
      one('ENV')
        .split(/\s+/)
        .map((pair) => pair.split('=')),
    ) as Record<string, string>
    expect(settings.PEERLOG_RELAY_METRICS_PORT).toBe('9464')
    const [command, ...args] = JSON.parse(one('CMD')) as [string, ...string[]]
    const metrics = { PEERLOG_RELAY_METRICS_PORT: '0', PEERLOG_RELAY_METRICS_HOST: '127.0.0.1' }
    const env = { ...process.env, ...settings, ...metrics, PEERLOG_RELAY_PORT: '0', PEERLOG_RELAY_HOST: '127.0.0.1' }
    const relay = spawn(command, args, { cwd: REPOSITORY, env })
    const health = JSON.parse(one('HEALTHCHECK').replace(/^.*?CMD /, '')) as [string, ...string[]]
    const check = async (port: string): Promise<unknown> => {
      const child = spawn(health[0], health.slice(1), { env: { ...process.env, PEERLOG_RELAY_METRICS_PORT: port } })
      return (await once(child, 'exit'))[0]
    }
    const { value } = (await createInterface(relay.stdout)[Symbol.asyncIterator]().next()) as { value: string }
    const { url, metricsUrl } = JSON.parse(value) as { url: string; metricsUrl: string }
    const { port } = new URL(metricsUrl)
    await (await RawClient.open(url)).settled()
    expect(await check(port)).toBe(0)
    relay.kill('SIGTERM')
    expect(await once(relay, 'exit')).toEqual([0, null])
    expect(await check(port)).toBe(1)
  })
})

test('compose.yaml names files that are there and variables that the relay knows', () => {
  const compose = deployed('compose.yaml')
  const known = OPTION_NAMES.map(variableOf)
  const names = [...compose.matchAll(/^ +(PEERLOG_RELAY_\w+):/gm)].map((match) => match[1])
  expect(names.length).toBeGreaterThan(3)
  for (const name of names) expect(known).toContain(name)
  for (const [, file] of compose.matchAll(/(?:dockerfile: |- \.\/)([\w./-]+?)(?:\n|:\/)/g)) {
    const path = (file as string).startsWith('deploy/') ? (file as string) : `deploy/${file}`
    // The certificate is the operator's to bring.
    if (path !== 'deploy/tls') expect(existsSync(join(REPOSITORY, path)), path).toBe(true)
  }
})

test('relay.json is a configuration', () => {
  const { settings } = loadSettings({ flags: {}, environment: {}, file: join(REPOSITORY, 'deploy/relay.json') })
  expect(settings).toMatchObject({ port: 443, 'max-bytes-per-second': 16 * 1024 * 1024 })
})

test('peerlog-relay.service passes systemd-analyze', (context) => {
  if (spawnSync('systemd-analyze', ['--version']).error !== undefined) {
    console.log('systemd-analyze is not installed: the unit is not verified')
    return context.skip('systemd-analyze is not installed')
  }
  const folder = mkdtempSync(join(tmpdir(), 'peerlog-unit-'))
  const file = join(folder, 'peerlog-relay.service')
  // It looks for the program, too.
  writeFileSync(file, deployed('peerlog-relay.service').replaceAll('/usr/local/bin/peerlog-relay', process.execPath))
  const { status, stderr } = spawnSync('systemd-analyze', ['verify', '--man=no', file], { encoding: 'utf8' })
  rmSync(folder, { recursive: true })
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
})

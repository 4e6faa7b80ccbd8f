import { execFile } from 'node:child_process'
import { createHmac, randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { fileURLToPath } from 'node:url'
import { afterEach, describe, expect, test } from 'vitest'
import { SUBPROTOCOL } from '../../relay-server/src/frames.ts'
import {
  type RefusalReason,
  type Relay,
  type RelayOptions,
  createRelay,
  signToken,
} from '../../relay-server/src/index.ts'
import { RawClient } from './raw-client.ts'
import { LogBook, refusedWith, until } from './support.ts'

const CLI = fileURLToPath(new URL('../../relay-server/dist/cli.js', import.meta.url))
const SECRET = randomBytes(32).toString('hex')
const topic = randomBytes(32)
const other = randomBytes(32)
const hex = topic.toString('hex')
const inAnHour = (): number => Date.now() + 3_600_000

let relay: Relay
let log: LogBook

async function start(options: RelayOptions): Promise<void> {
  log = new LogBook()
  relay = await createRelay({ port: 0, host: '127.0.0.1', logger: log, ...options })
}
afterEach(() => relay.close())

const bearer = (token: string) => ({ headers: { authorization: `Bearer ${token}` } })
const good = (topics: string[] = [hex]): Promise<string> => signToken(SECRET, { topics, expiresAt: inAnHour() })

/** A JWT with any head and claims, signed by hand. */
function forge(head: object, claims: object, secret = SECRET, hash = 'sha256'): string {
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url')
  const signed = `${part(head)}.${part(claims)}`
  return `${signed}.${createHmac(hash, secret).update(signed).digest('base64url')}`
}
const claims = { topics: [hex], exp: Math.floor(inAnHour() / 1000) }
const HEAD = { alg: 'HS256' }

describe('a token', () => {
  test.each(['Bearer', 'subprotocol'] as const)('lets in when it comes as %s', async (way) => {
    await start({ tokenSecrets: [SECRET] })
    const token: string = await good()
    const opened = {
      Bearer: (): Promise<RawClient> => RawClient.open(relay.url, bearer(token)),
      subprotocol: (): Promise<RawClient> =>
        RawClient.open(relay.url, { protocols: [SUBPROTOCOL, `peerlog-token.${token}`] }),
    }
    const client = await opened[way]()
    expect(client.socket.protocol).toBe(SUBPROTOCOL)
    client.join(topic, 'announce')
    await client.take('joined')
  })

  const BAD_TOKENS: [name: string, make: () => string | undefined, reason: RefusalReason][] = [
    ['missing', () => undefined, 'token-missing'],
    ['garbage', () => 'garbage', 'token-invalid'],
    ['signed with another secret', () => forge(HEAD, claims, 'x'.repeat(32)), 'token-invalid'],
    ['of algorithm none', () => forge({ alg: 'none' }, claims).replace(/[^.]*$/, ''), 'token-invalid'],
    ['of algorithm HS512', () => forge({ alg: 'HS512' }, claims, SECRET, 'sha512'), 'token-invalid'],
    ['without a signature', () => forge(HEAD, claims).replace(/[^.]*$/, ''), 'token-invalid'],
    ['without an end', () => forge(HEAD, { topics: [hex] }), 'token-invalid'],
    ['without topics', () => forge(HEAD, { exp: claims.exp }), 'token-invalid'],
    ['for no topic', () => forge(HEAD, { ...claims, topics: [] }), 'token-invalid'],
    ['for something that is no topic', () => forge(HEAD, { ...claims, topics: ['notes'] }), 'token-invalid'],
    ['for too many topics', () => forge(HEAD, { ...claims, topics: Array(65).fill(hex) }), 'token-invalid'],
    ['not valid yet', () => forge(HEAD, { ...claims, nbf: claims.exp - 60 }), 'token-invalid'],
    ['expired', () => forge(HEAD, { ...claims, exp: claims.exp - 3700 }), 'token-expired'],
    ['expired, of another secret', () => forge(HEAD, { ...claims, exp: 1 }, 'x'.repeat(32)), 'token-invalid'],
  ]
  test.each(BAD_TOKENS)('%s is refused with 401, counted and logged without it', async (_name, make, reason) => {
    await start({ tokenSecrets: [SECRET] })
    const token = make()
    const answer = await refusedWith(relay.url, token === undefined ? {} : bearer(token))
    expect(answer.status).toBe(401)
    expect(answer.headers['www-authenticate']).toBe('Bearer')
    expect(relay.stats()).toMatchObject({ clients: 0, refusals: { [reason]: 1 } })
    expect(log.about(reason)).toEqual([
      { message: 'refused', reason, address: expect.stringMatching(/^127\.0\.0\.1:/) },
    ])
    await RawClient.open(relay.url, bearer(await good()))
  })

  test('covers its topics and no other: JOIN and LOOKUP are refused, the client stays', async () => {
    await start({ tokenSecrets: [SECRET] })
    const client = await RawClient.open(relay.url, bearer(await good()))
    client.join(other, 'both')
    const refusal = { kind: 'refused', code: 2, text: 'the token does not cover this topic' }
    expect(await client.take('refused')).toMatchObject({ ...refusal, rendezvous: other })
    client.send({ kind: 'lookup', request: 1, rendezvous: other })
    expect(await client.take('refused')).toMatchObject(refusal)
    client.join(topic, 'announce')
    await client.take('joined')
    expect(relay.stats()).toMatchObject({ topics: 1, refusals: { 'topic-forbidden': 2 } })
    expect(log.about('topic-forbidden')).toHaveLength(2)
    expect(JSON.stringify(log.lines)).not.toContain(other.toString('hex'))
  })

  test('for * covers all', async () => {
    await start({ tokenSecrets: [SECRET] })
    const client = await RawClient.open(relay.url, bearer(await good(['*'])))
    client.join(other, 'announce')
    await client.take('joined')
  })

  test('that ends during a connection ends it with 4401', async () => {
    await start({ tokenSecrets: [SECRET] })
    const expiresAt = (Math.floor(Date.now() / 1000) + 2) * 1000
    const client = await RawClient.open(relay.url, bearer(await signToken(SECRET, { topics: ['*'], expiresAt })))
    await client.settled()
    expect(await client.closed).toEqual({ code: 4401, reason: 'the token has expired' })
    expect(Date.now()).toBeGreaterThanOrEqual(expiresAt - 5)
    expect(relay.stats()).toMatchObject({ clients: 0, closes: { 'token-expired': 1 } })
  })

  test('of an old secret and of a new one are valid at once, until the old one is taken away', async () => {
    const next = randomBytes(32).toString('hex')
    await start({ tokenSecrets: [SECRET, next] })
    const content = { topics: ['*'], expiresAt: inAnHour() }
    const [before, after] = [await signToken(SECRET, content), await signToken(next, content)]
    const open = await Promise.all([before, after].map((token) => RawClient.open(relay.url, bearer(token))))
    relay.reload({ tokenSecrets: [next] })
    expect((await refusedWith(relay.url, bearer(before))).status).toBe(401)
    await RawClient.open(relay.url, bearer(after))
    for (const client of open) await client.settled()
    expect(() => relay.reload({ tokenSecrets: ['short'] })).toThrow('a token secret needs 32 bytes or more')
    expect(() => relay.reload({ tokenSecrets: [] })).toThrow('1 to 8')
    await RawClient.open(relay.url, bearer(after))
  })

  test('is printed by the command, for the first secret of a file', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'peerlog-token-'))
    const file = join(folder, 'secrets')
    writeFileSync(file, `# for the relay\n${SECRET}\n${'old'.repeat(20)}\n`)
    const run = (...args: string[]) => promisify(execFile)(process.execPath, [CLI, 'token', ...args])
    const flags = ['--token-secret-file', file, '--topic', hex, '--topic', '*', '--expires', '30d', '--subject', 'me']
    const token = (await run(...flags)).stdout.trim()
    const payload = JSON.parse(Buffer.from(token.split('.')[1] as string, 'base64url').toString()) as { exp: number }
    expect(payload).toMatchObject({ topics: [hex, '*'], sub: 'me' })
    expect(Math.abs(payload.exp - Date.now() / 1000 - 30 * 86_400)).toBeLessThan(60)
    await start({ tokenSecrets: [SECRET] })
    await RawClient.open(relay.url, bearer(token))
    const fails = { code: 2, stdout: '' }
    await expect(run('--topic', hex, '--expires', '30d')).rejects.toMatchObject(fails)
    await expect(run(...flags.with(7, 'soon'))).rejects.toMatchObject({
      ...fails,
      stderr: expect.stringMatching('Write a time with its unit'),
    })
    await expect(run(...flags.with(3, 'notes'))).rejects.toMatchObject({
      ...fails,
      stderr: expect.stringMatching('64 hex digits'),
    })
    rmSync(folder, { recursive: true })
  })
})

describe('origins', () => {
  test('pages of others are refused; programs, which have none, are not', async () => {
    await start({ origins: ['https://app.example.org'] })
    await RawClient.open(relay.url, { origin: 'https://app.example.org' })
    await RawClient.open(relay.url)
    for (const origin of [
      'https://evil.example',
      'https://app.example.org.evil.example',
      'null',
      'http://app.example.org',
    ]) {
      expect(await refusedWith(relay.url, { origin })).toMatchObject({ status: 403 })
    }
    expect(relay.stats()).toMatchObject({ clients: 2, refusals: { origin: 4 } })
    expect(log.about('origin')).toHaveLength(4)
  })

  test('may be required', async () => {
    await start({ requireOrigin: true })
    await RawClient.open(relay.url, { origin: 'https://anywhere.example' })
    expect(await refusedWith(relay.url)).toMatchObject({ status: 403 })
    await until(() => relay.stats().refusals.origin === 1)
  })
})

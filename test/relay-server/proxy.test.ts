import type { IncomingMessage } from 'node:http'
import { afterEach, describe, expect, test } from 'vitest'
import { RatePerAddress, TrustedProxies, keyOf } from '../../relay-server/src/addresses.ts'
import { type Relay, type RelayOptions, createRelay } from '../../relay-server/src/index.ts'
import { MAX_RATED_ADDRESSES } from '../../relay-server/src/limits.ts'
import { RawClient } from './raw-client.ts'
import { LogBook, refusedWith } from './support.ts'

const behind = (forwarded: string) => ({ headers: { 'x-forwarded-for': forwarded } })

describe('the address of a visitor', () => {
  const proxies = new TrustedProxies(['127.0.0.1', '10.0.0.0/8', 'fd00::/8'])
  const visitor = (remoteAddress: string, forwarded?: string) =>
    proxies.visitor({
      socket: { remoteAddress, remotePort: 999 },
      headers: forwarded === undefined ? {} : { 'x-forwarded-for': forwarded },
    } as unknown as IncomingMessage).address

  test.each([
    ['a stranger says what it likes', '192.0.2.1', '198.51.100.7', '192.0.2.1:999'],
    ['a proxy is believed', '10.0.0.1', '198.51.100.7', '198.51.100.7'],
    ['what the client wrote before it is not', '10.0.0.1', '1.1.1.1, 198.51.100.7', '198.51.100.7'],
    ['through several proxies', '127.0.0.1', '1.1.1.1, 198.51.100.7, 10.9.9.9', '198.51.100.7'],
    ['a client that claims to be a proxy is one hop of many', '10.0.0.1', '1.1.1.1, 192.0.2.9, 10.0.0.2', '192.0.2.9'],
    ['nothing but proxies', '10.0.0.1', '10.0.0.3, 10.0.0.2', '10.0.0.3'],
    ['a proxy that says nothing', '10.0.0.1', undefined, '10.0.0.1:999'],
    ['a proxy that says nonsense', '10.0.0.1', 'unknown', '10.0.0.1:999'],
    ['IPv4 in IPv6', '::ffff:10.0.0.1', '::ffff:198.51.100.7', '198.51.100.7'],
    ['IPv6 with a port', 'fd00::1', '[2001:db8::5]:4711', '2001:db8::5'],
    ['IPv4 with a port', 'fd00::1', '198.51.100.7:4711', '198.51.100.7'],
    ['IPv6 directly', '2001:db8::5', undefined, '[2001:db8::5]:999'],
  ])('%s', (_name, remote, forwarded, address) => {
    expect(visitor(remote, forwarded)).toBe(address)
  })

  test('an IPv6 /64 counts as one', () => {
    expect(keyOf('2001:db8:0:1::1')).toBe(keyOf('2001:0db8:0000:0001:ffff:ffff:ffff:ffff'))
    expect(keyOf('2001:db8:0:1::1')).not.toBe(keyOf('2001:db8:0:2::1'))
    expect(keyOf('fe80::1%eth0')).toBe(keyOf('fe80::2'))
    expect(keyOf('::1')).toBe('0:0:0:0::/64')
    expect(keyOf('192.0.2.1')).not.toBe(keyOf('192.0.2.2'))
  })

  test.each(['10.0.0.0/33', 'proxy.example', '10.0.0.1/8/8', ''])('%j is no proxy', (text) => {
    expect(() => new TrustedProxies([text])).toThrow('trustProxy')
  })

  test('only so many addresses are remembered', () => {
    const rate = new RatePerAddress(1)
    for (let i = 0; i <= MAX_RATED_ADDRESSES; i++) rate.tryTake(`address ${i}`)
    expect(rate.tryTake('address 1')).toBe(false)
    expect(rate.tryTake('address 0')).toBe(true)
  })
})

describe('limits per address', () => {
  let relay: Relay
  let log: LogBook
  const start = async (options: RelayOptions): Promise<void> => {
    log = new LogBook()
    relay = await createRelay({ port: 0, host: '127.0.0.1', logger: log, ...options })
  }
  afterEach(() => relay.close())

  test('count clients behind a trusted proxy one by one', async () => {
    await start({ maxClientsPerAddress: 2, trustProxy: ['127.0.0.1'] })
    const first = await RawClient.open(relay.url, behind('198.51.100.1'))
    await RawClient.open(relay.url, behind('198.51.100.1'))
    await RawClient.open(relay.url, behind('198.51.100.2'))
    expect(await refusedWith(relay.url, behind('198.51.100.1'))).toMatchObject({ status: 503 })
    expect(log.about('address-full')).toMatchObject([{ address: '198.51.100.1' }])
    first.socket.close()
    await first.closed
    await RawClient.open(relay.url, behind('198.51.100.1'))
    expect(relay.stats()).toMatchObject({ clients: 3, refusals: { 'address-full': 1 } })
  })

  test('a made-up X-Forwarded-For does not get round them', async () => {
    await start({ maxClientsPerAddress: 2 })
    for (const i of [1, 2]) await RawClient.open(relay.url, behind(`198.51.100.${i}`))
    expect(await refusedWith(relay.url, behind('198.51.100.3'))).toMatchObject({ status: 503 })
    expect(log.about('address-full')).toMatchObject([{ address: expect.stringMatching(/^127\.0\.0\.1:\d+$/) }])
  })

  test('attempts beyond the rate are answered 429, good ones and bad ones alike', async () => {
    await start({ maxConnectionsPerMinutePerAddress: 3, trustProxy: ['127.0.0.1'] })
    await RawClient.open(relay.url, behind('198.51.100.1'))
    for (let i = 0; i < 2; i++) await refusedWith(relay.url, { ...behind('198.51.100.1'), protocols: ['other'] })
    const answer = await refusedWith(relay.url, behind('198.51.100.1'))
    expect(answer).toMatchObject({ status: 429, headers: { 'retry-after': '60' } })
    await RawClient.open(relay.url, behind('198.51.100.2'))
    expect(relay.stats()).toMatchObject({ clients: 2, refusals: { 'address-rate': 1, subprotocol: 2 } })
  })
})

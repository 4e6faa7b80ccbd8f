import { once } from 'node:events'
import { keyPair } from 'hypercore-crypto'
import { describe, expect, test } from 'vitest'
import { PeerlogError } from '../../src/base/errors.ts'
import { createTransport } from '../../src/transport/create-transport.ts'

function refusal(config: unknown): string {
  try {
    createTransport(config as never)
  } catch (error) {
    expect(error).toBeInstanceOf(PeerlogError)
    expect((error as PeerlogError).code).toBe('INVALID_CONFIG')
    return (error as PeerlogError).message
  }
  throw new Error('it was accepted')
}

describe('createTransport', () => {
  test('makes what the mode names, Hyperswarm by default', async () => {
    expect(createTransport().name).toBe('hyperswarm')
    expect(createTransport({}).name).toBe('hyperswarm')
    expect(createTransport({ timeoutMs: 5000 }).name).toBe('hyperswarm')
    expect(createTransport({ mode: 'hyperswarm', bootstrap: [{ host: '127.0.0.1', port: 1 }] }).name).toBe('hyperswarm')
    expect(createTransport({ mode: 'disabled', relayUrl: 'ws://127.0.0.1:1' }).name).toBe('disabled')
    expect(createTransport({ mode: 'udp', udpPeers: ['a.example:4100', '[::1]:1'], udpPort: 4100 }).name).toBe('udp')
    for (const relayUrl of ['ws://127.0.0.1:1', ['wss://a.example', 'ws://b.example:8443/path']]) {
      const relay = createTransport({ mode: 'relay', relayUrl })
      expect(relay.name).toBe('relay')
      await relay.disconnect()
    }
  })

  test('takes a token for the relay, and does not repeat one that is none', () => {
    for (const relayToken of ['abc.def', () => 'abc', async () => 'abc']) {
      expect(createTransport({ mode: 'relay', relayUrl: 'ws://127.0.0.1:1', relayToken }).name).toBe('relay')
    }
    for (const relayToken of ['my secret', '', 'a\nb', 'x'.repeat(5000), 5]) {
      const message = refusal({ mode: 'relay', relayUrl: 'ws://127.0.0.1:1', relayToken })
      expect(message).toMatch(/^relayToken is no token\. Write the token as whoever runs the relay gave it/)
    }
  })

  test('takes an identity for every mode', () => {
    const identity = keyPair()
    for (const mode of ['hyperswarm', 'relay'] as const) {
      const transport = createTransport({ mode, keyPair: identity, relayUrl: 'ws://127.0.0.1:1' })
      const { publicKey } = transport as unknown as { publicKey: Uint8Array }
      expect(Buffer.from(publicKey)).toEqual(identity.publicKey)
    }
  })

  test('warns that encryption cannot be turned off', async () => {
    const warned = once(process, 'warning')
    createTransport({ mode: 'disabled', encryption: false })
    const [warning] = (await warned) as [Error & { code: string }]
    expect(warning.code).toBe('PEERLOG_ENCRYPTION')
    expect(warning.message).toContain('no effect')
  })

  test.each<[string, unknown, string[]]>([
    ['not an object', 'relay', ["'relay'", "{ mode: 'hyperswarm' }"]],
    ['null', null, ['null']],
    ['an unknown mode', { mode: 'tcp' }, ["mode is 'tcp'", "'hyperswarm', 'relay', 'auto', 'udp', 'disabled'"]],
    [
      'a UDP peer without a port',
      { mode: 'udp', udpPeers: ['192.0.2.7'] },
      ["udpPeers has '192.0.2.7'", '192.0.2.7:4100'],
    ],
    ['too many UDP peers', { mode: 'udp', udpPeers: Array(65).fill('a:1') }, ['udpPeers', 'at most 64']],
    ['no UDP port', { mode: 'udp', udpPort: 0 }, ['udpPort is 0', '65535']],
    ['nobody to find', { mode: 'udp', udpMulticast: false }, ['Nobody could be found']],
    ['auto without URL', { mode: 'auto' }, ["mode 'auto' needs it", 'wss://']],
    ['a relay without URL', { mode: 'relay' }, ['relayUrl is missing', 'wss://']],
    ['a relay with no URLs', { mode: 'relay', relayUrl: [] }, ['relayUrl is missing']],
    ['https', { mode: 'relay', relayUrl: 'https://r.example/x' }, ['https://r.example/x', "Write 'wss://r.example/x'"]],
    ['http', { mode: 'relay', relayUrl: ['ws://a', 'http://r:80'] }, ["'http://r:80'", "Write 'ws://r:80'"]],
    ['another scheme', { mode: 'relay', relayUrl: 'ftp://r' }, ['ftp://r', 'wss://']],
    ['no URL', { mode: 'relay', relayUrl: 'relay.example' }, ['relay.example', 'not a URL', 'wss://']],
    ['a URL that is a number', { mode: 'relay', relayUrl: 8443 }, ['relayUrl is 8443', 'wss://']],
    ['a URL without mode', { relayUrl: 'ws://127.0.0.1:1' }, ["mode: 'relay'"]],
    ['timeout 0', { timeoutMs: 0 }, ['timeoutMs is 0', '30000']],
    ['negative timeout', { timeoutMs: -1 }, ['timeoutMs is -1']],
    ['timeout NaN', { timeoutMs: Number.NaN }, ['timeoutMs is NaN']],
    ['endless timeout', { timeoutMs: Infinity }, ['timeoutMs is Infinity', '2147483647']],
    ['timeout in words', { timeoutMs: '30s' }, ["timeoutMs is '30s'", '30000']],
    ['encryption in words', { encryption: 'yes' }, ["encryption is 'yes'"]],
    ['a misspelt field', { mode: 'relay', relayURl: 'ws://x' }, ['no field relayURl', 'Did you mean relayUrl?']],
    ['a near field', { timeout: 3 }, ['no field timeout', 'Did you mean timeoutMs?']],
    ['a far field', { colour: 'red' }, ['no field colour', 'The fields are mode, relayUrl']],
    ['bootstrap as text', { bootstrap: 'host:1' }, ["bootstrap is 'host:1'", 'port: 49737']],
    ['no bootstrap nodes', { bootstrap: [] }, ['bootstrap is an empty array', 'leave it out']],
    ['a bootstrap node without port', { bootstrap: [{ host: 'a' }] }, ['bootstrap.0.port is missing', '49737']],
    ['a bootstrap port out of range', { bootstrap: [{ host: 'a', port: 70000 }] }, ['bootstrap.0.port is 70000']],
    ['a bootstrap node with more', { bootstrap: [{ host: 'a', port: 1, id: 2 }] }, ['no field bootstrap.0.id']],
    ['a short key', { keyPair: { publicKey: new Uint8Array(31), secretKey: new Uint8Array(64) } }, ['publicKey', '31']],
    ['a key pair without secret', { keyPair: { publicKey: new Uint8Array(32) } }, ['keyPair.secretKey', '64 bytes']],
  ])('refuses %s and says what to write', (_, config, parts) => {
    const message = refusal(config)
    for (const part of parts) expect(message).toContain(part)
  })
})

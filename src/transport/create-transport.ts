import { keyPair as newKeyPair } from 'hypercore-crypto'
import * as v from 'valibot'
import { PeerlogError } from '../base/errors.ts'
import { DEFAULT_TIMEOUT_MS } from '../base/limits.ts'
import type { TransportConfig } from './config.ts'
import { disabledTransport } from './disabled.ts'
import type { HyperswarmOptions } from './hyperswarm/hyperswarm-transport.ts'
import { hyperswarmTransport } from './hyperswarm/hyperswarm-transport.ts'
import { combineTransports } from './paths/paths-transport.ts'
import type { RelayTransportOptions } from './relay/relay-transport.ts'
import { relayTransport } from './relay/relay-transport.ts'
import { type RelayToken, isToken } from './relay/token.ts'
import type { Transport } from './transport.ts'
import { parseAddress } from './udp/address.ts'
import { MAX_UDP_PEERS } from './udp/limits.ts'
import type { UdpOptions } from './udp/udp-transport.ts'
import { udpTransport } from './udp/udp-transport.ts'

const MODES = ['hyperswarm', 'relay', 'auto', 'udp', 'disabled'] as const
const FIELDS = [
  'mode',
  'relayUrl',
  'relayToken',
  'timeoutMs',
  'encryption',
  'bootstrap',
  'udpPeers',
  'udpPort',
  'udpMulticast',
  'keyPair',
] as const
/** The longest that a Node timer can wait; a longer one fires at once. */
const MAX_TIMEOUT_MS: number = 2 ** 31 - 1

/**
 * The transport that a configuration describes. Does no IO yet.
 * @throws {PeerlogError} `INVALID_CONFIG`, saying which field, what was found there and what to write instead.
 */
export function createTransport(config: Partial<TransportConfig> = {}): Transport {
  const checked = check(config)
  const { mode } = checked
  if (checked.encryption === false) {
    process.emitWarning('`encryption: false` has no effect: every transport of peerlog encrypts. Leave it out', {
      code: 'PEERLOG_ENCRYPTION',
    })
  }
  switch (mode) {
    case 'disabled':
      return disabledTransport()
    case 'hyperswarm':
      return hyperswarmTransport(hyperswarmOptions(checked))
    case 'relay':
      return relayTransport(relayOptions(checked))
    case 'udp':
      return udpTransport(udpOptions(checked))
    case 'auto': {
      const keyPair = checked.keyPair ?? newKeyPair()
      const relay = relayOptions({ ...checked, keyPair })
      const direct = hyperswarmTransport(hyperswarmOptions({ ...checked, keyPair }))
      const children = [direct, relayTransport(relay)].map((transport) => ({ transport, owned: true }))
      return combineTransports(children, { name: 'auto', timeoutMs: checked.timeoutMs })
    }
  }
}

function hyperswarmOptions({ timeoutMs, keyPair, bootstrap }: CheckedConfig): HyperswarmOptions {
  return {
    timeoutMs,
    ...(keyPair === undefined ? {} : { keyPair }),
    ...(bootstrap === undefined ? {} : { bootstrap }),
  }
}

function relayOptions({ mode, timeoutMs, keyPair, relayUrl, relayToken }: CheckedConfig): RelayTransportOptions {
  return {
    timeoutMs,
    ...(keyPair === undefined ? {} : { keyPair }),
    urls: relayUrls(relayUrl, mode),
    ...(relayToken === undefined ? {} : { token: relayToken }),
  }
}

function udpOptions({ udpPeers = [], udpPort, udpMulticast = true }: CheckedConfig): UdpOptions {
  if (!udpMulticast && udpPeers.length === 0 && udpPort === undefined) {
    throw invalid('Nobody could be found: there is no multicast, no peer and no port', WANTED.udpPeers)
  }
  const peers = udpPeers.map((text) => {
    const address = parseAddress(text)
    if (address === null) throw invalid(`udpPeers has ${shown(text)}`, WANTED.udpPeers)
    return address
  })
  return { port: udpPort ?? 0, peers, multicast: udpMulticast }
}

// ---- what may stand in a configuration ----------------------------------------------------------------------------

const Port = v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(65_535))

const Bytes = (length: number): v.GenericSchema<Uint8Array> =>
  v.custom<Uint8Array>(
    (input) => input instanceof Uint8Array && input.length === length,
    () => `${length} bytes`,
  )

const Config = v.strictObject({
  mode: v.optional(v.picklist(MODES)),
  relayUrl: v.optional(v.union([v.string(), v.array(v.string())])),
  relayToken: v.optional(v.custom<RelayToken>((input) => typeof input === 'function' || isToken(input))),
  timeoutMs: v.optional(v.pipe(v.number(), v.minValue(1), v.maxValue(MAX_TIMEOUT_MS)), DEFAULT_TIMEOUT_MS),
  encryption: v.optional(v.boolean()),
  bootstrap: v.optional(
    v.pipe(v.array(v.strictObject({ host: v.pipe(v.string(), v.nonEmpty()), port: Port })), v.nonEmpty()),
  ),
  udpPeers: v.optional(v.pipe(v.array(v.string()), v.maxLength(MAX_UDP_PEERS))),
  udpPort: v.optional(Port),
  udpMulticast: v.optional(v.boolean()),
  keyPair: v.optional(v.object({ publicKey: Bytes(32), secretKey: Bytes(64) })),
})

/** What to write instead, by field. */
const WANTED: Record<(typeof FIELDS)[number], string> = {
  mode: `Write one of ${MODES.map((mode) => `'${mode}'`).join(', ')}`,
  relayUrl: "Write a URL such as 'wss://relay.example.org', or an array of such",
  relayToken: 'Write the token as whoever runs the relay gave it, or a function that returns one',
  timeoutMs: `Write milliseconds from 1 to ${MAX_TIMEOUT_MS}, such as ${DEFAULT_TIMEOUT_MS}, or leave it out`,
  encryption: 'Leave it out: every transport encrypts',
  bootstrap: "Write DHT nodes such as [{ host: '127.0.0.1', port: 49737 }], or leave it out for the public ones",
  udpPeers: `Write at most ${MAX_UDP_PEERS} addresses such as ['192.0.2.7:4100', '[2001:db8::7]:4100']`,
  udpPort: 'Write a port from 1 to 65535, or leave it out for one that is free',
  udpMulticast: 'Write true to look for peers on the local network, or false',
  keyPair: 'Write { publicKey, secretKey }: Uint8Arrays of 32 and 64 bytes, an Ed25519 key pair',
}

type CheckedConfig = v.InferOutput<typeof Config> & { mode: TransportConfig['mode'] }

function check(config: unknown): CheckedConfig {
  if (typeof config !== 'object' || config === null || Array.isArray(config)) {
    throw invalid(`A transport configuration is an object, not ${shown(config)}`, "Write { mode: 'hyperswarm' }")
  }
  const result = v.safeParse(Config, config)
  if (!result.success) throw explained(result.issues[0])
  const { mode, relayUrl } = result.output
  if (mode === undefined && relayUrl !== undefined) {
    throw invalid('relayUrl is given without a mode', "Write { mode: 'relay', relayUrl } to use the relay")
  }
  return { ...result.output, mode: mode ?? 'hyperswarm' }
}

function explained(issue: v.InferIssue<typeof Config>): PeerlogError {
  const path = issue.path ?? []
  const field = String(path[0]?.key)
  const where = v.getDotPath(issue) ?? field
  const found = path.at(-1)?.value
  if (!isField(field)) return invalid(`There is no field ${field}`, suggestion(field))
  if (issue.type === 'strict_object' && issue.expected === 'never') {
    return invalid(`There is no field ${where}`, WANTED[field])
  }
  const missing = found === undefined ? 'is missing' : `is ${shown(found)}`
  // It is a secret, even if it has been mistyped.
  return invalid(field === 'relayToken' ? 'relayToken is no token' : `${where} ${missing}`, WANTED[field])
}

function relayUrls(given: string | string[] | undefined, mode: string): string[] {
  const urls = typeof given === 'string' ? [given] : (given ?? [])
  if (urls.length === 0) throw invalid(`relayUrl is missing, and mode '${mode}' needs it`, WANTED.relayUrl)
  for (const url of urls) checkRelayUrl(url)
  return urls
}

function checkRelayUrl(url: string): void {
  if (!URL.canParse(url)) throw invalid(`relayUrl is ${shown(url)}, which is not a URL`, WANTED.relayUrl)
  const { protocol } = new URL(url)
  if (protocol === 'ws:' || protocol === 'wss:') return
  const instead = protocol === 'https:' ? 'wss' : protocol === 'http:' ? 'ws' : null
  throw invalid(
    `relayUrl is ${shown(url)}, but a relay speaks WebSocket`,
    instead === null ? WANTED.relayUrl : `Write '${instead}${url.slice(protocol.length - 1)}'`,
  )
}

// ---- words --------------------------------------------------------------------------------------------------------

function invalid(message: string, hint: string): PeerlogError {
  return new PeerlogError('INVALID_CONFIG', message, { hint })
}

function isField(name: string): name is (typeof FIELDS)[number] {
  return (FIELDS as readonly string[]).includes(name)
}

function suggestion(name: string): string {
  const nearest = FIELDS.map((field) => ({ field, distance: editDistance(name.toLowerCase(), field.toLowerCase()) }))
    .toSorted((a, b) => a.distance - b.distance)
    .at(0)
  if (nearest !== undefined && nearest.distance <= Math.max(2, name.length / 2)) return `Did you mean ${nearest.field}?`
  return `The fields are ${FIELDS.join(', ')}`
}

function editDistance(from: string, to: string): number {
  let row = Array.from({ length: to.length + 1 }, (_, i) => i)
  for (let i = 1; i <= from.length; i++) {
    const next = [i]
    for (let j = 1; j <= to.length; j++) {
      const replaced = (row[j - 1] as number) + (from[i - 1] === to[j - 1] ? 0 : 1)
      next.push(Math.min(replaced, (row[j] as number) + 1, (next[j - 1] as number) + 1))
    }
    row = next
  }
  return row[to.length] as number
}

/** A value as a person would write it; key material and long things by their kind only. */
function shown(value: unknown): string {
  if (typeof value === 'string') return `'${value.length > 80 ? `${value.slice(0, 80)}…` : value}'`
  if (value instanceof Uint8Array) return `${value.length} bytes`
  if (Array.isArray(value)) return value.length === 0 ? 'an empty array' : 'an array'
  if (typeof value === 'function') return 'a function'
  if (typeof value === 'object' && value !== null) return 'an object'
  return String(value)
}

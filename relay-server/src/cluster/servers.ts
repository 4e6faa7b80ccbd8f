import type { ConnectionOptions } from '@nats-io/transport-node'
import type { NatsOptions } from '../relay-options.ts'
import { DEFAULT_PREFIX } from './limits.ts'

/** Where NATS is, checked. */
export interface NatsServers {
  servers: string[]
  tls: boolean
  user: string
  password: string
  prefix: string
}

/** @throws {RangeError} that says what is wrong. */
export function parseNats({ servers, prefix = DEFAULT_PREFIX }: NatsOptions): NatsServers {
  if (servers.length === 0) throw new RangeError('nats.servers is empty. Give at least one, such as nats://host:4222')
  if (!/^[\w-]+(\.[\w-]+)*$/.test(prefix) || prefix.length > 64) {
    throw new RangeError(`nats.prefix must be up to 64 letters, digits, - and _ in parts separated by dots: ${prefix}`)
  }
  const urls = servers.map(parseServer)
  const [first] = urls as [URL]
  for (const url of urls) {
    if (url.protocol === first.protocol && url.username === first.username && url.password === first.password) continue
    throw new RangeError('The NATS servers must all be nats:// or all tls://, with the same user and password')
  }
  return {
    servers: urls.map(({ host }) => host),
    tls: first.protocol === 'tls:',
    user: decodeURIComponent(first.username),
    password: decodeURIComponent(first.password),
    prefix,
  }
}

/** What the client of NATS is to be told about them. */
export function natsOptions({ servers, tls, user, password }: NatsServers): ConnectionOptions {
  const options: ConnectionOptions = { servers: [...servers] }
  if (tls) options.tls = {}
  if (user !== '' && password !== '') Object.assign(options, { user, pass: password })
  else if (user !== '') options.token = user
  return options
}

function parseServer(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined
  const isServer = url !== undefined && /^(nats|tls):$/.test(url.protocol) && url.hostname !== ''
  // The text is not shown: there may be a password in it.
  if (!isServer || url.pathname.length > 1) throw new RangeError('A NATS server is given as nats://host:4222')
  return url
}

import { X509Certificate, createPrivateKey } from 'node:crypto'
import { type RequestListener, type Server, createServer } from 'node:http'
import { type Server as TlsServer, createServer as createTlsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { createSecureContext } from 'node:tls'

export interface TlsOptions {
  /** PEM text of the private key. */
  key: string | Buffer
  /** PEM text of the certificate, with its chain. */
  cert: string | Buffer
}

export interface ListenOptions {
  port: number
  host: string
  tls: TlsOptions | undefined
  maxConnections: number
  /** Milliseconds for TLS and a request's head to arrive, and for an answer to be taken. */
  handshakeMs: number
}

/** An HTTP or HTTPS server that is listening, or an error that says what to do. */
export async function listen(options: ListenOptions, onRequest: RequestListener): Promise<Server> {
  const { handshakeMs } = options
  const timeouts = {
    headersTimeout: handshakeMs,
    requestTimeout: handshakeMs,
    connectionsCheckingInterval: Math.ceil(handshakeMs / 4),
  }
  if (options.tls !== undefined) checkTls(options.tls)
  const server: Server =
    options.tls === undefined
      ? createServer(timeouts, onRequest)
      : createTlsServer({ ...timeouts, ...options.tls, handshakeTimeout: handshakeMs }, onRequest)
  server.maxConnections = options.maxConnections
  // For whoever does not take an answer: slow requests end earlier, and ws lifts it from its sockets.
  server.timeout = 2 * handshakeMs
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) => reject(explain(error, options)))
    server.listen(options.port, options.host, resolve)
  })
  server.on('error', () => {
    // Accepting one connection failed (no file descriptors left …); the others go on.
  })
  return server
}

/** Uses another key and certificate, which have been checked, for connections to come. */
export function replaceTls(server: Server, tls: TlsOptions): void {
  ;(server as TlsServer).setSecureContext({ key: tls.key, cert: tls.cert })
}

/** @throws {RangeError} if the two do not belong together or are no PEM. */
export function checkTls({ key, cert }: TlsOptions): void {
  let matches: boolean
  try {
    createSecureContext({ key, cert })
    matches = new X509Certificate(cert).checkPrivateKey(createPrivateKey(key))
  } catch (error) {
    const { message, code } = error as NodeJS.ErrnoException
    if (code !== 'ERR_OSSL_X509_KEY_VALUES_MISMATCH') {
      throw new RangeError(`the TLS key or certificate cannot be used (${message}). Give PEM files`, { cause: error })
    }
    matches = false
  }
  if (!matches) throw new RangeError('the TLS key is not that of the certificate. Give the two that were made together')
}

/** What a client connects to. */
export function urlOf(server: Server, options: ListenOptions): string {
  const { port } = server.address() as AddressInfo
  const wildcard = ['0.0.0.0', '::', ''].includes(options.host)
  const host = wildcard ? '127.0.0.1' : options.host.includes(':') ? `[${options.host}]` : options.host
  return `${options.tls === undefined ? 'ws' : 'wss'}://${host}:${port}`
}

function explain(error: NodeJS.ErrnoException, { port, host }: ListenOptions): Error {
  const reasons: Record<string, string> = {
    EADDRINUSE: `port ${port} is already in use. Stop the process that has it, or choose another port (0: any free one)`,
    EACCES: `no permission to listen on port ${port}. Choose a port above 1023, or allow this one to the process`,
    EADDRNOTAVAIL: `${host} is not an address of this machine. Choose one that is, or 0.0.0.0 for all`,
    ENOTFOUND: `the host ${host} is not known. Give an address of this machine, or 0.0.0.0 for all`,
  }
  const reason = reasons[error.code ?? ''] ?? `cannot listen on ${host}:${port}: ${error.message}`
  return Object.assign(new Error(reason, { cause: error }), { code: error.code })
}

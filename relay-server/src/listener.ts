import { type RequestListener, type Server, createServer } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { HEADERS_TIMEOUT_MS } from './limits.ts'

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
}

/** An HTTP or HTTPS server that is listening, or an error that says what to do. */
export async function listen(options: ListenOptions, onRequest: RequestListener): Promise<Server> {
  const timeouts = {
    headersTimeout: HEADERS_TIMEOUT_MS,
    requestTimeout: HEADERS_TIMEOUT_MS,
    connectionsCheckingInterval: HEADERS_TIMEOUT_MS / 2,
  }
  const server: Server =
    options.tls === undefined
      ? createServer(timeouts, onRequest)
      : createTlsServer({ ...timeouts, ...options.tls, handshakeTimeout: HEADERS_TIMEOUT_MS }, onRequest)
  server.maxConnections = options.maxConnections
  server.on('clientError', (_error, socket) => socket.destroy())
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) => reject(explain(error, options)))
    server.listen(options.port, options.host, resolve)
  })
  server.on('error', () => {
    // Accepting one connection failed (no file descriptors left …); the others go on.
  })
  return server
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

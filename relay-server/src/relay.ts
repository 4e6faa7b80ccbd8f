import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Duplex } from 'node:stream'
import { type ServerOptions, WebSocketServer } from 'ws'
import { Client } from './client.ts'
import { MAX_FRAME_BYTES, SUBPROTOCOL } from './frames.ts'
import {
  CLOSE_GRACE_MS,
  DEFAULT_MAX_CLIENTS,
  DEFAULT_PORT,
  MAX_OTHER_CONNECTIONS,
  PING_INTERVAL_MS,
  PING_TURNS,
} from './limits.ts'
import { type TlsOptions, listen, urlOf } from './listener.ts'
import { Switchboard } from './switchboard.ts'

/** As much of pino as the relay uses. It is given counts, addresses and reasons, never what clients send. */
export interface RelayLogger {
  debug(fields: object, message: string): void
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
}

export interface RelayOptions {
  /** TCP port; 0 picks any free one. Default 8443. */
  port?: number
  /** Address to listen on. Default `0.0.0.0`, all IPv4 addresses of the machine. */
  host?: string
  /** Serve `wss://` instead of `ws://`. */
  tls?: TlsOptions
  /** Clients that are served at once; more are answered 503. Default 10 000. */
  maxClients?: number
  /** Clients from one remote address. Default: no limit of its own. */
  maxClientsPerAddress?: number
  /** Default: no log. */
  logger?: RelayLogger
}

export interface RelayStats {
  clients: number
  /** Rendezvous with at least one member. */
  topics: number
  /** Pairs of clients that can talk to each other. */
  channels: number
  /** Bytes that wait in memory for clients to read them. */
  bufferedBytes: number
  /** Payload bytes passed on since the start. */
  forwardedBytes: number
  uptimeSeconds: number
}

export interface Relay extends AsyncDisposable {
  /** What a client on this machine connects to. */
  readonly url: string
  readonly port: number
  stats(): RelayStats
  /** Says goodbye to every client and frees the port. Idempotent. */
  close(): Promise<void>
}

/** A relay that is listening. Rejects with an error that says what to do if it cannot. */
export async function createRelay(options: RelayOptions = {}): Promise<Relay> {
  const maxClients = wholeNumber('maxClients', options.maxClients ?? DEFAULT_MAX_CLIENTS, 1)
  const maxClientsPerAddress = wholeNumber('maxClientsPerAddress', options.maxClientsPerAddress ?? maxClients, 1)
  const listenOptions = {
    port: wholeNumber('port', options.port ?? DEFAULT_PORT, 0, 65_535),
    host: options.host ?? '0.0.0.0',
    tls: options.tls,
    maxConnections: maxClients + MAX_OTHER_CONNECTIONS,
  }
  const clients = new Clients(maxClients, maxClientsPerAddress, options.logger)
  const server = await listen(listenOptions, (request, response) => answer(request, response, clients.stats()))
  const heart = clients.serve(server)
  const url = urlOf(server, listenOptions)
  const { port } = server.address() as AddressInfo
  options.logger?.info({ url, maxClients }, 'relay is listening')

  let closing: Promise<void> | undefined
  const close = (): Promise<void> =>
    (closing ??= (async () => {
      clearInterval(heart)
      await clients.closeAll(server)
      options.logger?.info({}, 'relay is closed')
    })())
  return { url, port, stats: () => clients.stats(), close, [Symbol.asyncDispose]: close }
}

/** `closeTimeout` is missing in @types/ws. */
const SOCKET_OPTIONS: ServerOptions & { closeTimeout: number } = {
  noServer: true,
  perMessageDeflate: false,
  maxPayload: MAX_FRAME_BYTES,
  handleProtocols: () => SUBPROTOCOL,
  closeTimeout: CLOSE_GRACE_MS,
}

/** Everyone who is connected. */
class Clients {
  readonly #clients = new Set<Client>()
  readonly #perAddress = new Map<string, number>()
  readonly #switchboard = new Switchboard()
  readonly #sockets = new WebSocketServer(SOCKET_OPTIONS)
  readonly #startedAt = performance.now()
  readonly #maxClients: number
  readonly #maxPerAddress: number
  readonly #logger: RelayLogger | undefined
  /** Clients since the start. */
  #connected = 0
  #closing = false

  constructor(maxClients: number, maxPerAddress: number, logger: RelayLogger | undefined) {
    this.#maxClients = maxClients
    this.#maxPerAddress = maxPerAddress
    this.#logger = logger
  }

  /** Takes the server's upgrades. Returns the timer of the heartbeat. */
  serve(server: Server): NodeJS.Timeout {
    server.on('upgrade', (request, socket, head) => this.#upgrade(request, socket, head))
    let turn = 0
    return setInterval(() => {
      turn = (turn + 1) % PING_TURNS
      for (const client of this.#clients) if (client.turn === turn) client.beat()
    }, PING_INTERVAL_MS / PING_TURNS)
  }

  stats(): RelayStats {
    let bufferedBytes = 0
    for (const client of this.#clients) bufferedBytes += client.bufferedBytes
    return {
      clients: this.#clients.size,
      topics: this.#switchboard.topics,
      channels: this.#switchboard.channels,
      bufferedBytes,
      forwardedBytes: this.#switchboard.forwardedBytes,
      uptimeSeconds: Math.floor((performance.now() - this.#startedAt) / 1000),
    }
  }

  async closeAll(server: Server): Promise<void> {
    this.#closing = true
    const closed = new Promise<void>((resolve) => server.close(() => resolve()))
    for (const client of this.#clients) client.close(1001, 'the relay is closing')
    server.closeIdleConnections()
    // ws gives up on those that do not answer; what is left then are requests that never finished.
    const deadline = setTimeout(() => server.closeAllConnections(), CLOSE_GRACE_MS)
    await closed
    clearTimeout(deadline)
  }

  #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    // ws adds its own listener later; until then an error must not go unhandled.
    const ignore = (): void => undefined
    socket.on('error', ignore)
    const address = request.socket.remoteAddress ?? 'unknown'
    const offered = request.headers['sec-websocket-protocol']?.split(',').map((name) => name.trim()) ?? []
    if (!offered.includes(SUBPROTOCOL)) return refuse(socket, 400, `this relay speaks ${SUBPROTOCOL}`)
    const full = this.#clients.size >= this.#maxClients || (this.#perAddress.get(address) ?? 0) >= this.#maxPerAddress
    if (full || this.#closing) {
      this.#logger?.warn({ address, clients: this.#clients.size }, 'client refused: relay is full')
      return refuse(socket, 503, 'the relay is full')
    }
    this.#sockets.handleUpgrade(request, socket, head, (ws) => {
      socket.off('error', ignore)
      const turn = this.#connected++ % PING_TURNS
      const from = `${address}:${request.socket.remotePort ?? 0}`
      this.#add(new Client(ws, from, this.#events(address), turn, socket))
    })
  }

  #events(address: string): ConstructorParameters<typeof Client>[2] {
    return {
      onFrame: (client, bytes) => this.#switchboard.receive(client, bytes),
      onGone: (client, reason) => {
        this.#clients.delete(client)
        const left = (this.#perAddress.get(address) ?? 1) - 1
        if (left === 0) this.#perAddress.delete(address)
        else this.#perAddress.set(address, left)
        this.#switchboard.remove(client)
        this.#logger?.debug({ address: client.address, reason, clients: this.#clients.size }, 'client gone')
      },
    }
  }

  #add(client: Client): void {
    this.#clients.add(client)
    const host = client.address.slice(0, client.address.lastIndexOf(':'))
    this.#perAddress.set(host, (this.#perAddress.get(host) ?? 0) + 1)
    this.#logger?.debug({ address: client.address, clients: this.#clients.size }, 'client connected')
  }
}

function answer(request: IncomingMessage, response: ServerResponse, stats: RelayStats): void {
  const path = request.url?.split('?')[0]
  if (path === '/healthz' && (request.method === 'GET' || request.method === 'HEAD')) {
    const { clients, topics, channels, uptimeSeconds } = stats
    response.writeHead(200, { 'content-type': 'application/json', 'cache-control': 'no-store' })
    response.end(JSON.stringify({ status: 'ok', clients, topics, channels, uptimeSeconds }) + '\n')
    return
  }
  response.writeHead(426, { 'content-type': 'text/plain', upgrade: 'websocket', connection: 'close' })
  response.end(`This is a peerlog relay: connect with a WebSocket (subprotocol ${SUBPROTOCOL}).\n`)
}

function refuse(socket: Duplex, status: 400 | 503, text: string): void {
  const title = status === 400 ? 'Bad Request' : 'Service Unavailable'
  const body = `${text}\n`
  socket.end(
    `HTTP/1.1 ${status} ${title}\r\nConnection: close\r\nContent-Type: text/plain\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
    () => socket.destroy(),
  )
}

function wholeNumber(name: string, value: number, least: number, most: number = Number.MAX_SAFE_INTEGER): number {
  if (Number.isInteger(value) && value >= least && value <= most) return value
  throw new RangeError(`${name} must be a whole number from ${least}${most < 1e9 ? ` to ${most}` : ''}, not ${value}`)
}

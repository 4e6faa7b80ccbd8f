import type { IncomingMessage, Server } from 'node:http'
import type { Duplex } from 'node:stream'
import { setTimeout as wait } from 'node:timers/promises'
import { type ServerOptions, type WebSocket, WebSocketServer } from 'ws'
import type { TrustedProxies, Visitor } from './addresses.ts'
import type { Admission, Refusal } from './admission.ts'
import { refuse } from './answers.ts'
import { Client, type ClientLimits } from './client.ts'
import { VIOLATIONS } from './close-reasons.ts'
import type { Connections } from './connections.ts'
import { SUBPROTOCOL } from './frames.ts'
import { CLOSE_GRACE_MS, DRAIN_STEP_MS, MIN_DRAIN_STEP_CLIENTS, PING_INTERVAL_MS, PING_TURNS } from './limits.ts'
import type { Refusals } from './refusals.ts'
import type { RelayLogger } from './relay.ts'
import type { Switchboard } from './switchboard.ts'
import type { Tally } from './tally.ts'
import type { Grant } from './tokens.ts'

export interface ClientsOptions {
  limits: ClientLimits
  maxFrameBytes: number
  handshakeMs: number
  proxies: TrustedProxies
  admission: Admission
  switchboard: Switchboard
  tally: Tally
  refusals: Refusals
  logger: RelayLogger | undefined
}

/** Everyone who is connected. */
export class Clients {
  readonly #clients = new Set<Client>()
  readonly #options: ClientsOptions
  readonly #sockets: WebSocketServer
  readonly #heart: NodeJS.Timeout
  /** Clients since the start. */
  #connected = 0

  constructor(options: ClientsOptions) {
    this.#options = options
    // `closeTimeout` is missing in @types/ws.
    const socketOptions: ServerOptions & { closeTimeout: number } = {
      noServer: true,
      perMessageDeflate: false,
      maxPayload: options.maxFrameBytes,
      handleProtocols: () => SUBPROTOCOL,
      closeTimeout: CLOSE_GRACE_MS,
    }
    this.#sockets = new WebSocketServer(socketOptions)
    this.#sockets.on('wsClientError', (_error, socket, request) => {
      const refusal = { reason: 'bad-request', status: 400, text: 'no WebSocket handshake' } as const
      this.#refuse(socket, options.proxies.visitor(request), refusal)
    })
    let turn = 0
    this.#heart = setInterval(() => {
      turn = (turn + 1) % PING_TURNS
      for (const client of this.#clients) if (client.turn === turn) client.beat()
    }, PING_INTERVAL_MS / PING_TURNS)
  }

  get size(): number {
    return this.#clients.size
  }

  [Symbol.iterator](): IterableIterator<Client> {
    return this.#clients.values()
  }

  /** Takes the server's upgrades. */
  serve(server: Server, connections: Connections): void {
    server.on('upgrade', (request, socket, head) => {
      this.#upgrade(request, socket, head, connections).catch((error: Error) => {
        this.#options.logger?.warn({ error: error.message }, 'upgrade failed')
        socket.destroy()
      })
    })
  }

  /** Sends everyone elsewhere, a group at a time, in about `spreadMs`. */
  async drain(spreadMs: number): Promise<void> {
    const steps = Math.max(1, Math.floor(spreadMs / DRAIN_STEP_MS))
    const perStep = Math.max(MIN_DRAIN_STEP_CLIENTS, Math.ceil(this.#clients.size / steps))
    for (;;) {
      let left = perStep
      for (const client of this.#clients) {
        if (left-- === 0) break
        client.close(1012, 'the relay is draining')
      }
      if (this.#clients.size === 0) return
      await wait(DRAIN_STEP_MS)
    }
  }

  /** Says goodbye to everyone and resolves once all sockets are gone: ws gives up on those that do not answer. */
  async close(): Promise<void> {
    clearInterval(this.#heart)
    for (const client of this.#clients) client.close(1001, 'the relay is closing')
    const open = [...this.#sockets.clients].filter((socket) => socket.readyState !== socket.CLOSED)
    await Promise.all(open.map((socket) => new Promise((resolve) => socket.once('close', resolve))))
  }

  /** Cuts whatever is left. */
  terminate(): void {
    for (const socket of this.#sockets.clients) socket.terminate()
  }

  async #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer, connections: Connections): Promise<void> {
    // ws adds its own listener later; until then an error must not go unhandled.
    const ignore = (): void => undefined
    socket.on('error', ignore)
    const { admission, proxies } = this.#options
    const visitor = proxies.visitor(request)
    const refusal = admission.judge(request, visitor)
    if (refusal !== undefined) return this.#refuse(socket, visitor, refusal)
    let grant: Grant | undefined
    if (admission.wantsTokens) {
      const checked = await admission.checkToken(request)
      if (checked !== undefined && 'reason' in checked) return this.#refuse(socket, visitor, checked)
      grant = checked
      // Others have come in the meantime.
      const late = admission.room(visitor)
      if (late !== undefined) return this.#refuse(socket, visitor, late)
    }
    this.#sockets.handleUpgrade(request, socket, head, (ws) => {
      socket.off('error', ignore)
      const openedAt = connections.openedAt(request)
      connections.becameClient(request)
      this.#add(ws, socket, visitor, grant, openedAt)
    })
  }

  #refuse(socket: Duplex, { address }: Visitor, refusal: Refusal): void {
    this.#options.refusals.refused(refusal.reason, { address })
    refuse(socket, refusal)
  }

  #add(socket: WebSocket, stream: Duplex, visitor: Visitor, grant: Grant | undefined, openedAt: number): void {
    const { limits, handshakeMs, admission, switchboard, tally, refusals, logger } = this.#options
    const { address } = visitor
    const client = new Client(socket, {
      address,
      limits,
      turn: this.#connected++ % PING_TURNS,
      stream,
      handshakeMs: Math.max(0, handshakeMs - (performance.now() - openedAt)),
      grant,
      tally,
      events: {
        onFrame: (from, bytes) => switchboard.receive(from, bytes),
        onRefused: (_client, reason) => refusals.refused(reason, { address }),
        onGone: (gone, reason, text) => {
          this.#clients.delete(gone)
          admission.leave(visitor)
          switchboard.remove(gone)
          tally.closes[reason]++
          if (VIOLATIONS.has(reason)) refusals.warn('client closed', reason, { address, text })
          logger?.debug({ address, reason, text, clients: this.#clients.size }, 'client gone')
        },
      },
    })
    admission.enter(visitor)
    this.#clients.add(client)
    logger?.debug({ address, sub: grant?.subject, clients: this.#clients.size }, 'client connected')
  }
}

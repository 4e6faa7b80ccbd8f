import type { IncomingMessage, Server } from 'node:http'
import type { Socket } from 'node:net'
import { PerAddress, type TrustedProxies, keyOf, plainAddress } from './addresses.ts'
import { MAX_OTHER_CONNECTIONS_PER_ADDRESS } from './limits.ts'
import type { Refusals } from './refusals.ts'

interface Connection {
  /** On the clock of `performance.now()`. */
  openedAt: number
  /** Counts it no longer among those that are no clients. */
  release(): void
}

/** TCP connections, most of all those that are no clients (yet): few from one address, and none that takes its time. */
export class Connections {
  /** By both ends: what a TLS server calls a connection and what a request calls it are two objects. */
  readonly #open = new Map<string, Connection>()
  readonly #waiting = new PerAddress()
  readonly #proxies: TrustedProxies
  readonly #refusals: Refusals

  constructor(server: Server, proxies: TrustedProxies, refusals: Refusals) {
    this.#proxies = proxies
    this.#refusals = refusals
    server.on('connection', (socket: Socket) => this.#add(socket))
    // Beyond server.maxConnections.
    server.on('drop', (data?: { remoteAddress?: string }) =>
      refusals.refused('full', { address: data?.remoteAddress ?? 'unknown' }),
    )
    server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
      const slow = error.code === 'ERR_HTTP_REQUEST_TIMEOUT'
      // Those who just hang up are no news.
      if (slow || error.code?.startsWith('HPE_') === true) {
        this.#refusals.refused(slow ? 'slow-handshake' : 'bad-request', { address: addressOf(socket as Socket) })
      }
      socket.destroy()
    })
    server.on('tlsClientError', (error: NodeJS.ErrnoException, socket: Socket) => {
      const slow = error.code === 'ERR_TLS_HANDSHAKE_TIMEOUT'
      this.#refusals.refused(slow ? 'slow-handshake' : 'tls', { address: addressOf(socket) })
      socket.destroy()
    })
  }

  /** When the connection of a request was opened, on the clock of `performance.now()`. */
  openedAt({ socket }: IncomingMessage): number {
    return this.#open.get(nameOf(socket))?.openedAt ?? performance.now()
  }

  /** The connection is a client's from now on, and counted as such by others. */
  becameClient({ socket }: IncomingMessage): void {
    this.#open.get(nameOf(socket))?.release()
  }

  #add(socket: Socket): void {
    const address = plainAddress(socket.remoteAddress ?? '')
    const key = keyOf(address)
    const limited = !this.#proxies.trusts(address)
    if (limited && this.#waiting.of(key) >= MAX_OTHER_CONNECTIONS_PER_ADDRESS) {
      this.#refusals.refused('address-connections', { address: addressOf(socket) })
      socket.destroy()
      return
    }
    let counted = limited
    if (counted) this.#waiting.add(key, 1)
    const release = (): void => {
      if (counted) this.#waiting.add(key, -1)
      counted = false
    }
    const name = nameOf(socket)
    this.#open.set(name, { openedAt: performance.now(), release })
    socket.once('close', () => {
      release()
      this.#open.delete(name)
    })
  }
}

function nameOf(socket: Socket): string {
  return `${socket.remoteAddress} ${socket.remotePort} ${socket.localAddress}`
}

function addressOf(socket: Socket): string {
  return socket.remoteAddress === undefined ? 'unknown' : `${plainAddress(socket.remoteAddress)}:${socket.remotePort}`
}

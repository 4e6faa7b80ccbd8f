import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { SUBPROTOCOL } from 'peerlog-relay/frames'
import { WebSocket, WebSocketServer } from 'ws'

/** Which way a frame goes through the proxy. */
export type Direction = 'to-relay' | 'to-client'

/** What is passed on instead of a frame: nothing, itself, other frames, several. */
export type TamperHook = (direction: Direction, frame: Uint8Array) => Uint8Array[]

export interface TamperingProxy extends AsyncDisposable {
  /** What clients connect to. */
  readonly url: string
  /** Sockets that clients have opened so far. */
  readonly connections: number
  /** Stops reading from, and answering, everyone: a relay that hangs while its TCP connections stay open. */
  freeze(): void
  /** Says goodbye to all clients with a close code. */
  sendAway(code: number): void
  /** Sends a frame to all clients, as if it came from the relay. */
  inject(frame: Uint8Array): void
  close(): Promise<void>
}

/**
 * A WebSocket man in the middle: hands every frame between clients and the relay at `targetUrl` to the hook. `admit` looks
 * at what the client shows as its authorization, and returns the HTTP status that it is refused with, or null.
 */
export async function startTamperingProxy(
  targetUrl: string,
  hook: TamperHook,
  admit: (authorization: string | undefined) => number | null = () => null,
): Promise<TamperingProxy> {
  const server = new WebSocketServer({
    port: 0,
    host: '127.0.0.1',
    perMessageDeflate: false,
    verifyClient: ({ req }, answer) => {
      const status = admit(req.headers.authorization)
      answer(status === null, status ?? undefined)
    },
  })
  await once(server, 'listening')
  const sockets = new Set<WebSocket>()
  const clients = new Set<WebSocket>()
  let connections = 0

  const pipe = (from: WebSocket, to: WebSocket, direction: Direction): void => {
    sockets.add(from)
    from.on('error', () => {})
    from.on('message', (data: Buffer) => {
      for (const frame of hook(direction, data)) if (to.readyState === WebSocket.OPEN) to.send(frame)
    })
    from.on('close', () => {
      sockets.delete(from)
      clients.delete(from)
      to.close()
    })
  }
  server.on('connection', (client) => {
    connections++
    clients.add(client)
    const upstream = new WebSocket(targetUrl, SUBPROTOCOL, { perMessageDeflate: false })
    // Nothing is lost while the other half opens.
    client.pause()
    upstream.once('open', () => client.resume())
    pipe(client, upstream, 'to-relay')
    pipe(upstream, client, 'to-client')
  })

  const close = async (): Promise<void> => {
    for (const socket of sockets) socket.terminate()
    await new Promise((resolve) => server.close(resolve))
  }
  return {
    url: `ws://127.0.0.1:${(server.address() as AddressInfo).port}`,
    get connections() {
      return connections
    },
    freeze: () => {
      for (const socket of sockets) socket.pause()
    },
    sendAway: (code) => {
      for (const client of clients) client.close(code)
    },
    inject: (frame) => {
      for (const client of clients) client.send(frame)
    },
    close,
    [Symbol.asyncDispose]: close,
  }
}

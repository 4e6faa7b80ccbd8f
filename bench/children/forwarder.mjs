import { createRequire } from 'node:module'
import { MAX_FRAME_BYTES, SUBPROTOCOL } from 'peerlog-relay/frames'
import { serve } from '../lib/served.mjs'

/**
 * The least that passes WebSocket messages on: what a relay is measured beside. It reads nothing, counts nothing and
 * bounds nothing. The path says who belongs together:
 *
 *   /pair/NAME          two sockets; what one sends the other gets
 *   /room/NAME/PLACE    the four bytes after a message's first one name the place of the socket that gets it
 */

const PING_INTERVAL_MS = 30_000

// The relay's own copy of the package.
const { WebSocketServer } = createRequire(import.meta.resolve('peerlog-relay'))('ws')
const server = new WebSocketServer({
  port: 0,
  host: '127.0.0.1',
  perMessageDeflate: false,
  maxPayload: MAX_FRAME_BYTES,
  handleProtocols: () => SUBPROTOCOL,
})
/** The first socket of a pair, by name. */
const waiting = new Map()
/** Sockets by place, by name. */
const rooms = new Map()

server.on('connection', (socket, { url }) => {
  const [, kind, name, place] = url.split('/')
  socket.on('error', () => socket.terminate())
  if (kind === 'room') seat(socket, name, Number(place))
  else pair(socket, name)
})

function pair(socket, name) {
  const other = waiting.get(name)
  if (other === undefined) {
    waiting.set(name, socket)
    return
  }
  waiting.delete(name)
  socket.on('message', (bytes) => other.send(bytes))
  other.on('message', (bytes) => socket.send(bytes))
}

function seat(socket, name, place) {
  const room = rooms.get(name) ?? []
  rooms.set(name, room)
  room[place] = socket
  socket.on('message', (bytes) => room[bytes.readUInt32BE(1)]?.send(bytes))
}

setInterval(() => {
  for (const socket of server.clients) socket.ping()
}, PING_INTERVAL_MS)
await new Promise((resolve) => server.once('listening', resolve))
serve({ port: server.address().port, stats: () => ({}), close: () => process.exit(0) })

import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import type { Refusal } from './admission.ts'
import { SUBPROTOCOL } from './frames.ts'
import type { RelayStats } from './relay.ts'

/** What plain HTTP requests are answered from. */
export interface Answers {
  stats(): RelayStats
  /** Why no client should be sent here, or undefined. */
  unready(): string | undefined
  /** Undefined if metrics are not served here. */
  metrics: (() => Promise<{ contentType: string; text: string }>) | undefined
  /** Somebody asked for something else. */
  onOther(request: IncomingMessage): void
}

/** `/healthz`, `/readyz`, `/metrics`; everything else is told to upgrade. */
export function answerWith(answers: Answers): RequestListener {
  return (request, response) => {
    const path = request.url?.split('?')[0]
    const reads = request.method === 'GET' || request.method === 'HEAD'
    if (reads && path === '/healthz') {
      const { clients, topics, channels, uptimeSeconds } = answers.stats()
      return sendJson(response, 200, { status: 'ok', clients, topics, channels, uptimeSeconds })
    }
    if (reads && path === '/readyz') {
      const unready = answers.unready()
      return sendJson(response, unready === undefined ? 200 : 503, { status: unready ?? 'ready' })
    }
    if (reads && path === '/metrics' && answers.metrics !== undefined) {
      answers.metrics().then(
        ({ contentType, text }) => send(response, 200, contentType, text),
        () => send(response, 500, 'text/plain', 'the metrics could not be gathered\n'),
      )
      return
    }
    answers.onOther(request)
    response.writeHead(426, { 'content-type': 'text/plain', upgrade: 'websocket', connection: 'close' })
    response.end(`This is a peerlog relay: connect with a WebSocket (subprotocol ${SUBPROTOCOL}).\n`)
  }
}

const TITLES: Record<Refusal['status'], string> = {
  400: 'Bad Request',
  401: 'Unauthorized',
  403: 'Forbidden',
  429: 'Too Many Requests',
  503: 'Service Unavailable',
}
const HEADERS: Partial<Record<Refusal['status'], string>> = {
  401: 'WWW-Authenticate: Bearer\r\n',
  429: 'Retry-After: 60\r\n',
  503: 'Retry-After: 5\r\n',
}

/** Answers an upgrade that is turned away, and hangs up. */
export function refuse(socket: Duplex, { status, text }: Refusal): void {
  const body = `${text}\n`
  socket.end(
    `HTTP/1.1 ${status} ${TITLES[status]}\r\nConnection: close\r\nContent-Type: text/plain\r\n` +
      `${HEADERS[status] ?? ''}Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
    () => socket.destroy(),
  )
}

function sendJson(response: ServerResponse, status: number, value: object): void {
  send(response, status, 'application/json', JSON.stringify(value) + '\n')
}

function send(response: ServerResponse, status: number, contentType: string, text: string): void {
  response.writeHead(status, { 'content-type': contentType, 'cache-control': 'no-store' })
  response.end(text)
}

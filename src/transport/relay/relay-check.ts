import { lookup } from 'node:dns/promises'
import { once } from 'node:events'
import { get as httpGet, type IncomingMessage } from 'node:http'
import { get as httpsGet } from 'node:https'
import { connect as tcpConnect, isIP, type Socket } from 'node:net'
import { connect as tlsConnect, type TLSSocket } from 'node:tls'
import { SUBPROTOCOL } from 'peerlog-relay/frames'
import { WebSocket } from 'ws'
import { type RelayToken, refusalText, tokenHeaders } from './token.ts'

const PINGS = 5
const DAY_MS = 86_400_000
/** Bytes of a relay's account of itself that are read. */
const MAX_HEALTH_BYTES = 65_536

export interface RelayCheckOptions {
  url: string
  token?: RelayToken
  /** Milliseconds for each step. */
  timeoutMs: number
  signal?: AbortSignal
}

/** How far each step got; a step that was not reached is missing, one that failed has an `error`. */
export interface RelayReport {
  /** The host's addresses. */
  resolved?: { addresses: string[] } | StepError
  tcp?: { ms: number } | StepError
  /** Only of `wss:`. */
  tls?: { protocol: string; daysLeft: number } | (StepError & { daysLeft?: number })
  /** What it says of itself at `/healthz`, over HTTP. */
  health?: { version: string | null; clockOffsetMs: number | null } | StepError
  /** Milliseconds of the pings over the WebSocket, the median. */
  webSocket?: { pingMs: number } | StepError
}

export interface StepError {
  error: string
}

/** Goes the way to a relay step by step, and stops where it does not go on. Leaves nothing open. */
export async function checkRelay(options: RelayCheckOptions): Promise<RelayReport> {
  const url = new URL(options.url)
  const report: RelayReport = {}
  const signal = AbortSignal.any([
    AbortSignal.timeout(5 * options.timeoutMs),
    ...(options.signal === undefined ? [] : [options.signal]),
  ])
  const host = url.hostname.replace(/^\[|\]$/g, '')
  const port = Number(url.port) || (url.protocol === 'wss:' ? 443 : 80)
  const step = <T>(work: (signal: AbortSignal) => Promise<T>): Promise<T | StepError> => attempt(work, options, signal)

  report.resolved = await step(async () => ({
    addresses: isIP(host) > 0 ? [host] : (await lookup(host, { all: true })).map(({ address }) => address),
  }))
  if ('error' in report.resolved) return report
  report.tcp = await step((stop) => checkTcp(host, port, stop))
  if ('error' in report.tcp) return report
  if (url.protocol === 'wss:') {
    report.tls = await step((stop) => checkTls(host, port, stop))
    if ('error' in report.tls) return report
  }
  const [health, webSocket] = await Promise.all([
    step((stop) => checkHealth(url, stop)),
    step((stop) => checkWebSocket(options, stop)),
  ])
  return { ...report, health, webSocket }
}

async function attempt<T>(
  work: (signal: AbortSignal) => Promise<T>,
  { timeoutMs }: RelayCheckOptions,
  signal: AbortSignal,
): Promise<T | StepError> {
  const patience = AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)])
  const given = new Promise<never>((_resolve, reject) => {
    const late = (): void => reject(new Error(`no answer within ${timeoutMs} ms`))
    if (patience.aborted) late()
    patience.addEventListener('abort', late, { once: true })
  })
  try {
    return await Promise.race([work(patience), given])
  } catch (error) {
    return { error: messageOf(error) }
  }
}

async function checkTcp(host: string, port: number, signal: AbortSignal): Promise<{ ms: number }> {
  const since = performance.now()
  const socket: Socket = tcpConnect({ host, port })
  signal.addEventListener('abort', () => socket.destroy(), { once: true })
  try {
    await once(socket, 'connect')
    return { ms: performance.now() - since }
  } finally {
    socket.destroy()
  }
}

async function checkTls(host: string, port: number, signal: AbortSignal): Promise<NonNullable<RelayReport['tls']>> {
  // Looked at whatever it is, so that it can be told what is wrong with it.
  const name = isIP(host) > 0 ? {} : { servername: host }
  const socket: TLSSocket = tlsConnect({ host, port, rejectUnauthorized: false, ...name })
  signal.addEventListener('abort', () => socket.destroy(), { once: true })
  try {
    await once(socket, 'secureConnect')
    const daysLeft = Math.floor((Date.parse(socket.getPeerCertificate().valid_to) - Date.now()) / DAY_MS)
    const refusal = socket.authorizationError as Error | string | null | undefined
    if (refusal != null) return { error: messageOf(refusal), daysLeft }
    return { protocol: socket.getProtocol() ?? 'unknown', daysLeft }
  } finally {
    socket.destroy()
  }
}

async function checkHealth(url: URL, signal: AbortSignal): Promise<NonNullable<RelayReport['health']>> {
  const healthz = new URL('/healthz', url)
  healthz.protocol = url.protocol === 'wss:' ? 'https:' : 'http:'
  const since = Date.now()
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    const get = healthz.protocol === 'https:' ? httpsGet : httpGet
    get(healthz, { signal, agent: false }, resolve).on('error', reject)
  })
  const until = Date.now()
  // Whole seconds: on average half of one has passed since.
  const theirs = Date.parse(response.headers.date ?? '') + 500
  const clockOffsetMs = Number.isNaN(theirs) ? null : Math.round(theirs - (since + until) / 2)
  let text = ''
  for await (const chunk of response.setEncoding('utf8')) {
    text += chunk as string
    if (text.length > MAX_HEALTH_BYTES) break
  }
  return { version: versionIn(text), clockOffsetMs }
}

function versionIn(text: string): string | null {
  try {
    const { version } = JSON.parse(text) as { version?: unknown }
    return typeof version === 'string' ? version : null
  } catch {
    return null
  }
}

async function checkWebSocket({ url, token }: RelayCheckOptions, signal: AbortSignal): Promise<{ pingMs: number }> {
  const headers = await tokenHeaders(token)
  const socket = new WebSocket(url, SUBPROTOCOL, { perMessageDeflate: false, headers })
  const refused = new Promise<never>((_resolve, reject) => {
    socket.on('unexpected-response', (_request, { statusCode }) => {
      reject(new Error(refusalText(statusCode ?? 0, token !== undefined)))
      socket.terminate()
    })
    socket.on('error', reject)
    socket.on('close', (code, reason) => reject(new Error(`it closed the connection (${code}) ${reason.toString()}`)))
  })
  refused.catch(() => {})
  signal.addEventListener('abort', () => socket.terminate(), { once: true })
  try {
    await Promise.race([refused, once(socket, 'open')])
    const times: number[] = []
    while (times.length < PINGS) {
      const since = performance.now()
      const answered = once(socket, 'pong')
      socket.ping()
      await Promise.race([refused, answered])
      times.push(performance.now() - since)
    }
    return { pingMs: times.toSorted((a, b) => a - b)[PINGS >> 1] as number }
  } finally {
    socket.terminate()
  }
}

function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  // Several addresses were tried: each has an error of its own, the whole none.
  if (error instanceof AggregateError && error.message === '') return error.errors.map(messageOf).join('; ')
  return error.message
}

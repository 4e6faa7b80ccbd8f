import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { type ClientRequest, type IncomingMessage, get } from 'node:http'
import { connect } from 'node:net'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { type ClientOptions, WebSocket } from 'ws'
import { SUBPROTOCOL } from '../../relay-server/src/frames.ts'
import type { RelayLogger } from '../../relay-server/src/index.ts'

export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve))
}

export async function fetchText(url: string): Promise<{ status: number | undefined; body: string }> {
  const [response] = (await once(get(url), 'response')) as [IncomingMessage]
  return { status: response.statusCode, body: await text(response) }
}

/** What a WebSocket client is answered that is not let in. */
export async function refusedWith(
  url: string,
  options: ClientOptions & { protocols?: string[] } = {},
): Promise<{ status: number | undefined; body: string; headers: IncomingMessage['headers'] }> {
  const socket = new WebSocket(url, options.protocols ?? [SUBPROTOCOL], options)
  socket.on('error', () => {})
  socket.on('open', () => socket.emit('failed', new Error('was let in')))
  const [, response] = (await once(socket, 'unexpected-response')) as [ClientRequest, IncomingMessage]
  return { status: response.statusCode, body: await text(response), headers: response.headers }
}

/** Sends bytes over TCP and returns what comes back until the relay hangs up. */
export async function sendRaw(port: number, bytes: string): Promise<string> {
  const socket = connect(port, '127.0.0.1')
  socket.on('error', () => {})
  const chunks: Buffer[] = []
  socket.on('data', (chunk) => chunks.push(chunk))
  if (bytes !== '') socket.write(bytes, 'latin1')
  await once(socket, 'close')
  return Buffer.concat(chunks).toString('latin1')
}

/** Keeps what is logged at info and above. */
export class LogBook implements RelayLogger {
  readonly lines: { message: string; [field: string]: unknown }[] = []

  debug(): void {}
  info(fields: object, message: string): void {
    this.lines.push({ ...fields, message })
  }
  warn(fields: object, message: string): void {
    this.lines.push({ ...fields, message })
  }

  /** Lines that have the reason. */
  about(reason: string): { message: string; [field: string]: unknown }[] {
    return this.lines.filter((line) => line.reason === reason)
  }
}

/** The samples of a scrape: `peerlog_relay_closes_total{reason="left"}` → number. */
export async function scrape(url: string): Promise<Map<string, number>> {
  const { body } = await fetchText(url)
  const samples = body.split('\n').filter((line) => line !== '' && !line.startsWith('#'))
  return new Map(
    samples.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ')))]),
  )
}

/** Makes a key and a certificate of its own for 127.0.0.1. */
export function makeCertificate(
  folder: string,
  name: string,
): { keyFile: string; certFile: string; cert: Buffer; key: Buffer } {
  const [keyFile, certFile] = [join(folder, `${name}.key`), join(folder, `${name}.pem`)]
  const subject = ['-subj', `/CN=${name}`, '-addext', 'subjectAltName=IP:127.0.0.1']
  const make = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2']
  execFileSync('openssl', [...make, '-keyout', keyFile, '-out', certFile, ...subject], { stdio: 'ignore' })
  return { keyFile, certFile, cert: readFileSync(certFile), key: readFileSync(keyFile) }
}

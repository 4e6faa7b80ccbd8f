import { createServer, connect } from 'node:net'
import type { AddressInfo, Server, Socket } from 'node:net'

/** Bytes of one direction that may be on the way: far more than any window of those who talk through it. */
const MAX_BYTES_ON_THE_WAY = 32 * 1024 * 1024

/** A TCP proxy that takes time, but no throughput: each direction arrives some milliseconds later. */
export class DelayProxy {
  readonly port: number
  readonly #server: Server
  readonly #sockets: Set<Socket>

  private constructor(server: Server, sockets: Set<Socket>) {
    this.#server = server
    this.#sockets = sockets
    this.port = (server.address() as AddressInfo).port
  }

  /** @param delayMs of each direction; half of the round trip. */
  static async listen(targetPort: number, delayMs: number): Promise<DelayProxy> {
    const sockets = new Set<Socket>()
    const server = createServer((near) => {
      const far = connect({ port: targetPort, host: '127.0.0.1' })
      for (const socket of [near, far]) {
        socket.setNoDelay(true)
        sockets.add(socket)
        socket.on('error', () => socket.destroy())
        socket.on('close', () => sockets.delete(socket))
      }
      pass(near, far, delayMs)
      pass(far, near, delayMs)
    })
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen(0, '127.0.0.1', resolve)
    })
    return new DelayProxy(server, sockets)
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    await new Promise((resolve) => this.#server.close(resolve))
  }
}

function pass(from: Socket, to: Socket, delayMs: number): void {
  /** What is on the way and when it arrives; null is the end. */
  const onTheWay: { at: number; chunk: Buffer | null }[] = []
  let bytes = 0
  let timer: NodeJS.Timeout | undefined
  const deliver = (): void => {
    timer = undefined
    const now = performance.now()
    let due = onTheWay.findIndex(({ at }) => at > now)
    if (due === -1) due = onTheWay.length
    for (const { chunk } of onTheWay.splice(0, due)) {
      if (chunk === null) {
        to.end()
        continue
      }
      bytes -= chunk.length
      to.write(chunk)
    }
    if (to.writableLength < MAX_BYTES_ON_THE_WAY && bytes < MAX_BYTES_ON_THE_WAY) from.resume()
    const next = onTheWay[0]
    if (next !== undefined) timer = setTimeout(deliver, Math.max(1, next.at - now))
  }
  const take = (chunk: Buffer | null): void => {
    onTheWay.push({ at: performance.now() + delayMs, chunk })
    if (chunk !== null) bytes += chunk.length
    if (bytes + to.writableLength >= MAX_BYTES_ON_THE_WAY) from.pause()
    if (delayMs === 0) deliver()
    else timer ??= setTimeout(deliver, delayMs)
  }
  from.on('data', take)
  from.on('end', () => take(null))
  to.on('drain', () => from.resume())
  from.on('close', () => {
    if (!from.readableEnded) take(null)
  })
  to.on('close', () => {
    clearTimeout(timer)
    onTheWay.length = 0
    from.destroy()
  })
}

import type { Socket } from 'node:dgram'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { dice } from '../../src/base/dice.ts'

/** A way between two ports of 127.0.0.1 that loses a share of the datagrams: each side sees the other at a port of the proxy. */
export class LossyWay implements AsyncDisposable {
  readonly #sockets: [Socket, Socket]
  passed = 0
  lost = 0
  bytes = 0

  private constructor(sockets: [Socket, Socket]) {
    this.#sockets = sockets
  }

  static async open(ports: [number, number], loss: number, seed: number): Promise<LossyWay> {
    const random = dice(seed)
    const sockets = [createSocket('udp4'), createSocket('udp4')] as [Socket, Socket]
    const way = new LossyWay(sockets)
    for (const [side, socket] of sockets.entries()) {
      socket.bind(0, '127.0.0.1')
      await once(socket, 'listening')
      // What comes from one side goes out to the other one.
      socket.on('message', (bytes) => {
        way.bytes += bytes.length
        if (random() < loss) {
          way.lost++
          return
        }
        way.passed++
        sockets[1 - side]?.send(bytes, ports[1 - side], '127.0.0.1')
      })
      socket.setRecvBufferSize(1 << 21)
    }
    return way
  }

  /** Where the side finds the other. */
  addressFor(side: 0 | 1): string {
    return `127.0.0.1:${this.#sockets[side].address().port}`
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) {
      const closed = once(socket, 'close')
      socket.close()
      await closed
    }
  }
}

/** UDP ports of 127.0.0.1 that are free now. */
export async function freePorts(count: number): Promise<number[]> {
  const sockets = Array.from({ length: count }, () => createSocket('udp4'))
  for (const socket of sockets) {
    socket.bind(0)
    await once(socket, 'listening')
  }
  const ports = sockets.map((socket) => socket.address().port)
  await Promise.all(
    sockets.map((socket) => {
      const closed = once(socket, 'close')
      socket.close()
      return closed
    }),
  )
  return ports
}

import type { Socket } from 'node:dgram'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { isIPv6 } from 'node:net'
import os from 'node:os'
import { PeerlogError } from '../../base/errors.ts'
import { within } from '../within.ts'
import type { UdpAddress } from './address.ts'
import { formatAddress, parseAddress } from './address.ts'
import {
  GOODBYE_MS,
  INTERFACES_MS,
  MAX_MULTICASTS_WAITING,
  MAX_PENDING_DATAGRAMS,
  MULTICAST_GROUP,
  MULTICAST_PORT,
  MULTICAST_TTL,
  SOCKET_BUFFER_BYTES,
} from './limits.ts'

export interface SocketOptions {
  /** Ours; 0: any that is free. */
  port: number
  /** Whom heartbeats go to besides the local network. */
  peers: readonly UdpAddress[]
  /** Look for peers on the local network. */
  multicast: boolean
  onDatagram: (bytes: Buffer, address: string) => void
  /** Something is wrong that does not stop the rest. */
  onProblem: (error: unknown) => void
}

/**
 * The open sockets: one that everything is sent from, for IPv6 another, and one that hears the multicast group. That one is
 * bound to a port that several processes of a machine share, so nothing can be sent to one of them there.
 */
export class UdpSockets {
  readonly #options: SocketOptions
  readonly #main: Socket
  readonly #six: Socket | null
  readonly #group: Socket | null
  /** Addresses of interfaces on which the group is heard. */
  #joined = new Set<string>()
  #pending = 0
  #onDrained: () => void = () => {}
  #timer: NodeJS.Timeout | undefined
  #closed = false
  /** Multicasts go out one after the other, because the interface is a property of the socket. */
  #multicasts: Promise<void> = Promise.resolve()
  #multicastsWaiting = 0

  /** @throws {PeerlogError} `INVALID_CONFIG` if the port can't be used. */
  static async open(options: SocketOptions): Promise<UdpSockets> {
    const sockets = new UdpSockets(options)
    try {
      await sockets.#bind()
      return sockets
    } catch (cause) {
      await sockets.close()
      throw new PeerlogError('INVALID_CONFIG', `UDP port ${options.port} can't be used`, {
        hint: 'Write another udpPort, or leave it out for one that is free',
        cause,
      })
    }
  }

  private constructor(options: SocketOptions) {
    this.#options = options
    this.#main = createSocket({ type: 'udp4' })
    this.#six = options.peers.some(({ host }) => isIPv6(host)) ? createSocket({ type: 'udp6', ipv6Only: true }) : null
    this.#group = options.multicast ? createSocket({ type: 'udp4', reuseAddr: true }) : null
    for (const socket of this.#all) {
      socket.on('message', (bytes, { address: host, port }) => {
        if (!this.#closed) options.onDatagram(bytes, formatAddress({ host, port }))
      })
    }
  }

  get #all(): Socket[] {
    return [this.#main, this.#six, this.#group].filter((socket) => socket !== null)
  }

  async #bind(): Promise<void> {
    await bound(this.#main, this.#options.port)
    if (this.#six !== null) await bound(this.#six, this.port)
    for (const socket of [this.#main, this.#six]) enlarge(socket)
    if (this.#group !== null) await this.#bindGroup(this.#group)
    for (const socket of this.#all) socket.on('error', (error) => this.#options.onProblem(error))
  }

  async #bindGroup(group: Socket): Promise<void> {
    this.#main.setMulticastTTL(MULTICAST_TTL)
    this.#main.setMulticastLoopback(true)
    try {
      await bound(group, MULTICAST_PORT)
    } catch (error) {
      // Somebody keeps the port to himself: peers can still be listed.
      this.#options.onProblem(error)
      return
    }
    this.#join(group)
    this.#timer = setInterval(() => this.#join(group), INTERFACES_MS)
  }

  /** Hears the group on every interface, also on those that have come since. */
  #join(group: Socket): void {
    const present = new Set(interfaces())
    for (const address of present) {
      if (this.#joined.has(address)) continue
      try {
        group.addMembership(MULTICAST_GROUP, address)
      } catch {
        // It can't do multicast, or is on its way down.
        present.delete(address)
      }
    }
    this.#joined = present
  }

  /** The port that everything is sent from. */
  get port(): number {
    return this.#main.address().port
  }

  send(bytes: Uint8Array, to: string): void {
    const address = parseAddress(to)
    if (address === null || this.#closed || this.#pending >= MAX_PENDING_DATAGRAMS) return
    const socket = isIPv6(address.host) ? this.#six : this.#main
    if (socket === null) return
    this.#pending++
    // Whether it arrives is not known anyway.
    socket.send(bytes, address.port, address.host, () => {
      if (--this.#pending === 0) this.#onDrained()
    })
  }

  /** To the group on every interface, and to all that are listed. */
  sendToAll(bytes: Uint8Array): void {
    for (const peer of this.#options.peers) this.send(bytes, formatAddress(peer))
    if (this.#group === null || this.#multicastsWaiting >= MAX_MULTICASTS_WAITING) return
    this.#multicastsWaiting++
    this.#multicasts = this.#multicasts.then(async () => {
      for (const address of this.#joined) await this.#multicast(bytes, address)
      this.#multicastsWaiting--
    })
  }

  #multicast(bytes: Uint8Array, from: string): Promise<void> {
    return new Promise((resolve) => {
      if (this.#closed) return resolve()
      try {
        this.#main.setMulticastInterface(from)
        this.#main.send(bytes, MULTICAST_PORT, MULTICAST_GROUP, () => resolve())
      } catch {
        // The interface is gone.
        resolve()
      }
    })
  }

  /** Idempotent. What was sent before still goes out. */
  async close(): Promise<void> {
    clearInterval(this.#timer)
    if (this.#closed) return
    this.#closed = true
    const drained = new Promise<void>((resolve) => (this.#onDrained = resolve))
    if (this.#pending > 0) await within(GOODBYE_MS, drained)
    await this.#multicasts
    await Promise.all(this.#all.map((socket) => closed(socket)))
  }
}

async function bound(socket: Socket, port: number): Promise<void> {
  const listening = once(socket, 'listening')
  socket.bind(port)
  await listening
}

function closed(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    try {
      socket.close(resolve)
    } catch {
      // It has never been bound.
      resolve()
    }
  })
}

function enlarge(socket: Socket | null): void {
  try {
    socket?.setRecvBufferSize(SOCKET_BUFFER_BYTES)
    socket?.setSendBufferSize(SOCKET_BUFFER_BYTES)
  } catch {
    // What the system gives by itself has to do.
  }
}

/** IPv4 addresses of this machine, that of the loopback among them: processes of one machine meet without a network. */
function interfaces(): string[] {
  return Object.values(os.networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    .filter(({ family }) => family === 'IPv4')
    .map(({ address }) => address)
}

import type { DatagramPacket, Network } from './network.ts'
import type { Time } from './scheduler.ts'
import type { StreamPacket, StreamPacketBody } from './stream.ts'
import { StreamEnd } from './stream.ts'

export interface StreamsOptions {
  device: number
  time: Time
  network: Network<StreamPacket | DatagramPacket>
  /** A number that no stream has had. */
  newId: () => number
  /** Somebody has opened a stream; handlers are to be set before this returns. */
  accept: (end: StreamEnd) => void
}

/** The streams that one process of a device has. */
export class Streams {
  readonly #options: StreamsOptions
  readonly #ends = new Map<number, StreamEnd>()

  constructor(options: StreamsOptions) {
    this.#options = options
  }

  dial(peer: number): StreamEnd {
    return this.#add(this.#options.newId(), peer, true)
  }

  receive(from: number, packet: StreamPacket): void {
    const end = this.#ends.get(packet.stream)
    if (end !== undefined) return end.receive(packet)
    if (packet.kind === 'open') this.#options.accept(this.#add(packet.stream, from, false))
    else if (packet.kind === 'piece' || packet.kind === 'opened') this.#send(packet.stream, from, { kind: 'reset' }, 0)
  }

  /** The process is gone. */
  drop(): void {
    for (const end of this.#ends.values()) end.drop()
  }

  #add(id: number, peer: number, initiator: boolean): StreamEnd {
    const send = (body: StreamPacketBody, bytes: number): void => this.#send(id, peer, body, bytes)
    const gone = (): void => void this.#ends.delete(id)
    const end = new StreamEnd(id, peer, initiator, this.#options.time, send, gone)
    this.#ends.set(id, end)
    return end
  }

  #send(stream: number, peer: number, body: StreamPacketBody, bytes: number): void {
    const packet = { again: false, ...body, stream, bytes } as StreamPacket
    this.#options.network.send(this.#options.device, peer, packet)
  }
}

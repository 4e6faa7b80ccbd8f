import { once } from 'node:events'
import { type ClientOptions, WebSocket } from 'ws'
import { type Frame, SUBPROTOCOL, decodeFrame, encodeFrame } from '../../relay-server/src/frames.ts'

/** A WebSocket that speaks frames and keeps what it got until somebody asks. */
export class RawClient {
  readonly socket: WebSocket
  readonly frames: Frame[] = []
  /** Close code and reason, once it is closed. */
  readonly closed: Promise<{ code: number; reason: string }>
  /** Gets the frames instead. */
  onFrame: ((frame: Frame) => void) | undefined
  #changed: () => void = () => {}

  private constructor(socket: WebSocket) {
    this.socket = socket
    this.closed = new Promise((resolve) => {
      socket.on('close', (code, reason) => resolve({ code, reason: reason.toString() }))
    })
    socket.on('error', () => {})
    socket.on('message', (data: Buffer) => {
      const frame = decodeFrame(data)
      if (frame === null) throw new Error('the relay sent no frame')
      if (this.onFrame !== undefined) return this.onFrame(frame)
      this.frames.push(frame)
      this.#changed()
    })
  }

  static async open(url: string, options: ClientOptions & { protocols?: string[] } = {}): Promise<RawClient> {
    const { protocols = [SUBPROTOCOL], ...others } = options
    const socket = new WebSocket(url, protocols, { perMessageDeflate: false, ...others })
    const client = new RawClient(socket)
    await once(socket, 'open')
    return client
  }

  send(...frames: Frame[]): void {
    for (const frame of frames) this.socket.send(encodeFrame(frame))
  }

  join(rendezvous: Uint8Array, wants: 'announce' | 'connect' | 'both', card: Uint8Array = new Uint8Array(0)): void {
    const [announce, connect] = [wants !== 'connect', wants !== 'announce']
    this.send({ kind: 'join', rendezvous, announce, connect, card })
  }

  /** Takes the next frame of the kind, waiting for it; the others stay. */
  async take<K extends Frame['kind']>(kind: K): Promise<Extract<Frame, { kind: K }>> {
    for (;;) {
      const index = this.frames.findIndex((frame) => frame.kind === kind)
      if (index >= 0) return this.frames.splice(index, 1)[0] as Extract<Frame, { kind: K }>
      await new Promise<void>((resolve) => (this.#changed = resolve))
    }
  }

  /** Resolves once the relay has dealt with everything sent so far: it answers in order. */
  async settled(): Promise<void> {
    this.send({ kind: 'lookup', request: 0, rendezvous: new Uint8Array(32) })
    await this.take('peers')
  }

  /** Kinds of the frames that nobody has taken. */
  get left(): string[] {
    return this.frames.map(({ kind }) => kind)
  }

  /** Stops reading from the network. */
  pause(): void {
    this.socket.pause()
  }
}

import { Side } from '../channel.ts'
import { encodePassHeader } from './bus-frames.ts'
import type { Instance } from './instance.ts'

/** The side of a channel that another instance speaks for. */
export class RemoteEnd extends Side {
  readonly instance: Instance
  /** The name of their member. */
  readonly partner: string
  /** The number by which they send to us, and by which we send to them. */
  readonly ours: number
  readonly theirs: number
  #sent = 0
  #received = 0

  constructor(instance: Instance, partner: string, ours: number, theirs: number) {
    super()
    this.instance = instance
    this.partner = partner
    this.ours = ours
    this.theirs = theirs
    instance.ends.set(ours, this)
    instance.endsByTheirs.set(theirs, this)
  }

  deliver(frame: Buffer): boolean {
    const header = encodePassHeader(this.theirs, this.#sent, frame.length)
    this.#sent = (this.#sent + 1) >>> 0
    return this.instance.sendParts([header, frame])
  }

  /** Whether nothing was lost before the frame with this number. */
  follows(sequence: number): boolean {
    if (sequence !== this.#received) return false
    this.#received = (this.#received + 1) >>> 0
    return true
  }

  protected expect(): void {
    // Their client is for them to look after.
  }

  release(): void {
    this.instance.ends.delete(this.ours)
    // Theirs is their choice: it may have come twice.
    if (this.instance.endsByTheirs.get(this.theirs) === this) this.instance.endsByTheirs.delete(this.theirs)
  }
}

import { CONTROL_BURST, CONTROL_ENTRIES, CONTROL_PER_FRAME, CONTROL_PER_SECOND } from '../base/limits.ts'
import type { Message } from './messages.ts'

/** How many control messages a peer may still send: they cost little to send and more to handle. */
export class ControlBudget {
  #left = CONTROL_BURST
  #at = 0

  /** False if the peer has sent too many. */
  spend(message: Message, now: number): boolean {
    const earned = (Math.max(0, now - this.#at) / 1000) * CONTROL_PER_SECOND
    this.#at = now
    this.#left = Math.min(CONTROL_BURST, this.#left + earned) - costOf(message)
    return this.#left >= 0
  }

  /** For a frame that it has been sent, and may react to. */
  earn(): void {
    this.#left = Math.min(CONTROL_BURST, this.#left + CONTROL_PER_FRAME)
  }
}

function costOf(message: Message): number {
  if (message.type === 'frame' || message.type === 'ack' || message.type === 'fork') return 0
  if (message.type === 'heads') return 1 + Math.floor(message.heads.length / CONTROL_ENTRIES)
  if (message.type === 'request') return 1 + Math.floor(message.ranges.length / CONTROL_ENTRIES)
  if (message.type === 'tell') return 1 + Math.floor(message.prefixes.length / CONTROL_ENTRIES)
  return 1
}

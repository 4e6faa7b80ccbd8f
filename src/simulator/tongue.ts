import { decodeMessage, encodeFrame } from '../broadcast/messages.ts'
import type { Chance } from './chance.ts'

/** Part of a liar's frames that are altered. */
const LIES = 0.5

/** What a liar says in the place of what it should: events that nobody has signed. */
export class Tongue {
  readonly #chance: Chance

  constructor(chance: Chance) {
    this.#chance = chance
  }

  altered(message: Buffer): Buffer {
    const decoded = decodeMessage(message)
    if (decoded?.type !== 'frame' || !this.#chance.happens(LIES)) return message
    const runs = decoded.runs.map((run) => ({ ...run, events: run.events.map((bytes) => Buffer.from(bytes)) }))
    const run = this.#chance.pick(runs)
    if (run.events.length === 0) return message
    if (run.events.length > 1 && this.#chance.happens(0.3)) {
      // As if the author had never written the last ones, or had in another order.
      if (this.#chance.happens(0.5)) run.events.pop()
      else run.events.reverse()
    } else {
      // The last bytes are those of the data: the event can still be read, but its author did not write it.
      const event = this.#chance.pick(run.events)
      const at = event.length - 1 - this.#chance.below(Math.min(8, event.length))
      event[at] = (event[at] as number) ^ (1 << this.#chance.below(3))
    }
    return encodeFrame(runs)
  }
}

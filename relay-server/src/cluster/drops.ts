/**
 * Why something of another instance was not acted on: its bytes are no message; a frame that does not belong on its
 * subject; more instances, or more requests of one, than allowed; frames of a channel that got lost, or that break its
 * window, or are none.
 */
export type Drop = 'malformed' | 'misplaced' | 'stranger' | 'flood' | 'gap' | 'window' | 'frame'

export class Drops {
  readonly counts: Record<Drop, number> = {
    malformed: 0,
    misplaced: 0,
    stranger: 0,
    flood: 0,
    gap: 0,
    window: 0,
    frame: 0,
  }

  count(reason: Drop): void {
    this.counts[reason]++
  }
}
